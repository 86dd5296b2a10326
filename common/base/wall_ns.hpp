// The wall clock in nanoseconds, for the times of spans.
//
// Thread:  any; shells only.  Bounds: O(1).  Errors: none.
#pragma once

#include <cstdint>

namespace eventrelay {

// Since the Unix epoch.
[[nodiscard]] std::int64_t wall_now_ns() noexcept;

}  // namespace eventrelay
