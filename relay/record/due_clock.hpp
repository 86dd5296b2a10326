// The time by which parked events are due: wall time that no step of the wall clock moves.
//
// Why:     a due time is written down in wall time, but a clock that is set an hour forth or back
//          must neither send every parked event at once nor hold it back for an hour. So the wall
//          clock is asked once, and the monotonic clock carries it on.
// Thread:  any.  Bounds: O(1).
#pragma once

#include <chrono>

#include "common/base/clock.hpp"

namespace eventrelay::relay {

[[nodiscard]] inline WallTime due_now() noexcept {
  static const WallTime wall_begin = wall_now();
  static const TimePoint begin = monotonic_now();
  return wall_begin + std::chrono::floor<std::chrono::milliseconds>(monotonic_now() - begin);
}

// What the cursors are told: what is blocked has a due time as well.
[[nodiscard]] inline Moment moment_now() noexcept {
  return Moment{monotonic_now(), due_now()};
}

}  // namespace eventrelay::relay
