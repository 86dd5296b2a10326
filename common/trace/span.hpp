// One span: what was done for a trace, when, and how it ended; a plain value until it is sent.
//
// Why:     a busy thread writes down a value and goes on; encoding and sending are another
//          thread's affair.
// Thread:  value.
// Bounds:  about 1 KiB with its texts; a text is cut at kSpanTextMax bytes when it is encoded.
// Errors:  none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/clock.hpp"
#include "common/observe/trace_context.hpp"

namespace eventrelay::trace {

inline constexpr std::size_t kSpanTextMax = 256;

// The numbers of OTLP.
enum class SpanKind : std::uint8_t { Server = 2, Client = 3, Producer = 4, Consumer = 5 };

// Bounds: `key` is of static storage.
struct Attribute {
  std::string_view key;
  std::variant<std::int64_t, std::string> value;
};

struct Span {
  TraceContext context;        // its own id, in its trace
  SpanId parent{};             // zeros: the root of its trace
  bool remote_parent = false;  // the parent was made by another process
  bool failed = false;
  SpanKind kind = SpanKind::Server;
  std::string name;
  std::int64_t begin_ns = 0;  // since the Unix epoch
  std::int64_t end_ns = 0;
  std::vector<Attribute> attributes;
  std::optional<TraceContext> link;

  void set(std::string_view key, std::string_view text) {
    attributes.push_back({key, std::string(text)});
  }
  void set(std::string_view key, std::int64_t number) { attributes.push_back({key, number}); }
  // The span has failed, for the reason `type`: one of few words.
  void fail(std::string_view type) {
    failed = true;
    set("error.type", type);
  }
};

// When something began, by both clocks: its end is the beginning and what the monotonic clock says,
// so that no step of the wall clock makes it negative.
struct Stopwatch {
  TimePoint begun{};
  std::int64_t begin_ns = 0;  // since the Unix epoch

  // Of something that begins now; shells only.
  [[nodiscard]] static Stopwatch started() noexcept;
  [[nodiscard]] std::int64_t end_ns(TimePoint now) const noexcept {
    return begin_ns + (now - begun).count();
  }
};

}  // namespace eventrelay::trace
