#include "relay/retry.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

namespace eventrelay::relay {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using GiveUp = RetryPlan::GiveUp;
using Kind = Step::Kind;

constexpr TimePoint kNow{hours{1000}};

RetryPlan exact(RetryPlan plan, GiveUp give_up = GiveUp::DeadLetter) {
  plan.jitter = 0;
  plan.give_up = give_up;
  return plan;
}

struct Row {
  const char* plan;
  RetryClass retry;
  std::uint32_t made;
  int retry_after;  // seconds, -1 = none
  Kind kind;
  int delay;  // seconds from now
};

constexpr auto kRetry = RetryClass::Retry;

// plan, class, attempts made, Retry-After -> step, delay. The first failure was at kNow in plans
// that count from it.
constexpr Row kRows[] = {
    {"default", RetryClass::Delivered, 1, -1, Kind::Done, 0},
    {"default", RetryClass::Delivered, 8, -1, Kind::Done, 0},
    {"default", RetryClass::Delivered, 99, 30, Kind::Done, 0},
    {"default", RetryClass::Gone, 1, -1, Kind::Dead, 0},
    {"default", RetryClass::Gone, 5, 60, Kind::Dead, 0},
    {"default", RetryClass::Fatal, 1, -1, Kind::Dead, 0},
    {"default", RetryClass::Fatal, 7, 1, Kind::Dead, 0},
    {"default", kRetry, 1, -1, Kind::Retry, 5},
    {"default", kRetry, 2, -1, Kind::Retry, 30},
    {"default", kRetry, 3, -1, Kind::Retry, 300},
    {"default", kRetry, 4, -1, Kind::Retry, 1800},
    {"default", kRetry, 5, -1, Kind::Retry, 7200},
    {"default", kRetry, 6, -1, Kind::Retry, 18000},
    {"default", kRetry, 7, -1, Kind::Retry, 36000},
    {"default", kRetry, 8, -1, Kind::Dead, 0},
    {"default", kRetry, 9, -1, Kind::Dead, 0},
    {"default", kRetry, 1000, -1, Kind::Dead, 0},
    {"default", kRetry, 0, -1, Kind::Retry, 5},
    // Retry-After takes the smallest step that is long enough, never a shorter one than due.
    {"default", kRetry, 1, 0, Kind::Retry, 5},
    {"default", kRetry, 1, 1, Kind::Retry, 5},
    {"default", kRetry, 1, 5, Kind::Retry, 5},
    {"default", kRetry, 1, 6, Kind::Retry, 30},
    {"default", kRetry, 1, 30, Kind::Retry, 30},
    {"default", kRetry, 1, 31, Kind::Retry, 300},
    {"default", kRetry, 1, 3600, Kind::Retry, 7200},
    {"default", kRetry, 3, 10, Kind::Retry, 300},
    {"default", kRetry, 3, 301, Kind::Retry, 1800},
    {"default", kRetry, 7, 5, Kind::Retry, 36000},
    {"default", kRetry, 1, 36000, Kind::Retry, 36000},
    {"default", kRetry, 1, 36001, Kind::Retry, 36001},
    {"default", kRetry, 8, 5, Kind::Dead, 0},
    // Held instead of given up: the last delay, for ever.
    {"held", kRetry, 7, -1, Kind::Retry, 36000},
    {"held", kRetry, 8, -1, Kind::Retry, 36000},
    {"held", kRetry, 5000, -1, Kind::Retry, 36000},
    {"held", RetryClass::Gone, 1, -1, Kind::Retry, 36000},
    {"held", RetryClass::Fatal, 3, -1, Kind::Retry, 36000},
    {"held", RetryClass::Delivered, 50, -1, Kind::Done, 0},
    {"held", kRetry, 1, -1, Kind::Retry, 5},
    // 8^x, from the first failure.
    {"ce", kRetry, 1, -1, Kind::Retry, 8},
    {"ce", kRetry, 2, -1, Kind::Retry, 64},
    {"ce", kRetry, 3, -1, Kind::Retry, 512},
    {"ce", kRetry, 4, -1, Kind::Retry, 4096},
    {"ce", kRetry, 5, -1, Kind::Retry, 32768},
    {"ce", kRetry, 6, -1, Kind::Dead, 0},
    {"ce", kRetry, 1, 9, Kind::Retry, 64},
    {"ce", RetryClass::Gone, 1, -1, Kind::Dead, 0},
    {"ce", RetryClass::Delivered, 6, -1, Kind::Done, 0},
    // 4^x, from the first failure.
    {"ce-legacy", kRetry, 1, -1, Kind::Retry, 4},
    {"ce-legacy", kRetry, 2, -1, Kind::Retry, 16},
    {"ce-legacy", kRetry, 3, -1, Kind::Retry, 64},
    {"ce-legacy", kRetry, 4, -1, Kind::Retry, 256},
    {"ce-legacy", kRetry, 5, -1, Kind::Retry, 1024},
    {"ce-legacy", kRetry, 6, -1, Kind::Retry, 4096},
    {"ce-legacy", kRetry, 7, -1, Kind::Retry, 16384},
    {"ce-legacy", kRetry, 8, -1, Kind::Retry, 65536},
    {"ce-legacy", kRetry, 9, -1, Kind::Retry, 262144},
    {"ce-legacy", kRetry, 10, -1, Kind::Dead, 0},
    {"ce-legacy", RetryClass::Fatal, 2, -1, Kind::Dead, 0},
    {"one", kRetry, 1, -1, Kind::Retry, 2},
    {"one", kRetry, 2, -1, Kind::Dead, 0},
    {"one", kRetry, 1, 60, Kind::Retry, 60},
    {"one", RetryClass::Delivered, 2, -1, Kind::Done, 0},
};
static_assert(std::size(kRows) >= 60);

RetryPolicy policy_named(std::string_view name) {
  if (name == "ce") return RetryPolicy(exact(ce_plan()));
  if (name == "ce-legacy") return RetryPolicy(exact(ce_legacy_plan()));
  RetryConfig config;
  if (name == "one") config.delays = {seconds{2}};
  return RetryPolicy(
      exact(plan_of(config), name == "held" ? GiveUp::KeepTrying : GiveUp::DeadLetter));
}

TEST(RetryPolicy, AnswersTheWholeMatrix) {
  Dice dice(1);
  for (const Row& row : kRows) {
    SCOPED_TRACE(std::string(row.plan) + " made " + std::to_string(row.made) + " after " +
                 std::to_string(row.retry_after));
    Attempt attempt{row.retry, row.made, kNow, kNow, std::nullopt};
    if (row.retry_after >= 0) attempt.retry_after = seconds{row.retry_after};
    const Step step = policy_named(row.plan).next(attempt, dice);
    EXPECT_EQ(step.kind, row.kind);
    if (row.kind == Kind::Retry) {
      EXPECT_EQ(step.at - kNow, seconds{row.delay});
    }
  }
}

TEST(RetryPolicy, CountsProfilesFromTheFirstFailure) {
  const RetryPolicy policy = policy_named("ce");
  Dice dice(1);
  const TimePoint first = kNow - seconds{10};
  const Attempt second{kRetry, 2, first, kNow, std::nullopt};
  EXPECT_EQ(policy.next(second, dice).at, first + seconds{64});
}

TEST(RetryPolicy, TriesAtOnceWhenAnOffsetHasPassed) {
  const RetryPolicy policy = policy_named("ce");
  Dice dice(1);
  const Attempt late{kRetry, 1, kNow - minutes{5}, kNow, std::nullopt};
  EXPECT_EQ(policy.next(late, dice).at, kNow);
}

TEST(RetryPolicy, SpreadsDelaysByTheJitterAndNoFurther) {
  const RetryPolicy policy(plan_of(RetryConfig{{seconds{100}}, 0.2}));
  Dice dice(7);
  Duration shortest = hours{1};
  Duration longest{};
  for (int i = 0; i < 10'000; ++i) {
    const Duration delay =
        policy.next(Attempt{kRetry, 1, kNow, kNow, std::nullopt}, dice).at - kNow;
    shortest = std::min(shortest, delay);
    longest = std::max(longest, delay);
  }
  EXPECT_GE(shortest, seconds{80});
  EXPECT_LT(shortest, seconds{81});
  EXPECT_LE(longest, seconds{120});
  EXPECT_GT(longest, seconds{119});
}

TEST(RetryPolicy, NeverComesBeforeTheEndpointAskedFor) {
  const RetryPolicy policy(plan_of(RetryConfig{{seconds{100}}, 0.5}));
  Dice dice(7);
  for (int i = 0; i < 1000; ++i) {
    const Step step = policy.next(Attempt{kRetry, 1, kNow, kNow, seconds{100}}, dice);
    EXPECT_GE(step.at - kNow, seconds{100});
  }
}

TEST(RetryPolicy, RepeatsItselfWithTheSameSeed) {
  const RetryPolicy policy(plan_of(RetryConfig{}));
  Dice a(42);
  Dice b(42);
  Dice c(43);
  bool differs = false;
  for (std::uint32_t made = 1; made <= 7; ++made) {
    const Attempt attempt{kRetry, made, kNow, kNow, std::nullopt};
    const TimePoint first = policy.next(attempt, a).at;
    EXPECT_EQ(first, policy.next(attempt, b).at);
    differs = differs || first != policy.next(attempt, c).at;
  }
  EXPECT_TRUE(differs);
}

TEST(RetryPolicy, RefusesPlansThatMakeNoSense) {
  const auto refuses = [](std::vector<milliseconds> delays, double jitter) {
    EXPECT_THROW(RetryPolicy(RetryPlan{std::move(delays), jitter}), std::invalid_argument);
  };
  refuses({}, 0.1);
  refuses(std::vector<milliseconds>(13, seconds{1}), 0.1);
  refuses({milliseconds{0}}, 0.1);
  refuses({seconds{-1}}, 0.1);
  refuses({seconds{5}, seconds{4}}, 0.1);
  refuses({seconds{5}}, 0.51);
  refuses({seconds{5}}, -0.1);
  refuses({seconds{5}}, std::numeric_limits<double>::quiet_NaN());
}

}  // namespace
}  // namespace eventrelay::relay
