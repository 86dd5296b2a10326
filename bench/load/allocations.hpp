// How a program under test tells its allocations: cells in a file that both map.
//
// Why:     a library loaded before all others counts malloc and its kin, in a cell of each thread's
//          own, so that counting costs about a nanosecond and no lock.
// Thread:  a cell has one writer; any may read.  Bounds: kAllocationsCells cells of a cache line.
#pragma once

#include <cstddef>
#include <cstdint>

namespace eventrelay::bench {

inline constexpr const char* kAllocationsVariable = "EVENTRELAY_BENCH_ALLOCATIONS";  // the file
inline constexpr const char* kAllocationsLibrary = "libbench_allocations.so";
inline constexpr std::size_t kAllocationsCells = 256;  // more threads share them
inline constexpr std::size_t kAllocationsStep = 8;     // counters of 8 bytes in a line
inline constexpr std::size_t kAllocationsBytes =
    kAllocationsCells * kAllocationsStep * sizeof(std::uint64_t);

}  // namespace eventrelay::bench
