// The head of an outgoing request: what an endpoint always gets, built once, and the fields of one
// attempt behind it.
//
// Why:     whatever is written here is not checked again by anybody: a line break in a value would
//          be a field of an attacker's choice. Every name and value passes one validator, when the
//          head is built and when it is sent.
// Owner:   the shard, one per subscription.  Thread: shard-local.
// Bounds:  configured fields 64, each value 8 KiB; event-derived values 1 KiB; no allocation per
//          request once the buffers are warm.
// Errors:  construction throws std::invalid_argument that names the field; compose() can not fail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/event.hpp"
#include "common/observe/trace_context.hpp"
#include "common/registry/registry.hpp"
#include "relay/request/format.hpp"
#include "relay/request/signer.hpp"

namespace eventrelay::relay {

inline constexpr std::size_t kEventValueMax = 1024;
inline constexpr std::size_t kConfiguredFieldsMax = 64;
inline constexpr std::size_t kConfiguredValueMax = 8192;

// RFC 9110 5.6.2.
[[nodiscard]] bool is_token(std::string_view name) noexcept;
// Visible ASCII, and SP or HTAB inside; not empty.
[[nodiscard]] bool is_field_value(std::string_view value) noexcept;
// Starts with '/', visible ASCII without '#'.
[[nodiscard]] bool is_target(std::string_view target) noexcept;
// Why a configured field can not be sent; nothing if it can. For the configuration and for the
// head.
[[nodiscard]] std::optional<std::string> refuse_field(std::string_view name,
                                                      std::string_view value);

// Appends `name: value` and a line end. Pre: both are clean; asserted, the caller owns them.
void append_field(std::string_view name, std::string_view value, std::string& head);
// As append_field for a value that came with an event: what is not visible ASCII, and '%' and '"',
// becomes %XX, and it is cut at kEventValueMax bytes, never inside a %XX. Empty: no field.
void append_event_field(std::string_view name, std::string_view value, std::string& head);

// Appends traceparent (W3C Trace Context): a child of `parent`, or the root of a new trace if that
// is not a valid one; `tracestate` only follows a valid parent.
void append_trace(const Event& event, const TraceSeed& seed, std::string& head);

// The request line and the fields that never change. Thread: immutable.  Bounds: see above.
class OutgoingHead {
 public:
  OutgoingHead(const CallbackUrl& url, const std::map<std::string, std::string>& headers);

  [[nodiscard]] std::string_view text() const noexcept { return text_; }

 private:
  std::string text_;
};

// One attempt to be written.
struct AttemptInfo {
  std::uint32_t number = 1;  // the first attempt is 1
  WallTime now{};
  TraceSeed trace;
};

// Buffers of one attempt, used again by the next.
struct RequestBuffers {
  std::string head;
  std::string body;
};

// A whole request in pieces, to be written in this order. Views into buffers and message.
struct Request {
  std::string_view head;
  Body body;
};

// Everything that turns an event into the bytes for one subscription.
// Thread: shard-local.  Bounds: about 1 KiB and the signer's contexts.
class RequestTemplate {
 public:
  // Throws std::invalid_argument.
  RequestTemplate(const Instance& instance, const Subscription& subscription);

  // The request for `event`; its body is the same on every attempt. The views live as long as
  // `buffers` is not used again and the event's message is held.
  [[nodiscard]] Request compose(const Event& event, const AttemptInfo& attempt,
                                RequestBuffers& buffers);

 private:
  OutgoingHead head_;
  Formatter formatter_;
  Signer signer_;
};

}  // namespace eventrelay::relay
