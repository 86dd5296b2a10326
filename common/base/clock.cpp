#include "common/base/clock.hpp"

namespace eventrelay {

TimePoint monotonic_now() noexcept {
  return std::chrono::steady_clock::now();
}

WallTime wall_now() noexcept {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

}  // namespace eventrelay
