// The time by which parked events are due: the brokers' time as far as it is known, and never moved
// by a step of the wall clock.
//
// Why:     a due time is written down in wall time. A clock that is set an hour forth or back must
//          neither send every parked event at once nor hold it back for an hour: so the wall clock
//          is asked once, and the monotonic clock carries it on. A clock that was wrong from the
//          start shows in the time between an append by a broker and its acknowledgement, which is
//          short: what is far more than that is the error of the clock.
// Thread:  any.  Bounds: O(1).
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>

#include "common/base/clock.hpp"

namespace eventrelay::relay {

// How far a clock is ahead of the brokers', from what they say they appended when. Thread: one.
// Bounds: two windows of one number.
class ClockLead {
 public:
  // Less than this is the way of an acknowledgement, or clocks as good as they come.
  static constexpr std::chrono::milliseconds kTolerance{2000};
  static constexpr Duration kWindow = std::chrono::minutes(1);

  // A record was acknowledged at `local`. The shortest way of the last minute or two counts.
  void note(WallTime local, WallTime appended, TimePoint now) noexcept {
    if (now - begun_ >= kWindow) {
      before_ = least_;
      least_.reset();
      begun_ = now;
    }
    const std::chrono::milliseconds lead = local - appended;
    least_ = std::min(least_.value_or(lead), lead);
  }
  [[nodiscard]] std::chrono::milliseconds lead() const noexcept {
    if (!least_ && !before_) return {};
    const auto lead = std::min(least_.value_or(std::chrono::milliseconds::max()),
                               before_.value_or(std::chrono::milliseconds::max()));
    return lead > kTolerance || lead < -kTolerance ? lead : std::chrono::milliseconds{};
  }

 private:
  std::optional<std::chrono::milliseconds> least_;
  std::optional<std::chrono::milliseconds> before_;
  TimePoint begun_{};
};

// Of the process. Thread: any.
[[nodiscard]] inline std::atomic<std::int64_t>& clock_lead_ms() noexcept {
  static std::atomic<std::int64_t> lead{0};
  return lead;
}

// This process's own clock.
[[nodiscard]] inline WallTime steady_wall_now() noexcept {
  static const WallTime wall_begin = wall_now();
  static const TimePoint begin = monotonic_now();
  return wall_begin + std::chrono::floor<std::chrono::milliseconds>(monotonic_now() - begin);
}

[[nodiscard]] inline WallTime due_now() noexcept {
  return steady_wall_now() -
         std::chrono::milliseconds{clock_lead_ms().load(std::memory_order_relaxed)};
}

// When a record of a delay topic is due. One that is due later than its topic is for, jitter
// included, or was due long before it was written, comes from a clock that is wrong: it is due one
// delay after its append. `appended`: by its broker, or nothing.
[[nodiscard]] inline WallTime judged_due(WallTime due, std::optional<WallTime> appended,
                                         std::chrono::milliseconds delay, WallTime now) noexcept {
  constexpr std::chrono::seconds kLate{5};     // between the decision and the append
  constexpr std::chrono::seconds kOutage{60};  // as long as a write may take at worst
  if (!appended) return std::min(due, now + delay * 3 / 2);
  const bool wrong = due > *appended + delay * 3 / 2 + kLate || due < *appended - kOutage;
  return wrong ? *appended + delay : due;
}

// What the cursors are told: what is blocked has a due time as well.
[[nodiscard]] inline Moment moment_now() noexcept {
  return Moment{monotonic_now(), due_now()};
}

}  // namespace eventrelay::relay
