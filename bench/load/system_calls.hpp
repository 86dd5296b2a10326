// How many system calls a process makes, counted by the kernel.
//
// Why:     each costs some hundred nanoseconds, more than most stages. Counting costs half a
//          microsecond per call, so it is done in a span of its own, whose CPU is not counted.
// Thread:  one owner.  Bounds: one descriptor per thread of the process.
// Errors:  none: where the kernel does not allow it, nothing is counted.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace eventrelay::bench {

// Counts from construction on. Thread: one owner.  Bounds: see above.
class SystemCalls {
 public:
  explicit SystemCalls(pid_t process);
  SystemCalls(const SystemCalls&) = delete;
  SystemCalls& operator=(const SystemCalls&) = delete;
  ~SystemCalls();

  // Calls so far, of all threads, also of those that have come since. None: not allowed.
  [[nodiscard]] std::optional<std::uint64_t> count() const;

 private:
  std::vector<int> counters_;
};

}  // namespace eventrelay::bench
