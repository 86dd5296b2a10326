// One figure of a started program, as its admin listener tells it.
//
// Why:     what a run read twice or detached is known to the program alone.
// Thread:  blocks its caller.  Bounds: loopback only, one answer of at most 4 MiB.
// Errors:  std::runtime_error with one line.
#pragma once

#include <cstdint>
#include <string_view>

namespace eventrelay::bench {

// The sum over all labels of a counter; 0 if the program does not print it.
[[nodiscard]] std::uint64_t counter_of(std::uint16_t admin_port, std::string_view name);

}  // namespace eventrelay::bench
