#include "ingest/history/fate.hpp"

#include <algorithm>
#include <array>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <charconv>

namespace eventrelay::history {
namespace {

namespace json = boost::json;

std::optional<json::object> object_of(std::string_view value) {
  boost::system::error_code error;
  json::value parsed = json::parse({value.data(), value.size()}, error);
  if (error.failed() || !parsed.is_object()) return std::nullopt;
  return std::move(parsed.get_object());
}

std::optional<std::int64_t> number(const json::object& object, json::string_view name) {
  const json::value* const value = object.if_contains(name);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  boost::system::error_code error;
  const auto read = value->to_number<std::int64_t>(error);
  if (error.failed()) return std::nullopt;
  return read;
}

std::string text(const json::object& object, json::string_view name) {
  const json::value* const value = object.if_contains(name);
  if (value == nullptr || !value->is_string()) return {};
  return std::string(value->get_string());
}

WallTime time_of(std::int64_t ms) {
  return WallTime(std::chrono::milliseconds(ms));
}

}  // namespace

DoneOffsets::DoneOffsets(Offset next, std::string_view ranges) : next_(next.value) {
  if (!ranges.starts_with("1:")) return;
  ranges = ranges.substr(2, ranges.rfind('@') - 2);
  std::int64_t at = next_;
  for (bool done = false; !ranges.empty(); done = !done) {
    const std::size_t end = std::min(ranges.find(','), ranges.size());
    std::int64_t length = 0;
    const auto [stop, error] = std::from_chars(ranges.data(), ranges.data() + end, length);
    if (error != std::errc{} || stop != ranges.data() + end || length < 0) {
      runs_.clear();
      return;
    }
    if (done) runs_.push_back({at, at + length});
    at += length;
    ranges.remove_prefix(std::min(end + 1, ranges.size()));
  }
}

bool DoneOffsets::contains(Offset offset) const noexcept {
  if (offset.value < next_) return true;
  return std::any_of(runs_.begin(), runs_.end(), [offset](const Run& run) {
    return offset.value >= run.first && offset.value < run.end;
  });
}

bool Cursor::holds(Offset offset, std::string_view object_id) const {
  if (object && *object != object_id) return false;
  if (offset < from || (end && offset >= *end)) return false;
  return !done.contains(offset);
}

std::optional<Cursor> read_cursor(std::string_view value) {
  const std::optional<json::object> object = object_of(value);
  if (!object) return std::nullopt;
  const auto from = number(*object, "from");
  const auto position = number(*object, "cursor");
  const std::string state = text(*object, "state");
  if (!from || !position || (state != "detached" && state != "off" && state != "blocked")) {
    return std::nullopt;
  }
  Cursor out;
  out.subscription = text(*object, "subscription");
  if (const json::value* const named = object->if_contains("object");
      named != nullptr && named->is_string()) {
    out.object = std::string(named->get_string());
  }
  out.paused = state == "off";
  out.from = Offset{*from};
  if (const auto end = number(*object, "end")) out.end = Offset{*end};
  out.done = DoneOffsets(Offset{*position}, text(*object, "ranges"));
  out.position = *position;
  out.epoch = static_cast<std::uint64_t>(number(*object, "epoch").value_or(0));
  out.since = time_of(number(*object, "since").value_or(0));
  out.reason = text(*object, "reason");
  return out;
}

std::optional<AttemptSeen> read_attempt(std::string_view value) {
  const std::optional<json::object> object = object_of(value);
  if (!object) return std::nullopt;
  AttemptSeen out;
  out.event = text(*object, "event");
  out.subscription = text(*object, "subscription");
  out.at = time_of(number(*object, "at").value_or(0));
  out.attempt = static_cast<std::uint32_t>(number(*object, "attempt").value_or(0));
  out.outcome = text(*object, "outcome");
  out.status = static_cast<int>(number(*object, "status").value_or(0));
  out.ms = number(*object, "ms").value_or(0);
  out.next = text(*object, "next");
  if (out.event.empty() || out.subscription.empty()) return std::nullopt;
  return out;
}

std::string_view word_of(Fate fate) noexcept {
  constexpr std::array<std::string_view, 6> kWords{"pending", "delivered", "retry",
                                                   "dead",    "queued",    "filtered"};
  return kWords[static_cast<std::size_t>(fate)];
}

Fate fate_of(const Traces& traces) noexcept {
  const AttemptSeen* const last = traces.attempts.empty() ? nullptr : &traces.attempts.back();
  const auto after = [last](const std::optional<ParkedSeen>& record) {
    return last != nullptr && last->next == "done" && (!record || last->at >= record->stamped);
  };
  // It waits in a delay topic, unless its next attempt was delivered and only the position is late.
  if (traces.parked && !after(traces.parked)) return traces.paused ? Fate::Queued : Fate::Retry;
  if (traces.dead && !after(traces.dead)) return Fate::Dead;
  if (last != nullptr && last->next == "done") return Fate::Delivered;
  if (last != nullptr && last->next == "dead") return Fate::Dead;
  if (!traces.wanted && last == nullptr) return Fate::Filtered;
  if (traces.queued) return Fate::Queued;
  if (traces.settled) return Fate::Delivered;
  return last != nullptr ? Fate::Retry : Fate::Pending;
}

}  // namespace eventrelay::history
