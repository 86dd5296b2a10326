// Virtual time: what is to happen, in order of time and then of asking. Nothing here sleeps.
//
// Why:     one seed is one trace; an hour of retries passes in milliseconds.
// Owner:   World.  Thread: one.  Bounds: one entry per thing that is to happen.
// Errors:  none.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"

namespace eventrelay::relay::simulation {

inline constexpr WallTime kWallBegin{std::chrono::milliseconds{1'700'000'000'000}};

// One life of a worker's process.
struct Life {
  int worker = 0;
  std::uint64_t serial = 0;
  bool alive = true;
  TimePoint died{};
  TimePoint stopped_until{};  // SIGSTOP: what it was to do waits until it goes on
  bool sends_late = false;    // and what it had not sent is sent then
  // By partition: which take-over it was told of last. What it does belongs to that one, whatever
  // the group has done since.
  std::map<int, std::uint64_t> stays;
};
using LifePtr = std::shared_ptr<Life>;

// Thread: one.  Bounds: see the head of this file.
class VirtualTime {
 public:
  using Task = std::function<void()>;

  [[nodiscard]] TimePoint now() const noexcept { return moment_.now; }
  [[nodiscard]] WallTime wall() const noexcept { return moment_.wall; }
  // For a relay::Clock that shows it.
  [[nodiscard]] const Moment& moment() const noexcept { return moment_; }

  void after(Duration delay, Task task) { push(now() + delay, nullptr, std::move(task)); }
  // Only while `life` lasts, and not while it is stopped.
  void after(Duration delay, const LifePtr& life, Task task) {
    push(now() + delay, life, std::move(task));
  }

  // Runs the next thing; false: nothing is to happen before `end`.
  bool step(TimePoint end) {
    if (queue_.empty() || queue_.top().at > end) return false;
    // Its time and number, which order the queue, stay as they are until it is popped.
    Entry entry = std::move(const_cast<Entry&>(queue_.top()));
    queue_.pop();
    set(std::max(now(), entry.at));
    if (entry.life != nullptr) {
      if (!entry.life->alive) return true;
      if (entry.life->stopped_until > now()) {
        entry.at = entry.life->stopped_until;
        queue_.push(std::move(entry));  // keeps its place among those that wait with it
        return true;
      }
    }
    entry.task();
    return true;
  }

 private:
  struct Entry {
    TimePoint at;
    std::uint64_t serial;
    LifePtr life;
    Task task;
    bool operator<(const Entry& other) const noexcept {
      return at != other.at ? at > other.at : serial > other.serial;
    }
  };

  void push(TimePoint at, LifePtr life, Task task) {
    queue_.push(Entry{std::max(at, now()), serial_++, std::move(life), std::move(task)});
  }

  void set(TimePoint now) noexcept {
    moment_.now = now;
    moment_.wall =
        kWallBegin + std::chrono::floor<std::chrono::milliseconds>(now.time_since_epoch());
  }

  std::priority_queue<Entry> queue_;
  Moment moment_{TimePoint{}, kWallBegin};
  std::uint64_t serial_ = 0;
};

}  // namespace eventrelay::relay::simulation
