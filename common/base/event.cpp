#include "common/base/event.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "common/base/assert.hpp"
#include "common/base/printable.hpp"

namespace eventrelay {

namespace {

// Known names in the order in which RecordHeaders writes them, so that a reader finds the next
// header at its first look.
enum Known : std::size_t {
  kVersionField,
  kIdField,
  kProviderIdField,
  kElementField,
  kInstanceField,
  kEventTypeField,
  kObjectTypeField,
  kObjectIdField,
  kDateField,
  kReceivedField,
  kContentTypeField,
  kTraceparentField,
  kTracestateField,
  kPartField,
  kSubscriptionField,
  kAttemptField,
  kDueField,
  kFirstFailureField,
  kReasonField,
  kDeadClassField,
  kKnownCount
};
constexpr std::array<std::string_view, kKnownCount> kNames{
    header::kVersion,    header::kId,           header::kProviderId,   header::kElement,
    header::kInstance,   header::kEventType,    header::kObjectType,   header::kObjectId,
    header::kDate,       header::kReceived,     header::kContentType,  header::kTraceparent,
    header::kTracestate, header::kPart,         header::kSubscription, header::kAttempt,
    header::kDue,        header::kFirstFailure, header::kReason,       header::kDeadClass};
static_assert(RecordHeaders::kFieldsMax == kKnownCount);

constexpr std::uint32_t bit(std::size_t field) noexcept {
  return std::uint32_t{1} << field;
}
constexpr std::uint32_t kParkedBits = bit(kSubscriptionField) | bit(kAttemptField) |
                                      bit(kDueField) | bit(kFirstFailureField) | bit(kReasonField);
constexpr std::uint32_t kEventNeeds =
    bit(kIdField) | bit(kElementField) | bit(kInstanceField) | bit(kReceivedField);
constexpr std::uint32_t kParkedNeeds =
    bit(kSubscriptionField) | bit(kAttemptField) | bit(kFirstFailureField) | bit(kReasonField);

// What may stand in a record header and later in a request: printable ASCII that is not too long.
bool fits(std::string_view value) noexcept {
  return !value.empty() && value.size() <= kHeaderValueMax && is_printable(value);
}

// Digits alone, no sign, no leading zero, within the type.
template <class Number>
bool read_number(std::string_view text, Number& out) noexcept {
  if (text.empty() || text.front() < '0' || text.front() > '9') return false;
  if (text.size() > 1 && text.front() == '0') return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

bool read_time(std::string_view text, WallTime& out) noexcept {
  std::int64_t ms = 0;
  if (!read_number(text, ms)) return false;
  out = WallTime{std::chrono::milliseconds{ms}};
  return true;
}

bool read_text(std::string_view text, std::string_view& out) noexcept {
  out = text;
  return true;
}

bool read_due(std::string_view text, ParkedState& parked) noexcept {
  WallTime due{};
  if (!read_time(text, due)) return false;
  parked.due = due;
  return true;
}

// Stores the value of a known field; false if it is malformed.
bool store(std::size_t field, std::string_view value, Event& event, ParkedState& parked) noexcept {
  switch (field) {
    case kIdField:
      return read_text(value, event.id);
    case kProviderIdField:
      return read_text(value, event.provider_id);
    case kElementField:
      return read_text(value, event.element);
    case kInstanceField:
      return read_number(value, event.instance.value);
    case kEventTypeField:
      return read_text(value, event.event_type);
    case kObjectTypeField:
      return read_text(value, event.object_type);
    case kObjectIdField:
      return read_text(value, event.object_id);
    case kDateField:
      return read_text(value, event.date);
    case kReceivedField:
      return read_time(value, event.received);
    case kContentTypeField:
      return read_text(value, event.content_type);
    case kTraceparentField:
      return read_text(value, event.traceparent);
    case kTracestateField:
      return read_text(value, event.tracestate);
    case kPartField:
      return read_text(value, event.part);
    case kSubscriptionField:
      return read_text(value, parked.subscription);
    case kAttemptField:
      return read_number(value, parked.attempts_made);
    case kDueField:
      return read_due(value, parked);
    case kFirstFailureField:
      return read_time(value, parked.first_failure);
    case kReasonField:
      return read_text(value, parked.reason);
    case kDeadClassField:
      return read_text(value, parked.dead_class);
    default:
      return false;
  }
}

}  // namespace

std::string_view describe(RecordError error) noexcept {
  switch (error) {
    case RecordError::MissingVersion:
      return "record has no header er-v";
    case RecordError::UnknownVersion:
      return "record has an er-v other than 1";
    case RecordError::MissingField:
      return "record lacks a required header";
    case RecordError::BadField:
      return "record has a malformed or repeated header";
  }
  return "unknown record error";
}

RecordHeaders::RecordHeaders() {
  add(header::kVersion, kRecordVersion);
}

RecordHeaders::RecordHeaders(const Event& event) {
  add(header::kVersion, kRecordVersion);
  add(header::kId, event.id);
  add_optional(header::kProviderId, event.provider_id);
  add(header::kElement, event.element);
  add_number(header::kInstance, event.instance.value);
  add_optional(header::kEventType, event.event_type);
  add_optional(header::kObjectType, event.object_type);
  add_optional(header::kObjectId, event.object_id);
  add_optional(header::kDate, event.date);
  add_time(header::kReceived, event.received);
  add_optional(header::kContentType, event.content_type);
  add_optional(header::kTraceparent, event.traceparent);
  add_optional(header::kTracestate, event.tracestate);
  add_optional(header::kPart, event.part);
  if (!event.parked) return;
  add(header::kSubscription, event.parked->subscription);
  add_number(header::kAttempt, event.parked->attempts_made);
  if (event.parked->due) add_time(header::kDue, *event.parked->due);
  add_time(header::kFirstFailure, event.parked->first_failure);
  add(header::kReason, event.parked->reason);
  add_optional(header::kDeadClass, event.parked->dead_class);
}

void RecordHeaders::add(std::string_view name, std::string_view value) {
  EVENTRELAY_ASSERT(fits(value) && count_ < kFieldsMax);
  fields_[count_++] = {name, value};
}

void RecordHeaders::add_optional(std::string_view name, std::string_view value) {
  if (fits(value)) add(name, value);
}

void RecordHeaders::add_number(std::string_view name, std::uint64_t value) {
  char* const begin = digits_.data() + digits_used_;
  const auto [end, error] = std::to_chars(begin, digits_.data() + digits_.size(), value);
  EVENTRELAY_ASSERT(error == std::errc{});
  digits_used_ = static_cast<std::size_t>(end - digits_.data());
  add(name, {begin, static_cast<std::size_t>(end - begin)});
}

void RecordHeaders::add_time(std::string_view name, WallTime time) {
  EVENTRELAY_ASSERT(unix_ms(time) >= 0);
  add_number(name, static_cast<std::uint64_t>(unix_ms(time)));
}

void RecordReader::accept(std::string_view name, std::string_view value) noexcept {
  std::size_t field = next_;
  for (std::size_t tried = 0; field >= kKnownCount || kNames[field] != name; ++tried) {
    if (tried > kKnownCount) return;
    field = field >= kKnownCount ? 0 : field + 1;
  }
  next_ = field + 1;
  if ((seen_ & bit(field)) != 0) {
    if (!error_) error_ = RecordError::BadField;
    return;
  }
  seen_ |= bit(field);
  if (field == kVersionField) {
    // The version is judged first: a record of another version may be valid by its own rules.
    if (value != kRecordVersion) error_ = RecordError::UnknownVersion;
    return;
  }
  if (fits(value) && store(field, value, event_, parked_)) return;
  if (!error_) error_ = RecordError::BadField;
}

Expected<Event, RecordError> RecordReader::finish(std::string_view body) const noexcept {
  using Error = Unexpected<RecordError>;
  if ((seen_ & bit(kVersionField)) == 0) return Error{RecordError::MissingVersion};
  if (error_) return Error{*error_};
  if ((seen_ & kEventNeeds) != kEventNeeds) return Error{RecordError::MissingField};
  Event event = event_;
  event.body = body;
  if ((seen_ & kParkedBits) != 0) {
    if ((seen_ & kParkedNeeds) != kParkedNeeds) return Error{RecordError::MissingField};
    event.parked = parked_;
  }
  return event;
}

}  // namespace eventrelay
