#include "common/observe/event_sums.hpp"

#include <algorithm>
#include <bit>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <charconv>

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

// Appends `lead` and the number.
void append(char lead, std::uint64_t number, std::string& out) {
  std::array<char, 24> text;
  text[0] = lead;
  const auto end = std::to_chars(text.data() + 1, text.data() + text.size(), number).ptr;
  out.append(text.data(), end);
}

// One of the members of a list that has just been opened, or has some.
void append_member(std::string& out) {
  if (out.back() == ']') out += ',';
}

}  // namespace

std::size_t latency_bucket(std::chrono::milliseconds took) noexcept {
  const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0));
  return std::min(static_cast<std::size_t>(std::bit_width(ms)), kLatencyBuckets - 1);
}

std::uint64_t EventSums::hash_of(std::uint64_t instance, std::uint32_t minute) noexcept {
  constexpr std::uint64_t kSpread = 0x9E3779B97F4A7C15ULL;
  return (instance * kSpread ^ minute) * kSpread >> 20U;
}

EventSums::Row& EventSums::row_of(InstanceId instance, std::uint32_t minute) {
  if (!placed_ || places_.size() < 2 * (rows_.size() + 1)) find_places();
  const std::size_t mask = places_.size() - 1;
  std::size_t at = hash_of(instance.value, minute) & mask;
  for (; places_[at] != 0; at = (at + 1) & mask) {
    Row& row = rows_[places_[at] - 1];
    if (row.instance == instance.value && row.minute == minute) return row;
  }
  Row& row = rows_.emplace_back();
  row.instance = instance.value;
  row.minute = minute;
  places_[at] = static_cast<std::uint32_t>(rows_.size());
  return row;
}

// For the rows there are, with room for one more.
void EventSums::find_places() {
  places_.assign(std::max({kPlacesMin, places_.size(), std::bit_ceil(2 * (rows_.size() + 1))}), 0);
  const std::size_t mask = places_.size() - 1;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    std::size_t at = hash_of(rows_[i].instance, rows_[i].minute) & mask;
    while (places_[at] != 0) at = (at + 1) & mask;
    places_[at] = static_cast<std::uint32_t>(i + 1);
  }
  placed_ = true;
}

EventSums::Many& EventSums::widen(Row& row) {
  if (row.many != nullptr) return *row.many;
  row.many = std::make_unique<Many>();
  for (std::size_t i = 0; i < row.used; ++i) {
    row.many->seconds.push_back({row.seconds[i], row.counts[i]});
  }
  row.many->latency[row.bucket] = row.in_bucket;
  return *row.many;
}

EventSums::Counts& EventSums::counts_in(Row& row, std::uint8_t second) {
  for (std::size_t i = 0; row.many == nullptr && i < row.used; ++i) {
    if (row.seconds[i] == second) return row.counts[i];
  }
  if (row.many == nullptr && row.used < row.seconds.size()) {
    row.seconds[row.used] = second;
    return row.counts[row.used++];
  }
  auto& seconds = widen(row).seconds;
  // The newest is the last as a rule.
  const auto found =
      std::find_if(seconds.rbegin(), seconds.rend(),
                   [second](const Many::Second& each) { return each.second == second; });
  if (found != seconds.rend()) return found->counts;
  seconds.push_back({second, {}});
  return seconds.back().counts;
}

void EventSums::count_latency(Row& row, std::uint8_t bucket) {
  if (row.many == nullptr && (row.in_bucket == 0 || row.bucket == bucket)) {
    row.bucket = bucket;
    ++row.in_bucket;
  } else {
    ++widen(row).latency[bucket];
  }
}

void EventSums::enter() {
  for (const Note& note : notes_) {
    const std::int64_t seconds = std::max<std::int64_t>(unix_seconds(note.at), 0);
    Row& row = row_of(note.instance, static_cast<std::uint32_t>(seconds / kSecondsPerMinute));
    Counts& counts = counts_in(row, static_cast<std::uint8_t>(seconds % kSecondsPerMinute));
    if (note.what == What::Received) ++counts.events;
    if (note.what == What::Failed) ++counts.failed;
    if (note.what != What::Delivered) continue;
    ++counts.delivered;
    count_latency(row, note.bucket);
  }
  notes_.clear();
}

void EventSums::print_row(const Row& row, std::string& out) {
  append('[', row.instance, out);
  append(',', row.minute, out);
  out += ",[";
  const auto second = [&out](std::uint32_t number, const Counts& counts) {
    append_member(out);
    append('[', number, out);
    append(',', counts.events, out);
    append(',', counts.delivered, out);
    append(',', counts.failed, out);
    out += ']';
  };
  const auto bucket = [&out](std::size_t number, std::uint32_t count) {
    if (count == 0) return;
    append_member(out);
    append('[', number, out);
    append(',', count, out);
    out += ']';
  };
  if (row.many == nullptr) {
    for (std::size_t i = 0; i < row.used; ++i) second(row.seconds[i], row.counts[i]);
    out += "],[";
    bucket(row.bucket, row.in_bucket);
  } else {
    for (const Many::Second& each : row.many->seconds) second(each.second, each.counts);
    out += "],[";
    for (std::size_t i = 0; i < kLatencyBuckets; ++i) bucket(i, row.many->latency[i]);
  }
  out += "]]";
}

// The last ones, which forget() takes off without moving the others.
std::string EventSums::print(std::size_t rows_max) {
  enter();
  std::string out = R"({"v":1,"rows":[)";
  const std::size_t count = std::min(rows_max, rows_.size());
  out.reserve(out.size() + count * 64);
  for (std::size_t i = rows_.size() - count; i < rows_.size(); ++i) {
    append_member(out);
    print_row(rows_[i], out);
  }
  out += "]}";
  return out;
}

void EventSums::forget(std::size_t rows_max) {
  rows_.resize(rows_.size() - std::min(rows_max, rows_.size()));
  placed_ = false;
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
