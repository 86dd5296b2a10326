// How fast an endpoint may be called that did not answer or could not keep up: few requests a
// second at first, doubling for as long as that is what limits it.
//
// Why:     what has piled up for an endpoint must not overload it the moment it answers again.
// Owner:   the scheduler's queue.  Thread: shard-local; time is an argument.
// Bounds:  O(1), 48 bytes. In no second do more attempts begin than the rate at its end.
// Errors:  none.
//
//   begin(rate) --> limits: rate, then twice as much after each kPeriod in which it was the limit
//               --> over after a kPeriod in which it was not
//   held: twice as much only after a kPeriod in which the rate was used, else it stays; so an
//         endpoint that is slow while much piles up is called at no more than twice the rate that
//         it has shown
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

#include "common/base/clock.hpp"

namespace eventrelay::relay {

// Thread: shard-local.  Bounds: see the head of this file.
class SlowStart {
 public:
  static constexpr Duration kPeriod{std::chrono::seconds{5}};

  // Nothing is limited while this is false, and nothing else needs to be called.
  [[nodiscard]] bool active() const noexcept { return rate_ != 0; }
  // Attempts per second, 0 = no limit.
  [[nodiscard]] std::uint32_t rate() const noexcept { return rate_; }

  // `rate`: attempts per second to begin with; 0 limits nothing. While it runs: from the start
  // again, if that is slower.
  void begin(std::uint32_t rate, TimePoint now) noexcept {
    if (rate == 0 || (active() && rate >= rate_)) return;
    rate_ = std::min(rate, kRateMax);
    period_end_ = now + kPeriod;
    limited_ = false;
    used_ = 0;
    next_ = std::max(next_, now);
  }
  // Held: it is not over before it is let go, however little it limits.
  void hold(bool held) noexcept { held_ = held; }
  void end() noexcept { rate_ = 0; }

  // May an attempt begin? If not, `at()` says when. Pre: active.
  [[nodiscard]] bool allows(TimePoint now) noexcept {
    if (now >= period_end_) turn(now);
    if (!active() || now >= next_) return true;
    limited_ = true;
    return false;
  }
  [[nodiscard]] TimePoint at() const noexcept { return next_; }
  // An attempt begins. Pre: allows(now) was true.
  void on_attempt(TimePoint now) noexcept {
    if (!active()) return;
    next_ = std::max(next_, now - kLag) + slot();
    ++used_;
  }

 private:
  // A timer that rings late is made up for, up to so much.
  static constexpr Duration kLag{std::chrono::milliseconds{20}};
  static constexpr std::uint32_t kRateMax = 1'000'000;

  void turn(TimePoint now) noexcept {
    period_end_ = now + kPeriod;
    const bool limited = std::exchange(limited_, false);
    const bool used = std::exchange(used_, 0) * slot() >= kPeriod / 10 * 9;
    if (held_ ? used : limited) {
      rate_ = rate_ > kRateMax / 2 ? 0 : rate_ * 2;
    } else if (!held_) {
      rate_ = 0;
    }
  }
  // 3 % longer than the rate says: with what is made up for, a second never has one too many.
  [[nodiscard]] Duration slot() const noexcept {
    return Duration{std::chrono::milliseconds{1030}} / rate_;
  }

  std::uint32_t rate_ = 0;
  std::uint32_t used_ = 0;  // attempts in this period
  bool limited_ = false;    // in this period
  bool held_ = false;
  TimePoint period_end_{};
  TimePoint next_{};
};

}  // namespace eventrelay::relay
