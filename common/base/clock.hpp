// Two kinds of time, never mixed: monotonic for every wait, wall clock for every stamp on the wire.
//
// Why:     a clock step must neither stall nor burst retries, yet signatures need the wall clock.
// Thread:  any.  Bounds: O(1).  Policies take time as an argument and never call now().
#pragma once

#include <chrono>
#include <cstdint>

namespace eventrelay {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;
// Milliseconds since the Unix epoch, UTC.
using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;

// Both clocks at one moment.
struct Moment {
  TimePoint now;  // for what is due
  WallTime wall;  // for what is written
};

// Monotonic now; shells only.
[[nodiscard]] TimePoint monotonic_now() noexcept;
// Wall clock now; shells only.
[[nodiscard]] WallTime wall_now() noexcept;

[[nodiscard]] constexpr std::int64_t unix_ms(WallTime time) noexcept {
  return time.time_since_epoch().count();
}
[[nodiscard]] constexpr std::int64_t unix_seconds(WallTime time) noexcept {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}
// With fractions, as Prometheus wants a timestamp.
[[nodiscard]] constexpr double seconds_of(WallTime time) noexcept {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

}  // namespace eventrelay
