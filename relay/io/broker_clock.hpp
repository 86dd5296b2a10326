// Whose clock says when a parked event is due: how far this one is ahead of the brokers', and which
// due times come from a clock that was wrong.
//
// Why:     a due time is written down in wall time. A clock that was wrong from the start shows in
//          the time between an append by a broker and its acknowledgement, which is short: what is
//          far more than that is the error of the clock.
// Owner:   the outbox, which hears of acknowledgements.
// Thread:  shard thread.  Bounds: O(1).  Errors: none.
#pragma once

#include <algorithm>
#include <chrono>
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

}  // namespace eventrelay::relay
