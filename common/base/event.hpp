// The envelope of one event: the only type that both services know, and its form as record headers.
//
// Thread:  views only; valid while the bytes they point into live (session buffer, Kafka message).
// Bounds:  no allocation; every header value is ASCII and at most kHeaderValueMax bytes.
// Errors:  RecordError; a reader that meets an unknown version stops its partition, never guesses.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/base/expected.hpp"
#include "common/base/ids.hpp"

namespace eventrelay {

inline constexpr std::size_t kHeaderValueMax = 1024;
inline constexpr std::string_view kRecordVersion = "1";

namespace header {
inline constexpr std::string_view kVersion = "er-v";
inline constexpr std::string_view kId = "er-id";
inline constexpr std::string_view kProviderId = "er-provider-id";
inline constexpr std::string_view kElement = "er-element";
inline constexpr std::string_view kInstance = "er-instance";
inline constexpr std::string_view kEventType = "er-event-type";
inline constexpr std::string_view kObjectType = "er-object-type";
inline constexpr std::string_view kObjectId = "er-object-id";
inline constexpr std::string_view kDate = "er-date";
inline constexpr std::string_view kReceived = "er-received";
inline constexpr std::string_view kContentType = "er-content-type";
inline constexpr std::string_view kTraceparent = "traceparent";
inline constexpr std::string_view kTracestate = "tracestate";
inline constexpr std::string_view kPart = "er-part";
inline constexpr std::string_view kSubscription = "er-sub";
inline constexpr std::string_view kAttempt = "er-attempt";
inline constexpr std::string_view kDue = "er-due";
inline constexpr std::string_view kFirstFailure = "er-first-failure";
inline constexpr std::string_view kReason = "er-reason";
inline constexpr std::string_view kDeadClass = "er-class";
}  // namespace header

// Why an event is dead: its subscriber did not take it in time, or it could not be handled here.
inline constexpr std::string_view kSubscriberFailure = "subscriber";
inline constexpr std::string_view kPipelineFailure = "pipeline";

// State of a parked or dead record.
struct ParkedState {
  std::string_view subscription;  // subscription id
  std::uint32_t attempts_made = 0;
  std::optional<WallTime> due;  // parked records only
  WallTime first_failure{};
  std::string_view reason;        // one word of the outcome list
  std::string_view dead_class{};  // dead records only: kSubscriberFailure or kPipelineFailure
};

// One event as both services see it. Empty view = field absent.
struct Event {
  std::string_view id;           // derived from (instance, provider id), else UUIDv7
  std::string_view provider_id;  // the provider's stable id, same on the provider's own retry
  std::string_view element;      // element key, e.g. box
  InstanceId instance;
  std::string_view event_type;  // CREATED, UPDATED, DELETED, UNKNOWN, ... an open set
  std::string_view object_type;
  std::string_view object_id;
  std::string_view date;          // yyyy-MM-ddTHH:mm:ssZ
  WallTime received{};            // when ingest had read the head
  std::string_view content_type;  // as the provider sent it
  std::string_view traceparent;
  std::string_view tracestate;
  std::string_view part;  // `2/5`: which 20 objects of the body this record is about; empty: all
  std::string_view body;  // the provider's bytes, unchanged
  std::optional<ParkedState> parked;
};

// Calls `visit` for each text of `event` that is a record header, so that it can be moved.
template <class Visit>
void for_each_header_text(Event& event, Visit visit) {
  for (std::string_view* const text :
       {&event.id, &event.provider_id, &event.element, &event.event_type, &event.object_type,
        &event.object_id, &event.date, &event.content_type, &event.traceparent, &event.tracestate,
        &event.part}) {
    visit(*text);
  }
  if (!event.parked) return;
  visit(event.parked->subscription);
  visit(event.parked->reason);
  visit(event.parked->dead_class);
}

enum class RecordError : std::uint8_t { MissingVersion, UnknownVersion, MissingField, BadField };

[[nodiscard]] std::string_view describe(RecordError error) noexcept;

// One record header.
struct HeaderField {
  std::string_view name;
  std::string_view value;
};

// The headers of an event in a fixed array; numbers are printed into the object itself. An optional
// text that cannot be a header value (empty, not ASCII, too long) is left out: the body has it.
// Thread: one owner.  Bounds: kFieldsMax fields, no allocation; views die with the object.
class RecordHeaders {
 public:
  static constexpr std::size_t kFieldsMax = 20;

  // Of a record that is no event: its version alone.
  RecordHeaders();
  explicit RecordHeaders(const Event& event);
  RecordHeaders(const RecordHeaders&) = delete;
  RecordHeaders& operator=(const RecordHeaders&) = delete;

  [[nodiscard]] const HeaderField* begin() const noexcept { return fields_.data(); }
  [[nodiscard]] const HeaderField* end() const noexcept { return fields_.data() + count_; }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }

 private:
  void add(std::string_view name, std::string_view value);
  void add_optional(std::string_view name, std::string_view value);
  void add_number(std::string_view name, std::uint64_t value);
  void add_time(std::string_view name, WallTime time);

  std::array<HeaderField, kFieldsMax> fields_{};
  std::size_t count_ = 0;
  std::array<char, 128> digits_{};
  std::size_t digits_used_ = 0;
};

// Collects headers in any order and yields the event. Thread: one owner.  Bounds: views.
class RecordReader {
 public:
  // Unknown names are ignored; a repeated name is a BadField.
  void accept(std::string_view name, std::string_view value) noexcept;
  [[nodiscard]] Expected<Event, RecordError> finish(std::string_view body) const noexcept;

 private:
  Event event_;
  ParkedState parked_;
  std::uint32_t seen_ = 0;  // one bit per known name
  std::size_t next_ = 0;    // index of the name that is compared first
  std::optional<RecordError> error_;
};

}  // namespace eventrelay
