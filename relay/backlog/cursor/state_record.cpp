#include "relay/backlog/cursor/state_record.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "common/text/json.hpp"
#include "common/text/json_text.hpp"

namespace eventrelay::relay {

namespace {

constexpr std::int64_t kVersion = 1;
// As records have them; `off` is the older word for paused.
constexpr std::array<std::string_view, 4> kStateNames{"detached", "off", "blocked", "replay"};
constexpr std::size_t kTextMax = 4096;  // of a subscription, an object, a reason

enum Member : std::size_t {
  kV,
  kSubscription,
  kObject,
  kState,
  kFrom,
  kCursor,
  kEnd,
  kDue,
  kAttempt,
  kEpoch,
  kSince,
  kReason,
  kRanges,
  kMembers,
};
constexpr std::array<json::Wanted, kMembers> kWanted{{{{}, "v"},
                                                      {{}, "subscription"},
                                                      {{}, "object"},
                                                      {{}, "state"},
                                                      {{}, "from"},
                                                      {{}, "cursor"},
                                                      {{}, "end"},
                                                      {{}, "due"},
                                                      {{}, "attempt"},
                                                      {{}, "epoch"},
                                                      {{}, "since"},
                                                      {{}, "reason"},
                                                      {{}, "ranges"}}};
constexpr std::array<json::Wanted, 3> kOwnerWanted{{{{}, "v"}, {{}, "owner"}, {{}, "epoch"}}};

std::int64_t wall_number(WallTime time) {
  return unix_ms(time);
}

// Takes members out of a scanned document; the first thing that is wrong is kept.
class Picker {
 public:
  explicit Picker(std::span<const json::Found> found) : found_(found) {}

  void version(std::size_t member) {
    const std::uint64_t number = required(member, std::numeric_limits<std::int64_t>::max());
    if (!error_ && number != kVersion) error_ = StateError::UnknownVersion;
  }

  [[nodiscard]] std::uint64_t required(std::size_t member, std::int64_t max) {
    if (found_[member].kind == json::Kind::Absent) return fail(StateError::MissingField);
    return number(member, max);
  }

  // Null, and nothing if `absent` may be left out.
  [[nodiscard]] std::optional<std::uint64_t> nullable(std::size_t member) {
    if (found_[member].kind == json::Kind::Absent) fail(StateError::MissingField);
    if (found_[member].kind == json::Kind::Null) return std::nullopt;
    return number(member, std::numeric_limits<std::int64_t>::max());
  }

  [[nodiscard]] std::string_view text(std::size_t member, std::size_t max = kTextMax) {
    const json::Found& found = found_[member];
    if (found.kind == json::Kind::Absent) fail(StateError::MissingField);
    if (found.kind != json::Kind::String || found.text.size() > max) fail(StateError::BadField);
    return found.text;
  }

  [[nodiscard]] bool is_null(std::size_t member) const {
    return found_[member].kind == json::Kind::Null;
  }
  [[nodiscard]] bool is_absent(std::size_t member) const {
    return found_[member].kind == json::Kind::Absent;
  }
  std::uint64_t fail(StateError error) {
    if (!error_) error_ = error;
    return 0;
  }
  [[nodiscard]] std::optional<StateError> error() const { return error_; }

 private:
  std::uint64_t number(std::size_t member, std::int64_t max) {
    const json::Found& found = found_[member];
    if (found.kind != json::Kind::Number || found.text.empty()) return fail(StateError::BadField);
    std::int64_t value = 0;
    const char* const end = found.text.data() + found.text.size();
    const auto [rest, error] = std::from_chars(found.text.data(), end, value);
    if (error != std::errc{} || rest != end || value < 0 || value > max) {
      return fail(StateError::BadField);
    }
    return static_cast<std::uint64_t>(value);
  }

  std::span<const json::Found> found_;
  std::optional<StateError> error_;
};

// Scans `value` into `found`; views into `padded` and the scanner.
struct Scan {
  std::string padded;
  json::Scanner scanner;
  std::array<json::Found, kMembers> found;

