#include "relay/dispatch/retry.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace eventrelay::relay {

namespace {

using std::chrono::milliseconds;

void check_delays(const char* name, const std::vector<milliseconds>& delays) {
  const std::string what{name};
  if (delays.empty() || delays.size() > 12) {
    throw std::invalid_argument(what + " needs 1 to 12 steps");
  }
  if (delays.front() <= milliseconds::zero()) {
    throw std::invalid_argument(what + " must be longer than 0");
  }
  if (!std::is_sorted(delays.begin(), delays.end())) {
    throw std::invalid_argument(what + " must not get shorter");
  }
}

}  // namespace

RetryPlan plan_of(const RetryConfig& common, const DeliveryConfig& own,
                  std::vector<milliseconds> steps) {
  const bool mine = !own.retry_delays.empty();
  const RetryProfile profile = mine ? own.retry_profile : common.profile;
  RetryPlan plan;
  plan.waits = mine ? own.retry_delays : common.delays;
  plan.steps = std::move(steps);
  plan.jitter = common.jitter;
  if (profile != RetryProfile::List) {
    plan.jitter = 0;
    plan.count = RetryPlan::Count::FromFirstFailure;
  }
  return plan;
}

RetryPolicy::RetryPolicy(RetryPlan plan) : plan_(std::move(plan)) {
  check_delays("retry.delays", plan_.waits);
  check_delays("the delay topics", plan_.steps);
  // The negation catches a NaN too.
  if (!(plan_.jitter >= 0.0 && plan_.jitter <= 0.5)) {
    throw std::invalid_argument("retry.jitter must be between 0 and 0.5");
  }
}

milliseconds RetryPolicy::wait_of(const Attempt& attempt, std::size_t made) const noexcept {
  if (plan_.count == RetryPlan::Count::FromAttempt) return plan_.waits[made - 1];
  milliseconds offset{0};
  for (std::size_t i = 0; i < made; ++i) offset += plan_.waits[i];
  const WallTime first = std::min(attempt.first_failure, attempt.now);
  // A late offset is due at once.
  return std::max(first + offset - attempt.now, milliseconds{0});
}

Step RetryPolicy::next(const Attempt& attempt, Random& random) const noexcept {
  if (attempt.retry == RetryClass::Delivered) return Step{Step::Kind::Done, 0, {}};
  const std::size_t made = std::max<std::size_t>(attempt.attempts_made, 1);
  if (attempt.retry != RetryClass::Retry || made > plan_.waits.size()) {
    return Step{Step::Kind::Dead, 0, {}};
  }
  const milliseconds longest = plan_.steps.back();
  const milliseconds asked =
      std::min<milliseconds>(attempt.retry_after.value_or(std::chrono::seconds{0}), longest);
  const milliseconds planned = wait_of(attempt, made);
  const auto step =
      std::lower_bound(plan_.steps.begin(), plan_.steps.end() - 1, std::max(planned, asked));
  // A longer step that was asked for is waited out, as a planned one is.
  const milliseconds wait = asked > planned ? *step : planned;
  const double spread = plan_.jitter * (2.0 * random.unit() - 1.0);
  const auto jittered =
      wait + std::chrono::duration_cast<milliseconds>(std::chrono::duration<double>(wait) * spread);
  return Step{Step::Kind::Park, static_cast<std::size_t>(step - plan_.steps.begin()),
              attempt.now + std::max(jittered, asked)};
}

}  // namespace eventrelay::relay
