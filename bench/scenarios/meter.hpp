// What the programs under test take while they are measured: CPU, memory, allocations, calls.
//
// Why:     counting system calls costs the programs half a microsecond for each, so it is done in a
//          pause of the other figures.
// Thread:  one owner; the memory is watched by a thread of its own.
// Bounds:  as MemoryWatch.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "bench/load/memory_watch.hpp"
#include "bench/load/process.hpp"
#include "bench/scenarios/report.hpp"

namespace eventrelay::bench {

// How long system calls are counted.
inline constexpr Duration kCountedSpan = std::chrono::seconds(1);

// Thread: one owner.  Bounds: see above.
class Meter {
 public:
  // `events` tells how many events the programs are through with.
  Meter(std::vector<const Process*> processes, std::function<std::uint64_t()> events);

  void begin();
  // Counts system calls while `load` runs, and nothing else.
  void count_calls(const std::function<void()>& load);
  // Fills all of `row` that this knows.
  void end(Row& row);

 private:
  // Sums over the processes at one moment.
  struct Moment {
    TimePoint at{};
    std::uint64_t events = 0;
    Usage usage;
  };
  [[nodiscard]] Moment now() const;
  void add(const Moment& until);

  std::vector<const Process*> processes_;
  std::function<std::uint64_t()> events_;
  std::unique_ptr<MemoryWatch> memory_;
  Moment from_;
  Row taken_;
  std::optional<std::uint64_t> allocated_;
};

}  // namespace eventrelay::bench
