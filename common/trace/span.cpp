#include "common/trace/span.hpp"

#include "common/base/wall_ns.hpp"

namespace eventrelay::trace {

Stopwatch Stopwatch::started() noexcept {
  return {monotonic_now(), wall_now_ns()};
}

}  // namespace eventrelay::trace