  [[nodiscard]] std::optional<StateError> run(std::string_view value,
                                              std::span<const json::Wanted> wanted) {
    if (value.size() > kStateValueMax) return StateError::TooLong;
    padded.assign(value);
    padded.append(json::kPadding, '\0');
    const std::string_view text(padded.data(), value.size());
    const auto kind = scanner.scan(text, wanted, std::span(found).first(wanted.size()));
    if (!kind || *kind != json::Kind::Object) return StateError::NotJson;
    return std::nullopt;
  }
};

Offset offset_of(std::uint64_t number) {
  return Offset{static_cast<std::int64_t>(number)};
}

WallTime time_of(std::uint64_t ms) {
  return WallTime(std::chrono::milliseconds(static_cast<std::int64_t>(ms)));
}

void pick_place(Picker& pick, StateRecord& record) {
  record.from = offset_of(pick.required(kFrom, std::numeric_limits<std::int64_t>::max()));
  record.position = offset_of(pick.required(kCursor, std::numeric_limits<std::int64_t>::max()));
  if (const auto end = pick.nullable(kEnd)) record.end = offset_of(*end);
  if (const auto due = pick.nullable(kDue)) record.due = time_of(*due);
  if (record.position < record.from || (record.end && *record.end < record.from)) {
    pick.fail(StateError::BadField);
  }
}

void pick_state(Picker& pick, StateRecord& record) {
  const std::string_view name = pick.text(kState);
  const auto* const found = std::find(kStateNames.begin(), kStateNames.end(), name);
  if (found == kStateNames.end()) {
    pick.fail(StateError::BadField);
    return;
  }
  record.state = static_cast<CursorState>(found - kStateNames.begin());
}

}  // namespace

std::string_view describe(StateError error) noexcept {
  switch (error) {
    case StateError::NotJson:
      return "is not a JSON object";
    case StateError::UnknownVersion:
      return "has a version that is not 1";
    case StateError::MissingField:
      return "lacks a member";
    case StateError::BadField:
      return "has a member with a wrong type or value";
    case StateError::TooLong:
      return "is longer than 32 KiB";
  }
  return "is wrong";
}

std::string_view shown_name(CursorState state) noexcept {
  return state == CursorState::Paused ? "paused" : kStateNames[static_cast<std::size_t>(state)];
}

std::string state_key(std::string_view subscription, const std::optional<std::string_view>& object,
                      Offset from) {
  std::string key(subscription);
  if (object) {
    key += '|';
    key += *object;
  }
  key += '@';
  key += std::to_string(from.value);
  return key;
}

std::string encode(const StateRecord& record) {
  JsonObject json;
  json.number("v", kVersion).text("subscription", record.subscription);
  if (record.object) {
    json.text("object", *record.object);
  } else {
    json.raw("object", "null");
  }
  json.text("state", kStateNames[static_cast<std::size_t>(record.state)])
      .number("from", record.from.value)
      .number("cursor", record.position.value);
  if (record.end) {
    json.number("end", record.end->value);
  } else {
    json.raw("end", "null");
  }
  if (record.due) {
    json.number("due", wall_number(*record.due));
  } else {
    json.raw("due", "null");
  }
  json.number("attempt", std::uint64_t{record.attempt})
      .number("epoch", record.epoch)
      .number("since", wall_number(record.since))
      .text("reason", record.reason);
  if (!record.ranges.empty()) json.text("ranges", record.ranges);
  return std::move(json).finish();
}

std::string encode(const OwnerRecord& record) {
  JsonObject json;
  json.number("v", kVersion).text("owner", record.owner).number("epoch", record.epoch);
  return std::move(json).finish();
}

Expected<StateRecord, StateError> decode_state(std::string_view value) {
  Scan scan;
  if (const auto error = scan.run(value, kWanted)) return Unexpected<StateError>(*error);
  Picker pick(scan.found);
  pick.version(kV);
  if (pick.error()) return Unexpected<StateError>(*pick.error());
  StateRecord record;
  record.subscription = pick.text(kSubscription);
  if (record.subscription.empty()) pick.fail(StateError::BadField);
  if (!pick.is_null(kObject)) record.object = pick.text(kObject);
  pick_state(pick, record);
  pick_place(pick, record);
  record.attempt = static_cast<std::uint32_t>(
      pick.required(kAttempt, std::numeric_limits<std::uint32_t>::max()));
  record.epoch = pick.required(kEpoch, std::numeric_limits<std::int64_t>::max());
  record.since = time_of(pick.required(kSince, std::numeric_limits<std::int64_t>::max()));
  record.reason = pick.text(kReason);
  if (!pick.is_absent(kRanges)) record.ranges = pick.text(kRanges, kRangesMax);
  if (pick.error()) return Unexpected<StateError>(*pick.error());
  return record;
}

Expected<OwnerRecord, StateError> decode_owner(std::string_view value) {
  Scan scan;
  if (const auto error = scan.run(value, kOwnerWanted)) return Unexpected<StateError>(*error);
  Picker pick(scan.found);
  pick.version(0);
  if (pick.error()) return Unexpected<StateError>(*pick.error());
  OwnerRecord record;
  record.owner = pick.text(1);
  record.epoch = pick.required(2, std::numeric_limits<std::int64_t>::max());
  if (pick.error()) return Unexpected<StateError>(*pick.error());
  return record;
}

Expected<bool, StateError> StateTable::take(std::string_view key, std::string_view value) {
  if (key == kOwnerKey) {
    if (value.empty()) return false;
    const auto mark = decode_owner(value);
    if (!mark) return Unexpected<StateError>(mark.error());
    // Of two marks of one epoch the first counts: its owner may have begun already.
    if (mark->epoch <= epoch_) return false;
    epoch_ = mark->epoch;
    owner_ = mark->owner;
    return true;
  }
  const auto known = records_.find(key);
  if (value.empty()) {
    const bool counts = known == records_.end() || known->second.complete();
    if (!counts) {
      fenced_.emplace_back(key);
    } else if (known != records_.end()) {
      records_.erase(known);
    }
    return counts;
  }
  auto record = decode_state(value);
  if (!record) return Unexpected<StateError>(record.error());
  if (key != state_key(record->subscription, record->object, record->from)) {
    return Unexpected<StateError>(StateError::BadField);
  }
  if (record->epoch < epoch_) {
    fenced_.emplace_back(key);
    return false;
  }
  epoch_ = record->epoch;
  if (known != records_.end()) {
    known->second = *std::move(record);
  } else {
    records_.emplace(std::string(key), *std::move(record));
  }
  return true;
}

}  // namespace eventrelay::relay
