// Waiting for a condition in tests that have sockets and threads: often looked at, never guessed.
//
// Thread: any.  Bounds: kPatience.
#pragma once

#include <chrono>
#include <thread>

#include "common/base/clock.hpp"

namespace eventrelay::test {

inline constexpr std::chrono::seconds kPatience{10};

// A peer of the code under test that is slow on purpose. Never a wait for something to happen.
inline void be_slow(Duration delay) {
  std::this_thread::sleep_for(delay);
}

// True once `condition()` holds; false if it does not within kPatience.
template <class Condition>
[[nodiscard]] bool eventually(Condition condition) {
  const TimePoint end = monotonic_now() + kPatience;
  while (!condition()) {
    if (monotonic_now() > end) return false;
    be_slow(std::chrono::milliseconds{5});
  }
  return true;
}

}  // namespace eventrelay::test
