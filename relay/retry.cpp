#include "relay/retry.hpp"

#include <algorithm>
#include <stdexcept>

namespace eventrelay::relay {

namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

RetryPlan doubling_plan(unsigned bits, unsigned steps) {
  RetryPlan plan;
  for (unsigned step = 1; step <= steps; ++step) {
    plan.delays.emplace_back(seconds{std::int64_t{1} << (bits * step)});
  }
  plan.count = RetryPlan::Count::FromFirstFailure;
  plan.jitter = 0;
  return plan;
}

}  // namespace

std::uint64_t Dice::next() noexcept {
  state_ += 0x9E3779B97F4A7C15U;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31U);
}

double Dice::unit() noexcept {
  return static_cast<double>(next() >> 11U) * 0x1.0p-53;
}

RetryPlan plan_of(const RetryConfig& config) {
  RetryPlan plan;
  plan.delays = config.delays;
  if (plan.delays.empty()) {
    plan.delays = {seconds{5}, seconds{30}, minutes{5}, minutes{30}, hours{2}, hours{5}, hours{10}};
  }
  plan.jitter = config.jitter;
  return plan;
}

RetryPlan ce_plan() {
  return doubling_plan(3, 5);
}

RetryPlan ce_legacy_plan() {
  return doubling_plan(2, 9);
}

RetryPolicy::RetryPolicy(RetryPlan plan) : plan_(std::move(plan)) {
  if (plan_.delays.empty() || plan_.delays.size() > 12) {
    throw std::invalid_argument("retry.delays needs 1 to 12 steps");
  }
  if (plan_.delays.front() <= milliseconds::zero()) {
    throw std::invalid_argument("retry.delays must be longer than 0");
  }
  if (!std::is_sorted(plan_.delays.begin(), plan_.delays.end())) {
    throw std::invalid_argument("retry.delays must not get shorter");
  }
  // The negation catches a NaN too.
  if (!(plan_.jitter >= 0.0 && plan_.jitter <= 0.5)) {
    throw std::invalid_argument("retry.jitter must be between 0 and 0.5");
  }
}

Step RetryPolicy::next(const Attempt& attempt, Dice& dice) const noexcept {
  if (attempt.retry == RetryClass::Delivered) return Step{Step::Kind::Done, {}};
  const std::size_t steps = plan_.delays.size();
  const std::size_t made = std::max<std::size_t>(attempt.attempts_made, 1);
  const bool given_up = attempt.retry != RetryClass::Retry || made > steps;
  if (given_up && plan_.give_up == RetryPlan::GiveUp::DeadLetter) {
    return Step{Step::Kind::Dead, {}};
  }
  std::size_t step = given_up ? steps - 1 : made - 1;
  const Duration asked = attempt.retry_after.value_or(seconds{0});
  while (step + 1 < steps && Duration{plan_.delays[step]} < asked) ++step;

  const Duration delay = plan_.delays[step];
  const double spread = plan_.jitter * (2.0 * dice.unit() - 1.0);
  const Duration jittered =
      delay + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(delay) * spread);
  // An offset counts from the first failure; what is given up and held counts from its attempt.
  const bool offsets = plan_.count == RetryPlan::Count::FromFirstFailure && !given_up;
  const TimePoint base = offsets ? std::min(attempt.first_failure, attempt.now) : attempt.now;
  // Never before the endpoint asked for it, and never in the past: a late offset is due at once.
  return Step{Step::Kind::Retry, std::max(base + jittered, attempt.now + asked)};
}

}  // namespace eventrelay::relay
