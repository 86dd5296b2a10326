// The time as a shard sees it: the machine's clocks, or a moment that a simulation moves.
//
// Why:     a shard that asks the machine can not be run in virtual time. No virtual call: the clock
//          is asked several times per event.
// Owner:   ShardIo; parts keep a reference.
// Thread:  any, for the machine's; that of the simulation for a shown moment.
// Bounds:  O(1).  Errors: none.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "common/base/clock.hpp"

namespace eventrelay::relay {

// Thread: see the head of this file.
class Clock {
 public:
  // The machine's clocks.
  Clock() noexcept : Clock(nullptr) {}
  // Always `shown`, which outlives it.
  explicit Clock(const Moment& shown) noexcept : Clock(&shown) {}

  // Monotonic, for every wait.
  [[nodiscard]] TimePoint now() const noexcept {
    return shown_ == nullptr ? monotonic_now() : shown_->now;
  }
  // Wall clock, for every stamp.
  [[nodiscard]] WallTime wall() const noexcept {
    return shown_ == nullptr ? wall_now() : shown_->wall;
  }
  // Wall time that no step of the wall clock moves: a due time is written down in wall time, but a
  // clock that is set an hour forth or back must neither send every parked event at once nor hold
  // it back for an hour. So the wall clock is asked once, and the monotonic clock carries it on.
  [[nodiscard]] WallTime steady() const noexcept {
    return wall_begin_ + std::chrono::floor<std::chrono::milliseconds>(now() - begin_);
  }
  // The same by the brokers' clock, as far as that is known: by it parked events are due.
  [[nodiscard]] WallTime due() const noexcept {
    if (shown_ != nullptr) return steady();
    return steady() - std::chrono::milliseconds{lead_ms_.load(std::memory_order_relaxed)};
  }
  // How far the machine's clock is ahead of the brokers', see ClockLead; for all clocks of the
  // process. Returns what was known before. A shown moment is the brokers' own.
  std::chrono::milliseconds set_lead(std::chrono::milliseconds lead) const noexcept {
    if (shown_ != nullptr) return {};
    return std::chrono::milliseconds{lead_ms_.exchange(lead.count(), std::memory_order_relaxed)};
  }
  // What the cursors are told: what is blocked has a due time as well.
  [[nodiscard]] Moment moment() const noexcept { return Moment{now(), due()}; }

 private:
  explicit Clock(const Moment* shown) noexcept
      : shown_(shown), wall_begin_(wall()), begin_(now()) {}

  static inline std::atomic<std::int64_t> lead_ms_{0};

  const Moment* shown_;
  WallTime wall_begin_;
  TimePoint begin_;
};

}  // namespace eventrelay::relay
