#include "bench/load/memory_watch.hpp"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <utility>

namespace eventrelay::bench {
namespace {

constexpr std::chrono::milliseconds kLook{50};

}  // namespace

std::size_t resident_of(pid_t process) {
  std::ifstream pages("/proc/" + std::to_string(process) + "/statm");
  std::size_t size = 0;
  std::size_t resident = 0;
  pages >> size >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

MemoryWatch::MemoryWatch(std::vector<pid_t> processes)
    : processes_(std::move(processes)), start_(monotonic_now()), thread_([this] { run(); }) {}

MemoryWatch::~MemoryWatch() {
  if (thread_.joinable()) (void)end();
}

std::vector<MemoryPoint> MemoryWatch::end() {
  {
    const std::lock_guard lock{mutex_};
    ending_ = true;
    ending_changed_.notify_all();
  }
  thread_.join();
  return std::move(points_);
}

void MemoryWatch::run() {
  std::unique_lock lock{mutex_};
  while (!ending_) {
    note(monotonic_now());
    ending_changed_.wait_for(lock, kLook, [this] { return ending_; });
  }
  every_ = 1;
  note(monotonic_now());
}

// A point tells the most since the one before it, so that no peak falls between two.
void MemoryWatch::note(TimePoint now) {
  std::size_t resident = 0;
  for (const pid_t process : processes_) resident += resident_of(process);
  most_ = std::max(most_, resident);
  if (looks_++ % every_ != 0) return;
  points_.push_back({std::chrono::duration<double>(now - start_).count(), std::exchange(most_, 0)});
  if (points_.size() < kPointsMax) return;
  for (std::size_t i = 0; i < points_.size() / 2; ++i) {
    points_[i] = {points_[2 * i + 1].seconds,
                  std::max(points_[2 * i].resident, points_[2 * i + 1].resident)};
  }
  points_.resize(points_.size() / 2);
  every_ *= 2;
}

}  // namespace eventrelay::bench
