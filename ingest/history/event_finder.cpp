#include "ingest/history/event_finder.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/crypto.hpp"

namespace eventrelay::history {
namespace {

using kafka::TopicPartition;
using Watermarks = kafka::PartitionWatermarks;

constexpr std::int64_t kSmallestChunk = 16;
constexpr std::int64_t kFirstChunk = 256;
constexpr std::int64_t kLargestChunk = 16'384;
// An event is received when its head was read, and its record stamped when its body was there.
constexpr std::chrono::seconds kStampedLate{10};

// The text between the pages: the offset below which each partition goes on.
std::string print_token(const std::map<std::int32_t, std::int64_t>& below) {
  std::string plain = "h1";
  for (const auto& [partition, offset] : below) {
    plain += ' ' + std::to_string(partition) + ':' + std::to_string(offset);
  }
  return crypto::base64(plain);
}

std::optional<std::map<std::int32_t, std::int64_t>> parse_token(std::string_view token) {
  const std::optional<std::string> plain = crypto::from_base64(token);
  if (!plain || !plain->starts_with("h1 ") || plain->size() > 65'536) return std::nullopt;
  std::map<std::int32_t, std::int64_t> below;
  std::string_view rest = std::string_view(*plain).substr(3);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    const char* const stop = rest.data() + end;
    std::int32_t partition = 0;
    std::int64_t offset = 0;
    const auto first = std::from_chars(rest.data(), stop, partition);
    if (first.ec != std::errc{} || first.ptr == stop || *first.ptr != ':') return std::nullopt;
    const auto second = std::from_chars(first.ptr + 1, stop, offset);
    if (second.ec != std::errc{} || second.ptr != stop || partition < 0 || offset < 0) {
      return std::nullopt;
    }
    below[partition] = offset;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return below;
}

// One partition of `events` while it is read backwards.
struct Backward {
  Partition partition;
  std::int64_t low = 0;     // nothing is asked for below
  std::int64_t loaded = 0;  // everything from here up was looked at
  std::int64_t chunk = kFirstChunk;
  WallTime reached = WallTime::max();  // all that is not loaded is as old or older
  std::vector<StoredEvent> found;      // newest first

  [[nodiscard]] bool over() const noexcept { return loaded <= low; }
};

StoredEvent stored(const Event& event, const kafka::Message& message) {
  StoredEvent out;
  out.id = event.id;
  out.provider_id = event.provider_id;
  out.element = event.element;
  out.event_type = event.event_type;
  out.object_type = event.object_type;
  out.object_id = event.object_id;
  out.date = event.date;
  out.content_type = event.content_type;
  out.instance = event.instance.value;
  out.received = event.received;
  out.when = event.received;
  out.body = event.body;
  out.partition = message.partition();
  out.offset = message.offset();
  return out;
}

bool older(const StoredEvent& a, const StoredEvent& b) {
  if (a.when != b.when) return a.when < b.when;
  if (a.partition != b.partition) return a.partition < b.partition;
  return a.offset < b.offset;
}

std::uint16_t topic_of(const Question& question) noexcept {
  return question.log == Log::Dead ? kDead : kEvents;
}

// How far back everything is known.
WallTime known_back_to(const std::vector<Backward>& backs) {
  WallTime back = WallTime::min();
  for (const Backward& each : backs) {
    if (!each.over()) back = std::max(back, each.reached);
  }
  return back;
}

bool enough(const std::vector<Backward>& backs, const Question& question) {
  if (std::all_of(backs.begin(), backs.end(), [](const Backward& one) { return one.over(); })) {
    return true;
  }
  const WallTime back = known_back_to(backs);
  std::size_t count = 0;
  std::size_t bytes = 0;
  for (const Backward& each : backs) {
    for (const StoredEvent& event : each.found) {
      if (event.when < back) continue;
      ++count;
      bytes += event.body.size();
    }
  }
  // One more than the page says that there is more; of one id nobody asks for that.
  const std::size_t wanted = question.event.empty() ? question.page_size + 1 : 1;
  return count >= wanted || bytes > kBytesMax;
}

// Each partition goes on below what was handed out of it, or what was looked at for nothing.
std::string token_after(const std::vector<Backward>& backs,
                        const std::vector<StoredEvent>& handed_out) {
  std::map<std::int32_t, std::int64_t> below;
  bool more = false;
  for (const Backward& each : backs) {
    std::set<std::int64_t> out;
    for (const StoredEvent& event : handed_out) {
      if (event.partition == each.partition) out.insert(event.offset.value);
    }
    std::int64_t next = each.loaded;
    for (const StoredEvent& event : each.found) {
      if (!out.contains(event.offset.value)) next = std::max(next, event.offset.value + 1);
    }
    below[each.partition.value] = next;
    more = more || next > each.low;
  }
  return more ? print_token(below) : std::string();
}

Page page_of(std::vector<Backward>& backs, std::size_t page_size) {
  const WallTime back = known_back_to(backs);
  std::vector<StoredEvent> all;
  for (Backward& each : backs) {
    for (StoredEvent& event : each.found) {
      if (event.when >= back) all.push_back(std::move(event));
    }
  }
  std::sort(all.begin(), all.end(),
            [](const StoredEvent& a, const StoredEvent& b) { return older(b, a); });
  Page page;
  std::size_t bytes = 0;
  for (StoredEvent& event : all) {
    if (page.events.size() == page_size || (bytes > 0 && bytes + event.body.size() > kBytesMax)) {
      break;
    }
    bytes += event.body.size();
    page.events.push_back(std::move(event));
  }
  page.next = token_after(backs, page.events);
  return page;
}

// The next older chunk of each partition that is least far back.
Expected<bool, LogTrouble> load(Logs& logs, const Question& question, std::vector<Backward>& backs,
                                Budget& budget) {
  const WallTime back = known_back_to(backs);
  std::vector<Stretch> stretches;
  std::map<std::int32_t, Backward*> by_partition;
  for (Backward& each : backs) {
    if (each.over() || each.reached < back) continue;
    const std::int64_t first = std::max(each.low, each.loaded - each.chunk);
    stretches.push_back({{topic_of(question), each.partition}, Offset{first}, Offset{each.loaded}});
    by_partition[each.partition.value] = &each;
  }
  std::map<std::int32_t, std::vector<StoredEvent>> found;
  std::map<std::int32_t, WallTime> oldest;
  const auto visit = [&](TopicPartition place, const kafka::Message& message) {
    const auto event = message.event();
    if (!event || (question.log == Log::Dead && !event->parked)) return;
    const WallTime at = question.log == Log::Dead ? message.stamped() : event->received;
    auto& seen = oldest.try_emplace(place.partition.value, at).first->second;
    seen = std::min(seen, at);
    if (at < question.from || at > question.to) return;
    if (!std::binary_search(question.instances.begin(), question.instances.end(),
                            event->instance.value)) {
      return;
    }
    if (!question.event.empty() && event->id != question.event) return;
    StoredEvent& kept = found[place.partition.value].emplace_back(stored(*event, message));
    if (question.log == Log::Events) return;
    kept.when = at;
    kept.letter = parked_of(*event, message);
  };
  auto read = logs.topics().read(stretches, visit, budget);
  if (!read && read.error() != LogTrouble::Gone) return read;
  for (const Stretch& each : stretches) {
    Backward& one = *by_partition[each.place.partition.value];
    one.loaded = each.from.value;
    if (!read) one.loaded = one.low = each.to.value;  // gone: nothing older is there
    one.chunk = std::min(one.chunk * 4, kLargestChunk);
    auto& rows = found[one.partition.value];
    std::reverse(rows.begin(), rows.end());
    one.found.insert(one.found.end(), std::make_move_iterator(rows.begin()),
                     std::make_move_iterator(rows.end()));
    if (const auto seen = oldest.find(one.partition.value); seen != oldest.end()) {
      one.reached = std::min(one.reached, seen->second);
    }
  }
  return true;
}

}  // namespace

PageAnswer find_events(Logs& logs, const Question& question, Budget& budget) {
  std::optional<std::map<std::int32_t, std::int64_t>> below;
  if (!question.token.empty()) {
    below = parse_token(question.token);
    if (!below) {
      return Unexpected(HistoryTrouble{Kind::BadToken, "is not a token of an earlier answer"});
    }
  }
  std::vector<TopicPartition> places;
  for (const std::int32_t each : logs.partitions_of(question.instances)) {
    places.push_back({topic_of(question), Partition{each}});
  }
  const auto bounds = logs.topics().bounds(places, budget);
  if (!bounds) return trouble(bounds.error());
  // A record is stamped when it was produced, after it was received.
  const auto from = logs.topics().since(places, question.from, budget);
  if (!from) return trouble(from.error());
  const auto behind = logs.topics().since(places, question.to + kStampedLate, budget);
  if (!behind) return trouble(behind.error());
  std::vector<Backward> backs;
  for (std::size_t i = 0; i < places.size(); ++i) {
    Backward back;
    back.partition = places[i].partition;
    const Watermarks& ends = row_of(*bounds, places[i]);
    back.low = begin_of(ends, row_of(*from, places[i]));
    back.loaded = std::min(ends.end.value, row_of(*behind, places[i]).start.value);
    back.chunk = std::clamp<std::int64_t>(static_cast<std::int64_t>(question.page_size),
                                          kSmallestChunk, kFirstChunk);
    if (below) {
      const auto found = below->find(back.partition.value);
      back.loaded = found == below->end() ? back.low : std::min(found->second, back.loaded);
    }
    back.low = std::min(back.low, back.loaded);
    backs.push_back(std::move(back));
  }
  bool spent = false;
  while (!enough(backs, question)) {
    const auto loaded = load(logs, question, backs, budget);
    if (loaded) continue;
    if (loaded.error() == LogTrouble::Gone) continue;  // retention has taken it meanwhile
    spent = true;
    break;
  }
  if (spent && budget.records == 0) return trouble(LogTrouble::Late);
  return page_of(backs, question.page_size);
}

}  // namespace eventrelay::history
