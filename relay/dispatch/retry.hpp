// What happens after an attempt: done, parked until a time, or given up.
//
// Why:     schedules, jitter and Retry-After are one pure function, the same for every
//          subscription.
// Owner:   the subscription's target; all that have no schedule of their own share one policy.
// Thread:  shard-local; time is an argument.
// Bounds:  O(steps), at most 12 waits and 12 steps; no allocation per call.
// Errors:  none; an invalid plan throws std::invalid_argument at start.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/random.hpp"
#include "common/config/config.hpp"
#include "relay/record/attempt_result.hpp"

namespace eventrelay::relay {

// The step after an attempt.
struct Step {
  enum class Kind : std::uint8_t { Done, Park, Dead };
  Kind kind = Kind::Done;
  std::size_t delay = 0;  // of Park: which delay topic
  WallTime due{};         // of Park
};

// Bounds: 1..12 waits and 1..12 steps, each ascending.
struct RetryPlan {
  // Count: from the end of the attempt that failed, or from the first failure of the event.
  enum class Count : std::uint8_t { FromAttempt, FromFirstFailure };

  std::vector<milliseconds> waits;  // before each further attempt; those of a profile add up
  std::vector<milliseconds> steps;  // the delay topics there are
  double jitter = 0.1;              // of a wait, either way; 0..0.5
  Count count = Count::FromAttempt;
};

// The schedule of a subscription, or the common one where it has none of its own. Profiles count
// from the first failure (docs.cloud-elements.com/home/event-retry-and-queueing) and have no
// jitter.
[[nodiscard]] RetryPlan plan_of(const RetryConfig& common, const DeliveryConfig& own,
                                std::vector<milliseconds> steps);

// One failed or successful attempt, as the policy needs to know it.
struct Attempt {
  RetryClass retry = RetryClass::Delivered;
  std::uint32_t attempts_made = 1;  // this one included
  WallTime first_failure{};         // when the first attempt failed; `now` if this is it
  WallTime now{};
  std::optional<std::chrono::seconds> retry_after;
};

// Thread: immutable, `random` aside.  Bounds: as its plan.
class RetryPolicy {
 public:
  // Throws std::invalid_argument naming what is wrong with the plan.
  explicit RetryPolicy(RetryPlan plan);

  // Park: never due before the endpoint asked for it, in the smallest step that is long enough;
  // what is longer than every step is cut to the last.
  [[nodiscard]] Step next(const Attempt& attempt, Random& random) const noexcept;
  [[nodiscard]] const RetryPlan& plan() const noexcept { return plan_; }

 private:
  // How long until the attempt after `made` ones, jitter aside.
  [[nodiscard]] milliseconds wait_of(const Attempt& attempt, std::size_t made) const noexcept;

  RetryPlan plan_;
};

}  // namespace eventrelay::relay
