#include "ingest/history/history.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <charconv>
#include <exception>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "common/base/crypto.hpp"
#include "common/base/start_error.hpp"
#include "common/kafka/topics.hpp"
#include "common/observe/log.hpp"
#include "ingest/history/log_window.hpp"

namespace eventrelay::history {
namespace {

using kafka::TopicPartition;
using Watermarks = kafka::PartitionWatermarks;

// Topics of the first window, by their index.
constexpr std::uint16_t kEvents = 0;
constexpr std::uint16_t kDead = 1;
constexpr std::uint16_t kAttempts = 2;
constexpr std::uint16_t kState = 3;
constexpr std::uint16_t kSums = 4;

constexpr std::int64_t kSmallestChunk = 16;
constexpr std::int64_t kFirstChunk = 256;
constexpr std::int64_t kLargestChunk = 16'384;
// An event is received when its head was read, and its record stamped when its body was there.
constexpr std::chrono::seconds kStampedLate{10};
constexpr std::chrono::seconds kConnectMax{10};
// Records at the end of a log that are looked at where no record is said to be that young.
constexpr std::int64_t kUndatedRead = 256;
// Finding the events may take so much of the time and the records; the rest tells their fate.
constexpr std::size_t kFindingShare = 60;  // per cent
// Sums are written when a worker has read an event, which may be behind by so much.
constexpr std::chrono::hours kSumsLate{1};
// A record of sums costs as much as many events.
constexpr std::int64_t kSumRecordsMax = 20'000;

Unexpected<HistoryTrouble> trouble(LogTrouble what) {
  if (what == LogTrouble::Spent) {
    return Unexpected(
        HistoryTrouble{Kind::TooMuch,
                       "what became of these events is told by more records than one question "
                       "may read; ask for a smaller page or a shorter time"});
  }
  return Unexpected(HistoryTrouble{Kind::Unreachable, "the topics could not be read in time"});
}

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

ParkedSeen parked_of(const Event& event, const kafka::Message& message) {
  ParkedSeen seen;
  seen.event = event.id;
  seen.subscription = event.parked->subscription;
  seen.attempts_made = event.parked->attempts_made;
  seen.due = event.parked->due;
  seen.reason = event.parked->reason;
  seen.stamped = message.stamped();
  return seen;
}

bool older(const StoredEvent& a, const StoredEvent& b) {
  if (a.when != b.when) return a.when < b.when;
  if (a.partition != b.partition) return a.partition < b.partition;
  return a.offset < b.offset;
}

std::uint64_t leading_number(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

Traces StoredEvent::at(const std::string& subscription, bool wanted) const {
  Traces out;
  for (const SubscriptionTraces& each : traces) {
    if (each.subscription == subscription) out = each.traces;
  }
  out.wanted = wanted;
  out.settled = settled;
  const auto among = [&](const std::vector<std::string>& list) {
    return std::find(list.begin(), list.end(), subscription) != list.end();
  };
  out.queued = among(queued_whole);
  out.paused = among(paused);
  return out;
}

// Answers questions; lives in the thread. Thread: one owner, the thread.
class History::Reader {
 public:
  explicit Reader(const Config& config)
      : steps_(config.retry.delays.size()),
        own_partitioner_(config.kafka.properties.contains("partitioner")),
        logs_(config.kafka, config.relay.group,
              {name(config, "events"), name(config, "dead"), name(config, "attempts"),
               name(config, "state"), name(config, "sums")}),
        delays_(config.kafka, config.relay.group + ".delays", delay_topics(config)) {
    partitions_ = kafka::topic_partitions(config.kafka).at(name(config, "events"));
    // The clients find their brokers now, not within the time of the first question.
    Budget budget;
    budget.deadline = monotonic_now() + kConnectMax;
    (void)logs_.bounds({{kEvents, Partition{0}}}, budget);
    (void)delays_.bounds({{0, Partition{0}}}, budget);
  }

  // What an answer has cost, for who looks into it.
  static std::chrono::milliseconds tell_cost(std::string_view what, const Budget& budget,
                                             TimePoint begun) {
    const auto took =
        std::chrono::duration_cast<std::chrono::milliseconds>(monotonic_now() - begun);
    log::debug("history answered",
               {{"question", what}, {"records", budget.records}, {"ms", took.count()}});
    return took;
  }

  Answer answer(const Question& question) {
    const TimePoint begun = monotonic_now();
    Budget budget;
    budget.records_max = kRecordsMax * kFindingShare / 100;
    budget.deadline = begun + kTimeMax * static_cast<int>(kFindingShare) / 100;
    Answer page = find(question, budget);
    if (!page) return page;
    budget.records_max = kRecordsMax;
    budget.deadline = begun + kTimeMax;
    if (question.traces && !page->events.empty()) {
      const auto told = tell(question.log, page->events, budget);
      if (!told) return trouble(told.error());
    }
    page->records = budget.records;
    page->took = tell_cost("events", budget, begun);
    return page;
  }

  SurveyAnswer survey(Delays delays) {
    const TimePoint begun = monotonic_now();
    Budget budget;
    budget.deadline = monotonic_now() + kTimeMax;
    std::vector<TopicPartition> places;
    for (std::int32_t each = 0; each < partitions_; ++each) {
      places.push_back({kState, Partition{each}});
      places.push_back({kEvents, Partition{each}});
    }
    const auto bounds = logs_.bounds(places, budget);
    if (!bounds) return trouble(bounds.error());
    std::vector<Stretch> stretches;
    for (const Watermarks& row : *bounds) {
      if (row.place.topic == kState) stretches.push_back({row.place, row.start, row.end});
    }
    CursorTable cursors;
    const auto visit = [&](TopicPartition place, const kafka::Message& message) {
      note_cursor(message, cursors[place.partition.value]);
    };
    if (const auto read = logs_.read(stretches, visit, budget); !read) return trouble(read.error());
    Survey out;
    for (auto& [partition, mine] : cursors) {
      const Watermarks& ends = at(*bounds, {kEvents, Partition{partition}});
      for (auto& [key, cursor] : mine) {
        const Offset end = cursor.end.value_or(ends.end);
        if (cursor.end && cursor.position >= end.value) continue;
        const std::int64_t from = std::max(cursor.position, ends.start.value);
        const std::int64_t behind = std::max<std::int64_t>(end.value - from, 0);
        out.cursors.push_back({Partition{partition}, std::move(cursor), behind});
      }
    }
    if (delays == Delays::Count) {
      if (const auto read = count_waiting(out, *bounds, budget); !read)
        return trouble(read.error());
    }
    out.records = budget.records;
    (void)tell_cost("survey", budget, begun);
    return out;
  }

  SumsAnswer sums(const SumsQuestion& question) {
    const TimePoint begun = monotonic_now();
    Budget budget;
    budget.deadline = monotonic_now() + kTimeMax;
    const TopicPartition place{kSums, Partition{0}};
    const auto bounds = logs_.bounds({place}, budget);
    if (!bounds) return trouble(bounds.error());
    const Watermarks& ends = bounds->front();
    const auto from = logs_.since({place}, begin_of_step(question, question.first), budget);
    if (!from) return trouble(from.error());
    Stretch stretch{place, Offset{begin_of(ends, from->front())}, ends.end};
    // The steps that can be answered at once: all, or half of them, or half of that.
    std::int64_t count = question.last - question.first + 1;
    while (true) {
      const WallTime behind = begin_of_step(question, question.first + count) + kSumsLate;
      const auto to = logs_.since({place}, behind, budget);
      if (!to) return trouble(to.error());
      stretch.to = std::min(ends.end, to->front().start);
      if (stretch.to.value - stretch.from.value <= kSumRecordsMax) break;
      if (count == 1) return trouble(LogTrouble::Spent);
      count /= 2;
    }
    SumsPage out;
    out.steps.resize(static_cast<std::size_t>(count));
    const auto visit = [&](TopicPartition, const kafka::Message& message) {
      for (const EventSum& row : read_event_sums(message.value())) add_up(question, row, out);
    };
    if (const auto read = logs_.read({&stretch, 1}, visit, budget); !read) {
      return trouble(read.error());
    }
    out.records = budget.records;
    (void)tell_cost("sums", budget, begun);
    return out;
  }

 private:
  static std::string name(const Config& config, std::string_view suffix) {
    return kafka::topic_name(config.topics, suffix);
  }
  static std::vector<std::string> delay_topics(const Config& config) {
    std::vector<std::string> names;
    for (const auto delay : config.retry.delays) {
      names.push_back(name(config, "retry." + kafka::delay_word(delay)));
    }
    return names;
  }

  static WallTime begin_of_step(const SumsQuestion& question, std::int64_t number) {
    return WallTime(question.interval * number);
  }

  static void add_up(const SumsQuestion& question, const EventSum& row, SumsPage& out) {
    if (!std::binary_search(question.instances.begin(), question.instances.end(), row.instance)) {
      return;
    }
    const std::int64_t interval = question.interval.count();
    const auto step_of = [&](std::int64_t second) -> SumsPage::Step* {
      const std::int64_t number = second / interval - question.first;
      const bool within = number >= 0 && number < static_cast<std::int64_t>(out.steps.size());
      return within ? &out.steps[static_cast<std::size_t>(number)] : nullptr;
    };
    for (const EventSum::Second& each : row.seconds) {
      SumsPage::Step* const step = step_of(row.minute * 60 + each.second);
      if (step == nullptr) continue;
      EventCounts& counts = step->by_instance[row.instance];
      counts.events += each.counts.events;
      counts.delivered += each.counts.delivered;
      counts.failed += each.counts.failed;
    }
    // Of latencies only the minute is known.
    SumsPage::Step* const step = step_of(row.minute * 60);
    if (step == nullptr) return;
    for (std::size_t i = 0; i < kLatencyBuckets; ++i) step->latency[i] += row.latency[i];
  }

  // What no worker has done with yet: in the log, and in the delay topics.
  Expected<bool, LogTrouble> count_waiting(Survey& out, const std::vector<Watermarks>& bounds,
                                           Budget& budget) {
    std::set<std::int32_t> numbers;
    std::vector<TopicPartition> places;
    for (std::int32_t each = 0; each < partitions_; ++each) {
      numbers.insert(each);
      places.push_back({kEvents, Partition{each}});
    }
    const auto positions = logs_.positions(places, budget);
    if (!positions) return Unexpected(positions.error());
    for (const kafka::ReadPosition& each : *positions) {
      const Watermarks& ends = at(bounds, each.place);
      const std::int64_t next = each.committed ? each.committed->value : ends.start.value;
      out.unread += std::max<std::int64_t>(ends.end.value - std::max(next, ends.start.value), 0);
    }
    auto read = read_delays(
        numbers,
        [&out](const Event& event, const kafka::Message&) {
          ++out.parked[std::string(event.parked->subscription)];
        },
        budget);
    // So many wait that a part of them says enough.
    out.parked_whole = read.has_value();
    return true;
  }

  [[nodiscard]] std::vector<TopicPartition> places_of(const Question& question) const {
    std::set<std::int32_t> wanted;
    for (const std::uint64_t instance : question.instances) {
      if (own_partitioner_ || wanted.size() == static_cast<std::size_t>(partitions_)) break;
      wanted.insert(kafka::partition_of(std::to_string(instance), partitions_));
    }
    std::vector<TopicPartition> places;
    for (std::int32_t each = 0; each < partitions_; ++each) {
      if (!own_partitioner_ && !wanted.contains(each)) continue;
      places.push_back({topic_of(question), Partition{each}});
    }
    return places;
  }

  static std::uint16_t topic_of(const Question& question) noexcept {
    return question.log == Log::Dead ? kDead : kEvents;
  }

  // -- the events --

  Answer find(const Question& question, Budget& budget) {
    std::optional<std::map<std::int32_t, std::int64_t>> below;
    if (!question.token.empty()) {
      below = parse_token(question.token);
      if (!below) {
        return Unexpected(HistoryTrouble{Kind::BadToken, "is not a token of an earlier answer"});
      }
    }
    const std::vector<TopicPartition> places = places_of(question);
    const auto bounds = logs_.bounds(places, budget);
    if (!bounds) return trouble(bounds.error());
    // A record is stamped when it was produced, after it was received.
    const auto from = logs_.since(places, question.from, budget);
    if (!from) return trouble(from.error());
    const auto behind = logs_.since(places, question.to + kStampedLate, budget);
    if (!behind) return trouble(behind.error());
    std::vector<Backward> backs;
    for (std::size_t i = 0; i < places.size(); ++i) {
      Backward back;
      back.partition = places[i].partition;
      const Watermarks& ends = at(*bounds, places[i]);
      back.low = begin_of(ends, at(*from, places[i]));
      back.loaded = std::min(ends.end.value, at(*behind, places[i]).start.value);
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
      const auto loaded = load(question, backs, budget);
      if (loaded) continue;
      if (loaded.error() == LogTrouble::Gone) continue;  // retention has taken it meanwhile
      spent = true;
      break;
    }
    if (spent && budget.records == 0) return trouble(LogTrouble::Late);
    return page_of(backs, question.page_size);
  }

  // Where to begin for what was written since a time. The end of the log is not believed: the
  // embedded broker knows no times, and says so for every one.
  static std::int64_t begin_of(const Watermarks& ends, const Watermarks& since) {
    const std::int64_t first =
        since.start < ends.end ? since.start.value : ends.end.value - kUndatedRead;
    return std::max(ends.start.value, first);
  }

  static const Watermarks& at(const std::vector<Watermarks>& rows, TopicPartition place) {
    return *std::find_if(rows.begin(), rows.end(),
                         [&](const Watermarks& row) { return row.place == place; });
  }

  // How far back everything is known.
  static WallTime known_back_to(const std::vector<Backward>& backs) {
    WallTime back = WallTime::min();
    for (const Backward& each : backs) {
      if (!each.over()) back = std::max(back, each.reached);
    }
    return back;
  }

  static bool enough(const std::vector<Backward>& backs, const Question& question) {
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

  // The next older chunk of each partition that is least far back.
  Expected<bool, LogTrouble> load(const Question& question, std::vector<Backward>& backs,
                                  Budget& budget) {
    const WallTime back = known_back_to(backs);
    std::vector<Stretch> stretches;
    std::map<std::int32_t, Backward*> by_partition;
    for (Backward& each : backs) {
      if (each.over() || each.reached < back) continue;
      const std::int64_t first = std::max(each.low, each.loaded - each.chunk);
      stretches.push_back(
          {{topic_of(question), each.partition}, Offset{first}, Offset{each.loaded}});
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
    auto read = logs_.read(stretches, visit, budget);
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

  static Page page_of(std::vector<Backward>& backs, std::size_t page_size) {
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

  // Each partition goes on below what was handed out of it, or what was looked at for nothing.
  static std::string token_after(const std::vector<Backward>& backs,
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

  // -- what became of them --

  Expected<bool, LogTrouble> tell(Log log, std::vector<StoredEvent>& events, Budget& budget) {
    std::set<std::int32_t> numbers;
    WallTime oldest = WallTime::max();
    for (StoredEvent& event : events) {
      numbers.insert(event.partition.value);
      oldest = std::min(oldest, event.when);
      index_[event.id].push_back(&event);
    }
    const auto told = read_traces(log, events, numbers, oldest, budget);
    index_.clear();
    return told;
  }

  Expected<bool, LogTrouble> read_traces(Log log, std::vector<StoredEvent>& events,
                                         const std::set<std::int32_t>& numbers, WallTime oldest,
                                         Budget& budget) {
    // The positions first: what is written later than they were read can only be newer. They say
    // nothing of the offset of a dead letter.
    if (log == Log::Events) {
      if (auto read = read_positions(events, numbers, budget); !read) return read;
    }
    const auto note = [this](const Event& event, const kafka::Message& message) {
      note_parked(event, message, &Traces::parked);
    };
    if (auto read = read_delays(numbers, note, budget); !read) return read;
    return read_logs(log, events, numbers, oldest, budget);
  }

  Expected<bool, LogTrouble> read_positions(std::vector<StoredEvent>& events,
                                            const std::set<std::int32_t>& numbers,
                                            const Budget& budget) {
    std::vector<TopicPartition> places;
    for (const std::int32_t each : numbers) places.push_back({kEvents, Partition{each}});
    const auto positions = logs_.positions(places, budget);
    if (!positions) return Unexpected(positions.error());
    std::map<std::int32_t, DoneOffsets> done;
    for (const kafka::ReadPosition& each : *positions) {
      if (each.committed) {
        done[each.place.partition.value] = DoneOffsets(*each.committed, each.metadata);
      }
    }
    for (StoredEvent& event : events) {
      event.settled = done[event.partition.value].contains(event.offset);
    }
    return true;
  }

  // What waits in the delay topics: from the position on.
  using SeeParked = std::function<void(const Event& event, const kafka::Message& message)>;
  Expected<bool, LogTrouble> read_delays(const std::set<std::int32_t>& numbers,
                                         const SeeParked& see, Budget& budget) {
    std::vector<TopicPartition> places;
    for (std::size_t step = 0; step < steps_; ++step) {
      for (const std::int32_t each : numbers) {
        places.push_back({static_cast<std::uint16_t>(step), Partition{each}});
      }
    }
    const auto bounds = delays_.bounds(places, budget);
    if (!bounds) return Unexpected(bounds.error());
    const auto positions = delays_.positions(places, budget);
    if (!positions) return Unexpected(positions.error());
    std::vector<Stretch> stretches;
    for (const kafka::ReadPosition& each : *positions) {
      const Watermarks& ends = at(*bounds, each.place);
      const std::int64_t next = each.committed ? each.committed->value : ends.start.value;
      stretches.push_back({each.place, Offset{std::max(next, ends.start.value)}, ends.end});
    }
    std::map<TopicPartition, DoneOffsets, PlaceOrder> done;
    for (const kafka::ReadPosition& each : *positions) {
      if (each.committed) done[each.place] = DoneOffsets(*each.committed, each.metadata);
    }
    return delays_.read(
        stretches,
        [&](TopicPartition place, const kafka::Message& message) {
          const auto found = done.find(place);
          if (found != done.end() && found->second.contains(message.offset())) return;
          const auto event = message.event();
          if (event && event->parked) see(*event, message);
        },
        budget);
  }

  struct PlaceOrder {
    bool operator()(TopicPartition a, TopicPartition b) const noexcept {
      return std::pair(a.topic, a.partition.value) < std::pair(b.topic, b.partition.value);
    }
  };

  // Dead letters and attempts from the oldest event on, cursors as they are now.
  Expected<bool, LogTrouble> read_logs(Log log, std::vector<StoredEvent>& events,
                                       const std::set<std::int32_t>& numbers, WallTime oldest,
                                       Budget& budget) {
    std::vector<TopicPartition> dated;
    std::vector<TopicPartition> all;
    for (const std::int32_t each : numbers) {
      dated.push_back({kDead, Partition{each}});
      dated.push_back({kAttempts, Partition{each}});
      all.push_back({kState, Partition{each}});
    }
    all.insert(all.end(), dated.begin(), dated.end());
    const auto bounds = logs_.bounds(all, budget);
    if (!bounds) return Unexpected(bounds.error());
    const auto since = logs_.since(dated, oldest, budget);
    if (!since) return Unexpected(since.error());
    std::vector<Stretch> stretches;
    for (const TopicPartition place : all) {
      const Watermarks& ends = at(*bounds, place);
      const std::int64_t start =
          place.topic == kState ? ends.start.value : begin_of(ends, at(*since, place));
      stretches.push_back({place, Offset{start}, ends.end});
    }
    CursorTable cursors;
    const auto visit = [&](TopicPartition place, const kafka::Message& message) {
      if (place.topic == kDead) return note_dead(message);
      if (place.topic == kAttempts) return note_attempt(message.value());
      note_cursor(message, cursors[place.partition.value]);
    };
    auto read = logs_.read(stretches, visit, budget);
    if (!read) return read;
    for (StoredEvent& event : events) {
      for (const auto& [key, cursor] : cursors[event.partition.value]) {
        if (leading_number(cursor.subscription) != event.instance) continue;
        if (log == Log::Events && cursor.holds(event.offset, event.object_id)) {
          event.queued_whole.push_back(cursor.subscription);
        }
        if (cursor.paused && !cursor.end) event.paused.push_back(cursor.subscription);
      }
    }
    return read;
  }

  using CursorTable = std::map<std::int32_t, std::map<std::string, Cursor>>;

  static void note_cursor(const kafka::Message& message, std::map<std::string, Cursor>& mine) {
    const std::string key(message.key());
    std::optional<Cursor> cursor = read_cursor(message.value());
    const auto known = mine.find(key);
    if (cursor && (known == mine.end() || known->second.epoch <= cursor->epoch)) {
      mine[key] = *std::move(cursor);
    } else if (!cursor && known != mine.end() && known->second.end) {
      mine.erase(known);
    }
  }

  Traces* traces_of(StoredEvent& event, std::string_view subscription) {
    for (SubscriptionTraces& each : event.traces) {
      if (each.subscription == subscription) return &each.traces;
    }
    event.traces.push_back({std::string(subscription), {}});
    return &event.traces.back().traces;
  }

  void note_dead(const kafka::Message& message) {
    const auto event = message.event();
    if (event && event->parked) note_parked(*event, message, &Traces::dead);
  }

  void note_parked(const Event& event, const kafka::Message& message,
                   std::optional<ParkedSeen> Traces::*where) {
    const auto found = index_.find(std::string(event.id));
    if (found == index_.end()) return;
    const ParkedSeen seen = parked_of(event, message);
    for (StoredEvent* each : found->second) {
      traces_of(*each, seen.subscription)->*where = seen;
    }
  }

  void note_attempt(std::string_view value) {
    const std::optional<AttemptSeen> seen = read_attempt(value);
    if (!seen) return;
    const auto found = index_.find(seen->event);
    if (found == index_.end()) return;
    for (StoredEvent* each : found->second) {
      traces_of(*each, seen->subscription)->attempts.push_back(*seen);
    }
  }

  std::size_t steps_;
  bool own_partitioner_;
  LogWindow logs_;
  LogWindow delays_;
  int partitions_ = 0;
  std::unordered_map<std::string, std::vector<StoredEvent*>> index_;  // of one question, by id
};

History::History(Executor control, const Config& config)
    : control_(std::move(control)),
      config_(std::make_shared<const Config>(config)),
      thread_([this] { run(); }) {}

History::~History() {
  stop();
}

template <class Answered, class Ask>
void History::enqueue(std::function<void(Answered)> done, Ask ask) {
  Work work = [control = control_, done, ask = std::move(ask)](Reader* reader) {
    Answered answer = Unexpected(HistoryTrouble{Kind::Unreachable, "the topics could not be read"});
    std::exception_ptr failed;
    try {
      if (reader != nullptr) answer = ask(*reader);
    } catch (const std::exception&) {
      failed = std::current_exception();
    }
    asio::post(control, [done, answer = std::move(answer)]() mutable { done(std::move(answer)); });
    if (failed) std::rethrow_exception(failed);
  };
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() < kWaitingMax) {
      waiting_.push_back(std::move(work));
      changed_.notify_one();
      return;
    }
  }
  done(Unexpected(HistoryTrouble{Kind::Busy, "too many questions of the history wait already"}));
}

void History::ask(Question question, Done done) {
  enqueue<Answer>(std::move(done), [question = std::move(question)](Reader& reader) {
    return reader.answer(question);
  });
}

void History::survey(Delays delays, std::function<void(SurveyAnswer)> done) {
  enqueue<SurveyAnswer>(std::move(done),
                        [delays](Reader& reader) { return reader.survey(delays); });
}

void History::sums(SumsQuestion question, std::function<void(SumsAnswer)> done) {
  enqueue<SumsAnswer>(std::move(done), [question = std::move(question)](Reader& reader) {
    return reader.sums(question);
  });
}

void History::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    waiting_.clear();
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void History::run() {
  std::unique_ptr<Reader> reader;
  while (true) {
    Work next;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      next = std::move(waiting_.front());
      waiting_.pop_front();
    }
    try {
      if (!reader) reader = std::make_unique<Reader>(*config_);
    } catch (const std::exception& error) {
      log::warn("the history can not be read now", {{"error", error.what()}});
    }
    try {
      next(reader.get());
    } catch (const std::exception& error) {
      reader.reset();
      log::warn("the history can not be read now", {{"error", error.what()}});
    }
  }
}

}  // namespace eventrelay::history
