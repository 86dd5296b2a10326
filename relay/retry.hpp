// What happens after an attempt: done, again at a time, or given up.
//
// Why:     back-off, jitter and Retry-After are one pure function, the same for every subscription.
// Owner:   the shard.  Thread: shard-local.
// Bounds:  O(steps), at most 12 steps; no allocation per call.
// Errors:  none; an invalid plan throws std::invalid_argument at start.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/clock.hpp"
#include "common/config.hpp"
#include "relay/delivery.hpp"

namespace eventrelay::relay {

// The step after an attempt. Thread: value.
struct Step {
  enum class Kind : std::uint8_t { Done, Retry, Dead };
  Kind kind = Kind::Done;
  TimePoint at{};  // of Retry
};

// A small seeded generator (splitmix64): the same seed gives the same jitter.
// Thread: one owner.  Bounds: 8 bytes.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) noexcept : state_(seed) {}
  [[nodiscard]] std::uint64_t next() noexcept;
  // Uniform in [0, 1).
  [[nodiscard]] double unit() noexcept;

 private:
  std::uint64_t state_;
};

// Thread: immutable.  Bounds: 1..12 delays, ascending.
struct RetryPlan {
  // Count: from the end of the attempt that failed, or from the first failure of the event.
  enum class Count : std::uint8_t { FromAttempt, FromFirstFailure };
  // KeepTrying: what would be given up is tried again at the last delay, with its offset held.
  // It stands in until a dead-letter record can be written: giving up then loses nothing.
  enum class GiveUp : std::uint8_t { DeadLetter, KeepTrying };

  std::vector<milliseconds> delays;
  double jitter = 0.1;  // of the delay, either way; 0..0.5
  Count count = Count::FromAttempt;
  GiveUp give_up = GiveUp::DeadLetter;
};

// The configured delays; the default ones if none are.
[[nodiscard]] RetryPlan plan_of(const RetryConfig& config);
// Cloud Elements' schedules: 8^x s, five times; and the older 4^x s, nine times. Both count from
// the first failure (docs.cloud-elements.com/home/event-retry-and-queueing).
[[nodiscard]] RetryPlan ce_plan();
[[nodiscard]] RetryPlan ce_legacy_plan();

// One failed or successful attempt, as the policy needs to know it. Thread: value.
struct Attempt {
  RetryClass retry = RetryClass::Delivered;
  std::uint32_t attempts_made = 1;  // this one included
  TimePoint first_failure{};        // when the first attempt failed; `now` if this is it
  TimePoint now{};
  std::optional<std::chrono::seconds> retry_after;
};

// Thread: immutable, `dice` aside.  Bounds: as its plan.
class RetryPolicy {
 public:
  // Throws std::invalid_argument naming what is wrong with the plan.
  explicit RetryPolicy(RetryPlan plan);

  [[nodiscard]] Step next(const Attempt& attempt, Dice& dice) const noexcept;
  [[nodiscard]] const RetryPlan& plan() const noexcept { return plan_; }

 private:
  RetryPlan plan_;
};

}  // namespace eventrelay::relay
