// One attempt as a state machine, and what its end means: status or transport error in, action and
// outcome out.
//
// Why:     every decision about a response is testable without a socket.
// Owner:   the shell's attempt.  Thread: shard-local.
// Bounds:  64 KiB of heads, interim ones included; 64 KiB of body, read and dropped.
// Errors:  TransportError in, metrics::Outcome out; nothing throws.
//
//   start --Dial--> [Handshake] --> Write --> Read --> Done
//            ^ once, if a pooled connection turns out to be dead before any byte of an answer
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/observe/metrics_list.hpp"
#include "relay/record/attempt_result.hpp"

namespace eventrelay::relay {

inline constexpr std::size_t kResponseHeadMax = 64U << 10;  // together with interim ones
inline constexpr std::size_t kResponseBodyMax = 64U << 10;
inline constexpr std::chrono::seconds kRetryAfterMax{36'000};

enum class TransportError : std::uint8_t {
  Dns,       // the name has no usable answer
  Blocked,   // an address or the port is not allowed
  Connect,   // refused, unreachable, or no connection in time
  Tls,       // handshake or name check
  Timeout,   // the attempt's deadline passed
  Reset,     // closed or broken after the connection stood
  Protocol,  // bytes that are no HTTP/1 response
  TooLarge,  // status line, or interim answers before it, over their bound
};

[[nodiscard]] Result classify_status(int status, std::span<const int> fatal_statuses) noexcept;
[[nodiscard]] Result classify_error(TransportError error) noexcept;
// Is Retry-After of this status obeyed?
[[nodiscard]] bool obeys_retry_after(int status) noexcept;
// Seconds, or an HTTP-date in any of its three forms (RFC 9110 5.6.7); nothing if it is neither or
// negative; at most `max`, and 0 for a date that has passed.
[[nodiscard]] std::optional<std::chrono::seconds> parse_retry_after(
    std::string_view value, WallTime now, std::chrono::seconds max = kRetryAfterMax) noexcept;

// What the shell saw of a response head.
struct ResponseHead {
  int status = 0;
  bool keep_alive = false;       // by version, Connection and framing
  std::string_view retry_after;  // empty: none
};

// Thread: shard-local.  Bounds: O(1), no allocation.
class Delivery {
 public:
  enum class Action : std::uint8_t { Dial, Handshake, Write, Read, Done };
  enum class Connection : std::uint8_t { Pooled, None };
  enum class Scheme : std::uint8_t { Http, Https };

  Delivery(Scheme scheme, std::span<const int> fatal_statuses) noexcept;

  [[nodiscard]] Action start(Connection connection) noexcept;
  [[nodiscard]] Action on_dialed() noexcept;
  [[nodiscard]] Action on_secured() noexcept;
  [[nodiscard]] Action on_written() noexcept;
  // A status line was read: from here on a final status counts, whatever follows it.
  [[nodiscard]] Action on_status(int status) noexcept;
  // A whole head was read. Read after an interim one: the next head follows.
  [[nodiscard]] Action on_head(const ResponseHead& head, WallTime now) noexcept;
  // `bytes` more of the body were read and dropped.
  [[nodiscard]] Action on_body(std::size_t bytes) noexcept;
  // The response ended; `leftover` bytes behind it belong to no answer.
  [[nodiscard]] Action on_complete(std::size_t leftover) noexcept;
  // Dial: close this connection and try once more on a new one. Otherwise the attempt is over;
  // after a final status line the status counts whatever happens to the rest.
  [[nodiscard]] Action on_error(TransportError error) noexcept;

  // Pre: Done was returned.
  [[nodiscard]] const Result& result() const noexcept;
  // May the connection go (back) into the pool?
  [[nodiscard]] bool reusable() const noexcept { return reusable_; }

 private:
  enum class State : std::uint8_t { Idle, Dialing, Securing, Writing, Head, Body, Done };
  [[nodiscard]] Action finish(const Result& result) noexcept;

  std::span<const int> fatal_statuses_;
  Scheme scheme_;
  State state_ = State::Idle;
  bool pooled_ = false;
  bool keep_alive_ = false;
  bool reusable_ = false;
  bool status_known_ = false;  // and it is no interim one
  std::size_t body_bytes_ = 0;
  Result result_;
};

}  // namespace eventrelay::relay
