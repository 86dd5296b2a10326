#include "common/base/clock.hpp"

#include "common/base/wall_ns.hpp"

namespace eventrelay {

TimePoint monotonic_now() noexcept {
  return std::chrono::steady_clock::now();
}

WallTime wall_now() noexcept {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

std::int64_t wall_now_ns() noexcept {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

}  // namespace eventrelay
