// How many attempts of endpoints that answer run at once: as many as bring more deliveries.
//
// Why:     a busy shard, or a busy endpoint, delivers no more with a thousand attempts under way
//          than with 64, and each costs twice as much: their connections and events no longer fit
//          the core's cache. Where each attempt waits for its endpoint, twice as many deliver twice
//          as much.
// Owner:   the shard.  Thread: shard-local; time is an argument.
// Bounds:  O(1) per call. Never below kLeast, or the maximum if that is lower.
// Errors:  none.
//
//   limits for as many ends as it is wide --> twice as wide, on trial
//     a quarter more ends a second --> stays, and so on; else back, and then half as wide on trial
//     not a tenth fewer ends a second --> stays; else back
//   a trial that fails is followed by a rest of a second, twice as long with each, and at least
//   ten times as long as it took: where attempts take long, it costs what they would have delivered
//   limits and nothing ends for kStall --> wider by kLeast
//   does not limit at all --> narrower by a quarter with each turn
//
// This is a hill climb on the rate, as adaptive concurrency limits do it (Netflix
// concurrency-limits; Envoy's adaptive concurrency filter); it asks for no time without load, which
// a shard with endpoints of many speeds does not have.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

#include "common/base/clock.hpp"

namespace eventrelay::relay {

// Thread: shard-local.  Bounds: see the head of this file.
class AttemptWindow {
 public:
  static constexpr std::uint32_t kLeast = 64;
  static constexpr Duration kStall = std::chrono::milliseconds(5);
  static constexpr Duration kRest = std::chrono::seconds(1);
  static constexpr Duration kRestMax = std::chrono::seconds(32);
  static constexpr int kRestTrials = 10;

  // `max`: attempts at once over all subscriptions.
  explicit AttemptWindow(std::uint32_t max)
      : least_(std::min(kLeast, max)), max_(max), width_(least_) {}

  // `answering`: attempts under way at endpoints that answer; attempts at others are bounded
  // elsewhere. Where it returns false, it also notes that the window limits.
  [[nodiscard]] bool has_room(std::uint32_t answering) noexcept {
    if (answering < width_) return true;
    limited_ = limited_now_ = true;
    return false;
  }
  // An attempt ended.
  void on_end(TimePoint now) noexcept {
    ++ends_;
    if (++ended_ >= wanted_) decide(now);
  }
  // So many have ended so far.
  [[nodiscard]] std::uint64_t ends() const noexcept { return ends_; }
  // It limits, and nothing has ended for kStall.
  void stalled(std::uint32_t answering) noexcept {
    trial_ = Trial::No;
    set(std::min(std::max(width_, answering) + kLeast, max_));
  }
  // A few times a second.
  void turn() noexcept {
    if (limited_now_) {
      limited_now_ = false;
      return;
    }
    trial_ = Trial::No;
    set(std::max(width_ - width_ / 4, least_));
    rest_ = {};
    try_again_ = {};
  }

  [[nodiscard]] std::uint32_t width() const noexcept { return width_; }
  [[nodiscard]] bool at_most() const noexcept { return width_ == max_; }

 private:
  enum class Trial : std::uint8_t { No, Wider, Narrower };

  void decide(TimePoint now) noexcept {
    const Duration took = std::max<Duration>(now - since_, std::chrono::nanoseconds{1});
    const double rate = ended_ / std::chrono::duration<double>(took).count();
    const bool limited = std::exchange(limited_, false);
    ended_ = 0;
    since_ = now;
    wanted_ = width_;
    // What was under way before a change of the width says nothing about it.
    if (settles_) {
      settles_ = false;
      return;
    }
    judge(rate, now);
    if (trial_ != Trial::No || !limited || now < try_again_) return;
    begin(rate, now);
  }
  void judge(double rate, TimePoint now) noexcept {
    if (trial_ == Trial::No) return;
    const bool good =
        trial_ == Trial::Wider ? rate >= before_rate_ * 1.25 : rate >= before_rate_ * 0.9;
    if (good) {
      rest_ = {};
      next_ = trial_;
    } else {
      set(before_);
      const Duration share = (now - begun_) * kRestTrials;
      rest_ = std::min(std::max({rest_ * 2, kRest, share}), kRestMax);
      try_again_ = now + rest_;
      next_ = trial_ == Trial::Wider ? Trial::Narrower : Trial::Wider;
    }
    trial_ = Trial::No;
  }
  void begin(double rate, TimePoint now) noexcept {
    if (next_ == Trial::Wider && width_ == max_) next_ = Trial::Narrower;
    if (next_ == Trial::Narrower && width_ == least_) next_ = Trial::Wider;
    if (least_ == max_) return;
    before_ = width_;
    before_rate_ = rate;
    begun_ = now;
    trial_ = next_;
    set(trial_ == Trial::Wider ? std::min(width_ * 2, max_) : std::max(width_ / 2, least_));
  }
  void set(std::uint32_t width) noexcept {
    if (width == width_) return;
    settles_ = true;
    wanted_ = width_;
    width_ = width;
  }

  std::uint32_t least_;
  std::uint32_t max_;
  std::uint32_t width_;
  std::uint32_t before_ = 0;  // width and rate before the trial
  double before_rate_ = 0;
  std::uint64_t ends_ = 0;
  std::uint32_t ended_ = 0;  // since `since_`; decided upon when they are `wanted_`
  std::uint32_t wanted_ = 1;
  TimePoint since_{};
  TimePoint begun_{};  // the trial
  TimePoint try_again_{};
  Duration rest_{};
  Trial trial_ = Trial::No;
  Trial next_ = Trial::Wider;
  bool settles_ = true;       // what is under way began with another width, or none
  bool limited_ = false;      // since `since_`
  bool limited_now_ = false;  // since the last turn
};

}  // namespace eventrelay::relay
