// Virtual time: what is to happen, in order of time and then of asking. Nothing here sleeps.
//
// Why:     one seed is one trace; an hour of retries passes in milliseconds.
// Owner:   World.  Thread: one.  Bounds: one cursor per thing that is to happen.
// Errors:  none.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"

namespace eventrelay::relay::simulation {

// One life of a worker's process. Thread: one.
struct Life {
  int worker = 0;
  std::uint64_t serial = 0;
  bool alive = true;
  TimePoint died{};
  TimePoint stopped_until{};  // SIGSTOP: what it was to do, it does then
  bool sends_late = false;    // and sends what it had not sent
};
using LifePtr = std::shared_ptr<Life>;

// Thread: one.  Bounds: see the head of this file.
class Clock {
 public:
  using Task = std::function<void()>;

  [[nodiscard]] TimePoint now() const noexcept { return now_; }
  [[nodiscard]] WallTime wall() const noexcept {
    return WallTime{std::chrono::milliseconds{1'700'000'000'000}} +
           std::chrono::floor<std::chrono::milliseconds>(now_.time_since_epoch());
  }

  void after(Duration delay, Task task) { push(now_ + delay, nullptr, std::move(task)); }
  // Only while `life` lasts, and not while it is stopped.
  void after(Duration delay, const LifePtr& life, Task task) {
    push(now_ + delay, life, std::move(task));
  }

  // Runs the next thing; false: nothing is to happen before `end`.
  bool step(TimePoint end) {
    if (queue_.empty() || queue_.top().at > end) return false;
    BacklogCursor cursor = queue_.top();
    queue_.pop();
    now_ = std::max(now_, cursor.at);
    if (cursor.life != nullptr) {
      if (!cursor.life->alive) return true;
      if (cursor.life->stopped_until > now_) {
        cursor.at = cursor.life->stopped_until;
        queue_.push(std::move(cursor));  // keeps its place among those that wait with it
        return true;
      }
    }
    cursor.task();
    return true;
  }

 private:
  struct BacklogCursor {
    TimePoint at;
    std::uint64_t serial;
    LifePtr life;
    Task task;
    bool operator<(const BacklogCursor& other) const noexcept {
      return at != other.at ? at > other.at : serial > other.serial;
    }
  };

  void push(TimePoint at, LifePtr life, Task task) {
    queue_.push(BacklogCursor{std::max(at, now_), serial_++, std::move(life), std::move(task)});
  }

  std::priority_queue<BacklogCursor> queue_;
  TimePoint now_{};
  std::uint64_t serial_ = 0;
};

}  // namespace eventrelay::relay::simulation
