#include "common/observe/event_sums.hpp"

#include <algorithm>
#include <bit>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>

namespace eventrelay {
namespace {

namespace json = boost::json;

constexpr std::int64_t kSecondsPerMinute = 60;

std::optional<std::uint64_t> number(const json::value& value) {
  boost::system::error_code error;
  if (!value.is_number()) return std::nullopt;
  const auto read = value.to_number<std::uint64_t>(error);
  if (error.failed()) return std::nullopt;
  return read;
}

// The numbers of a list of exactly `N`.
template <std::size_t N>
std::optional<std::array<std::uint64_t, N>> numbers(const json::value& value) {
  if (!value.is_array() || value.get_array().size() != N) return std::nullopt;
  std::array<std::uint64_t, N> out{};
  for (std::size_t i = 0; i < N; ++i) {
    const auto each = number(value.get_array()[i]);
    if (!each) return std::nullopt;
    out[i] = *each;
  }
  return out;
}

std::optional<EventSum> read_row(const json::value& value) {
  if (!value.is_array() || value.get_array().size() != 4) return std::nullopt;
  const json::array& row = value.get_array();
  const auto instance = number(row[0]);
  const auto minute = number(row[1]);
  if (!instance || !minute || !row[2].is_array() || !row[3].is_array()) return std::nullopt;
  EventSum out;
  out.instance = *instance;
  out.minute = static_cast<std::int64_t>(*minute);
  for (const json::value& each : row[2].get_array()) {
    const auto second = numbers<4>(each);
    if (!second || (*second)[0] >= kSecondsPerMinute) return std::nullopt;
    out.seconds.push_back({static_cast<std::uint32_t>((*second)[0]),
                           EventCounts{(*second)[1], (*second)[2], (*second)[3]}});
  }
  for (const json::value& each : row[3].get_array()) {
    const auto bucket = numbers<2>(each);
    if (!bucket || (*bucket)[0] >= kLatencyBuckets) return std::nullopt;
    out.latency[(*bucket)[0]] += static_cast<std::uint32_t>((*bucket)[1]);
  }
  return out;
}

void append(std::string& out, std::uint64_t number) {
  out += std::to_string(number);
}

void print_row(const EventSum& row, std::string& out) {
  out += '[';
  append(out, row.instance);
  out += ',';
  append(out, static_cast<std::uint64_t>(row.minute));
  out += ",[";
  for (const EventSum::Second& each : row.seconds) {
    if (out.back() == ']') out += ',';
    out += '[';
    append(out, each.second);
    for (const std::uint64_t count :
         {each.counts.events, each.counts.delivered, each.counts.failed}) {
      out += ',';
      append(out, count);
    }
    out += ']';
  }
  out += "],[";
  for (std::size_t bucket = 0; bucket < kLatencyBuckets; ++bucket) {
    if (row.latency[bucket] == 0) continue;
    if (out.back() == ']') out += ',';
    out += '[';
    append(out, bucket);
    out += ',';
    append(out, row.latency[bucket]);
    out += ']';
  }
  out += "]]";
}

EventCounts& counts_in(EventSum& row, std::uint32_t second) {
  // The newest is the last as a rule.
  const auto found =
      std::find_if(row.seconds.rbegin(), row.seconds.rend(),
                   [second](const EventSum::Second& each) { return each.second == second; });
  if (found != row.seconds.rend()) return found->counts;
  row.seconds.push_back({second, {}});
  return row.seconds.back().counts;
}

}  // namespace

std::size_t latency_bucket(std::chrono::milliseconds took) noexcept {
  const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0));
  return std::min(static_cast<std::size_t>(std::bit_width(ms)), kLatencyBuckets - 1);
}

std::size_t EventSums::KeyHash::operator()(const Key& key) const noexcept {
  constexpr std::uint64_t kSpread = 0x9E3779B97F4A7C15ULL;
  return static_cast<std::size_t>((key.instance * kSpread) ^
                                  (static_cast<std::uint64_t>(key.minute) * (kSpread << 1U)));
}

EventSum& EventSums::row_of(InstanceId instance, std::int64_t minute) {
  if (last_ != nullptr && last_->instance == instance.value && last_->minute == minute) {
    return *last_;
  }
  EventSum& row = rows_[Key{instance.value, minute}];
  row.instance = instance.value;
  row.minute = minute;
  last_ = &row;
  return row;
}

void EventSums::enter() {
  for (const Note& note : notes_) {
    const std::int64_t seconds = std::max<std::int64_t>(unix_seconds(note.at), 0);
    EventSum& row = row_of(note.instance, seconds / kSecondsPerMinute);
    EventCounts& counts = counts_in(row, static_cast<std::uint32_t>(seconds % kSecondsPerMinute));
    if (note.what == What::Received) ++counts.events;
    if (note.what == What::Failed) ++counts.failed;
    if (note.what != What::Delivered) continue;
    ++counts.delivered;
    ++row.latency[note.bucket];
  }
  notes_.clear();
}

std::string EventSums::print(std::size_t rows_max) {
  enter();
  std::string out = R"({"v":1,"rows":[)";
  for (const auto& [key, row] : rows_) {
    if (rows_max-- == 0) break;
    if (out.back() == ']') out += ',';
    print_row(row, out);
  }
  out += "]}";
  return out;
}

void EventSums::forget(std::size_t rows_max) {
  auto end = rows_.begin();
  while (end != rows_.end() && rows_max-- > 0) ++end;
  rows_.erase(rows_.begin(), end);
  last_ = nullptr;
}

std::vector<EventSum> read_event_sums(std::string_view value) {
  boost::system::error_code error;
  const json::value parsed = json::parse({value.data(), value.size()}, error);
  if (error.failed() || !parsed.is_object()) return {};
  const json::value* const version = parsed.get_object().if_contains("v");
  const json::value* const rows = parsed.get_object().if_contains("rows");
  if (version == nullptr || number(*version) != 1U || rows == nullptr || !rows->is_array()) {
    return {};
  }
  std::vector<EventSum> out;
  for (const json::value& each : rows->get_array()) {
    std::optional<EventSum> row = read_row(each);
    if (!row) return {};
    out.push_back(*std::move(row));
  }
  return out;
}

}  // namespace eventrelay
