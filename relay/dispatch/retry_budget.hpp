// Says whether a retry may go now: those that fail again are at most a share of all attempts, and a
// few besides.
//
// Why:     an endpoint that fails now and then must not be sent twice what it is meant to take; one
//          that answers again must not wait for what it missed, so a retry it takes costs nothing.
// Owner:   the scheduler's queue.  Thread: shard-local; time is an argument.
// Bounds:  O(1), 16 bytes. Over any time T with A attempts: at most A / 5 + kBurst retries that are
//          not delivered, and floor x (T + 1 s) + 1 that the share does not cover.
// Errors:  none.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "common/base/clock.hpp"

namespace eventrelay::relay {

// Thread: shard-local.  Bounds: see the head of this file.
class RetryBudget {
 public:
  static constexpr std::uint32_t kShare = 5;   // one retry for so many attempts, itself included
  static constexpr std::uint32_t kBurst = 20;  // retries that may have been saved up

  // An attempt of any kind begins.
  void on_attempt() noexcept { credit_ = std::min(credit_ + 1, kShare * kBurst); }

  // `floor`: retries per second that may go whatever the share says, at least 1.
  [[nodiscard]] bool allows(TimePoint now, std::uint32_t floor) const noexcept {
    return credit_ >= kShare || now >= allowed_at(floor);
  }
  // The attempt that begins is a retry. Pre: allows(now).
  void on_retry(TimePoint now, std::uint32_t floor) noexcept {
    if (credit_ >= kShare) {
      credit_ -= kShare;
    } else {
      floor_used_ = std::max(floor_used_, now) + slot(floor);
    }
  }
  // A retry was delivered.
  void on_delivered() noexcept { credit_ = std::min(credit_ + kShare, kShare * kBurst); }
  // Nothing of it is spent: as it was made.
  [[nodiscard]] bool full(TimePoint now) const noexcept {
    return credit_ == kShare * kBurst && floor_used_ <= now - kSaved;
  }
  // When the floor allows one, if no attempt does so before.
  [[nodiscard]] TimePoint allowed_at(std::uint32_t floor) const noexcept {
    return floor_used_ + slot(floor) - kSaved;
  }

 private:
  static constexpr Duration kSaved{std::chrono::seconds{1}};  // of the floor, unused so far

  static Duration slot(std::uint32_t floor) noexcept { return kSaved / floor; }

  std::uint32_t credit_ = kShare * kBurst;
  TimePoint floor_used_{};  // up to when the floor is spent
};

}  // namespace eventrelay::relay
