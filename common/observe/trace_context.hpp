// W3C trace context: reads and prints `traceparent`, checks `tracestate`.
//
// Why:     an event keeps its trace from the provider's call to the callback
//          (w3.org/TR/trace-context).
// Thread:  pure; random bytes come from the caller.
// Bounds:  no allocation; a traceparent is 55 characters.
// Errors:  nothing for what is malformed; the caller then starts a new trace.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace eventrelay {

using TraceId = std::array<std::uint8_t, 16>;
using SpanId = std::array<std::uint8_t, 8>;

// The trace of an event and the span it is in. Neither id is all zero.
struct TraceContext {
  TraceId trace{};
  SpanId span{};
  bool sampled = false;

  friend bool operator==(const TraceContext&, const TraceContext&) = default;
};

// Random bytes for one trace and one span.
struct TraceSeed {
  TraceId trace{};
  SpanId span{};
};

// A seed from three random numbers: two for the trace, one for the span.
[[nodiscard]] TraceSeed trace_seed(const std::array<std::uint64_t, 3>& random) noexcept;

// `text` is the one traceparent header of a request. Versions above 00 are read as their first 55
// characters, as the specification asks; ff is malformed.
[[nodiscard]] std::optional<TraceContext> parse_traceparent(std::string_view text) noexcept;

// A tracestate worth passing on: at most 512 characters and 32 members, each key=value.
[[nodiscard]] bool is_tracestate(std::string_view text) noexcept;

// A new trace, not sampled, that takes nothing from the caller.
[[nodiscard]] TraceContext start_trace(const TraceSeed& seed) noexcept;

// The same trace with a new span, for the next hop.
[[nodiscard]] TraceContext child_of(const TraceContext& parent, const SpanId& span) noexcept;

// The printed form. Thread: value.  Bounds: 55 characters inside the object.
class TraceparentText {
 public:
  static constexpr std::size_t kSize = 55;

  explicit TraceparentText(const TraceContext& context) noexcept;
  [[nodiscard]] std::string_view view() const noexcept { return {text_.data(), text_.size()}; }

 private:
  std::array<char, kSize> text_{};
};

}  // namespace eventrelay
