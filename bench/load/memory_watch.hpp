// The resident memory of a process over time.
//
// Why:     what a run begins and ends with does not show what it takes in between.
// Thread:  has one of its own, which looks twenty times a second; one owner.
// Bounds:  kPointsMax points; a longer run keeps every second one, and so on.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

#include "common/base/clock.hpp"

namespace eventrelay::bench {

// At `seconds` from the start of the watch.
struct MemoryPoint {
  double seconds = 0;
  std::size_t resident = 0;
};

// Watches from construction on. Thread: one owner.  Bounds: see above.
class MemoryWatch {
 public:
  static constexpr std::size_t kPointsMax = 400;

  // Adds up what `processes` hold.
  explicit MemoryWatch(std::vector<pid_t> processes);
  MemoryWatch(const MemoryWatch&) = delete;
  MemoryWatch& operator=(const MemoryWatch&) = delete;
  ~MemoryWatch();

  // Ends the watch and tells what it saw.
  [[nodiscard]] std::vector<MemoryPoint> end();

 private:
  void run();
  void note(TimePoint now);

  std::vector<pid_t> processes_;
  TimePoint start_;
  std::vector<MemoryPoint> points_;
  std::size_t every_ = 1;  // looks per point
  std::size_t looks_ = 0;
  std::size_t most_ = 0;  // since the last point
  std::mutex mutex_;
  std::condition_variable ending_changed_;
  bool ending_ = false;
  std::thread thread_;
};

// Bytes that a process holds now; 0: it is gone.
[[nodiscard]] std::size_t resident_of(pid_t process);

}  // namespace eventrelay::bench
