// The body of an outgoing request: the notification with the provider's bytes spliced in, those
// bytes alone, or a CloudEvent.
//
// Why:     the body is signed and written where the Kafka message has it; only what surrounds it
//          is built, and what is the same for every event of a subscription is built once.
// Owner:   RequestTemplate.  Thread: shard-local (const, but the buffer has one user).
// Bounds:  about 1 KiB around the raw body, six times that many bytes for a form body at worst; the
//          buffer grows to its peak once.
// Errors:  none; what can not be JSON becomes a JSON string.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/event.hpp"
#include "common/registry/registry.hpp"
#include "relay/request/objects.hpp"

namespace eventrelay::relay {

// Three pieces that are one body. Views into the buffer and the event's message.
struct Body {
  std::string_view prefix;
  std::string_view raw;
  std::string_view suffix;

  [[nodiscard]] std::size_t size() const noexcept {
    return prefix.size() + raw.size() + suffix.size();
  }
};

// Writes bodies of one subscription. The body of an event is the same on every attempt.
// Thread: shard-local.  Bounds: the static parts, some 200 bytes.
class Formatter {
 public:
  Formatter(Format format, const Instance& instance);
  // Leaves out, of an event of several objects, those that the filter refuses.
  void keep_only(const FilterConfig& filter) { filter_ = filter; }

  // The body of `event`, which must outlive it; `buffer` is overwritten.
  [[nodiscard]] Body body(const Event& event, std::string& buffer) const;
  // The value of Content-Type; of raw and binary bodies it is the provider's own.
  [[nodiscard]] std::string_view content_type(const Event& event) const noexcept;
  // Appends the `ce-` fields of a binary CloudEvent to a request head; nothing otherwise.
  void append_fields(const Event& event, std::string& head) const;

 private:
  [[nodiscard]] Body notification(const Event& event, std::string& buffer) const;
  [[nodiscard]] Body cloud_event(const Event& event, std::string& buffer) const;
  // One member of `events`.
  void append_object(std::string_view event_type, std::string_view object_type,
                     std::string_view object_id, std::string_view date, const Event& event,
                     std::string& buffer) const;

  // What is the same for every event, in this order: of a notification, and of a CloudEvent.
  enum class Part : std::uint8_t {
    Topic,     // `,"topic":"...","severity":"low","createdDate":"`
    Element,   // `,"elementKey":"..."`
    Instance,  // `,"instanceId":...,"instanceName":"..."`, and whose it is
    Tail       // `"elementKey":"...","hubKey":"..."`
  };
  static constexpr std::size_t kParts = 4;

  void write_notification(const Instance& instance);
  void end_part(Part part) { ends_[static_cast<std::size_t>(part)] = text_.size(); }
  [[nodiscard]] std::string_view part(Part part) const noexcept {
    const auto index = static_cast<std::size_t>(part);
    const std::size_t begin = index == 0 ? 0 : ends_[index - 1];
    return std::string_view(text_).substr(begin, ends_[index] - begin);
  }
  // /elements/<element>/instances/<id>
  [[nodiscard]] std::string_view source() const noexcept { return text_; }

  Format format_;
  FilterConfig filter_;
  std::string text_;  // the parts one after the other, or the source of a CloudEvent
  std::array<std::size_t, kParts> ends_{};
};

// A number for one event that fits a double exactly: 1 .. 2^53 - 1, from the event id alone.
[[nodiscard]] std::uint64_t notification_id(std::string_view event_id) noexcept;

// Appends a form body (application/x-www-form-urlencoded) as a JSON object of strings; a name that
// occurs again has an array. False, and nothing appended: over 256 parameters.
[[nodiscard]] bool append_form_as_json(std::string_view form, std::string& out);

}  // namespace eventrelay::relay
