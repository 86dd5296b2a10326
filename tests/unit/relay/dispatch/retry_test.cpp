#include "relay/dispatch/retry.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>

namespace eventrelay::relay {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using Kind = Step::Kind;

constexpr WallTime kNow{hours{1000}};

RetryPlan default_plan() {
  RetryConfig config;
  return plan_of(config, DeliveryConfig{}, config.delays);
}

RetryPlan list_plan(std::vector<milliseconds> delays, double jitter) {
  RetryPlan plan;
  plan.waits = delays;
  plan.steps = std::move(delays);
  plan.jitter = jitter;
  return plan;
}

// The waits of a profile, whose offsets are powers of `factor` seconds.
DeliveryConfig profile(RetryProfile word, int factor, int steps) {
  DeliveryConfig delivery;
  delivery.retry_profile = word;
  std::int64_t before = 0;
  std::int64_t offset = 1;
  for (int i = 0; i < steps; ++i) {
    offset *= factor;
    delivery.retry_delays.emplace_back(seconds{offset - before});
    before = offset;
  }
  return delivery;
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
    {"default", kRetry, 1, -1, Kind::Park, 5},
    {"default", kRetry, 2, -1, Kind::Park, 30},
    {"default", kRetry, 3, -1, Kind::Park, 300},
    {"default", kRetry, 4, -1, Kind::Park, 1800},
    {"default", kRetry, 5, -1, Kind::Park, 7200},
    {"default", kRetry, 6, -1, Kind::Park, 18000},
    {"default", kRetry, 7, -1, Kind::Park, 36000},
    {"default", kRetry, 8, -1, Kind::Dead, 0},
    {"default", kRetry, 9, -1, Kind::Dead, 0},
    {"default", kRetry, 1000, -1, Kind::Dead, 0},
    {"default", kRetry, 0, -1, Kind::Park, 5},
    // Retry-After takes the smallest step that is long enough, never a shorter one than due.
    {"default", kRetry, 1, 0, Kind::Park, 5},
    {"default", kRetry, 1, 1, Kind::Park, 5},
    {"default", kRetry, 1, 5, Kind::Park, 5},
    {"default", kRetry, 1, 6, Kind::Park, 30},
    {"default", kRetry, 1, 30, Kind::Park, 30},
    {"default", kRetry, 1, 31, Kind::Park, 300},
    {"default", kRetry, 1, 3600, Kind::Park, 7200},
    {"default", kRetry, 3, 10, Kind::Park, 300},
    {"default", kRetry, 3, 301, Kind::Park, 1800},
    {"default", kRetry, 7, 5, Kind::Park, 36000},
    {"default", kRetry, 1, 36000, Kind::Park, 36000},
    {"default", kRetry, 1, 36001, Kind::Park, 36000},
    {"default", kRetry, 8, 5, Kind::Dead, 0},
    // 8^x, from the first failure.
    {"ce", kRetry, 1, -1, Kind::Park, 8},
    {"ce", kRetry, 2, -1, Kind::Park, 64},
    {"ce", kRetry, 3, -1, Kind::Park, 512},
    {"ce", kRetry, 4, -1, Kind::Park, 4096},
    {"ce", kRetry, 5, -1, Kind::Park, 32768},
    {"ce", kRetry, 6, -1, Kind::Dead, 0},
    {"ce", kRetry, 1, 9, Kind::Park, 56},
    {"ce", RetryClass::Gone, 1, -1, Kind::Dead, 0},
    {"ce", RetryClass::Delivered, 6, -1, Kind::Done, 0},
    // 4^x, from the first failure.
    {"ce-legacy", kRetry, 1, -1, Kind::Park, 4},
    {"ce-legacy", kRetry, 2, -1, Kind::Park, 16},
    {"ce-legacy", kRetry, 3, -1, Kind::Park, 64},
    {"ce-legacy", kRetry, 4, -1, Kind::Park, 256},
    {"ce-legacy", kRetry, 5, -1, Kind::Park, 1024},
    {"ce-legacy", kRetry, 6, -1, Kind::Park, 4096},
    {"ce-legacy", kRetry, 7, -1, Kind::Park, 16384},
    {"ce-legacy", kRetry, 8, -1, Kind::Park, 65536},
    {"ce-legacy", kRetry, 9, -1, Kind::Park, 262144},
    {"ce-legacy", kRetry, 10, -1, Kind::Dead, 0},
    {"ce-legacy", RetryClass::Fatal, 2, -1, Kind::Dead, 0},
    {"one", kRetry, 1, -1, Kind::Park, 2},
    {"one", kRetry, 2, -1, Kind::Dead, 0},
    {"one", kRetry, 1, 60, Kind::Park, 2},
    {"one", RetryClass::Delivered, 2, -1, Kind::Done, 0},
};
static_assert(std::size(kRows) >= 50);

RetryPolicy policy_named(std::string_view name) {
  RetryPlan plan = default_plan();
  if (name == "ce" || name == "ce-legacy") {
    const DeliveryConfig own =
        name == "ce" ? profile(RetryProfile::Ce, 8, 5) : profile(RetryProfile::CeLegacy, 4, 9);
    plan = plan_of(RetryConfig{}, own, own.retry_delays);
  } else if (name == "one") {
    plan = list_plan({seconds{2}}, 0);
  }
  plan.jitter = 0;
  return RetryPolicy(plan);
}

TEST(RetryPolicy, AnswersTheWholeMatrix) {
  Random random(1);
  for (const Row& row : kRows) {
    SCOPED_TRACE(std::string(row.plan) + " made " + std::to_string(row.made) + " after " +
                 std::to_string(row.retry_after));
    Attempt attempt{row.retry, row.made, kNow, kNow, std::nullopt};
    if (row.retry_after >= 0) attempt.retry_after = seconds{row.retry_after};
    const Step step = policy_named(row.plan).next(attempt, random);
    EXPECT_EQ(step.kind, row.kind);
    if (row.kind == Kind::Park) {
      EXPECT_EQ(step.due - kNow, seconds{row.delay});
    }
  }
}

TEST(RetryPolicy, CountsProfilesFromTheFirstFailure) {
  const RetryPolicy policy = policy_named("ce");
  Random random(1);
  const WallTime first = kNow - seconds{10};
  const Attempt second{kRetry, 2, first, kNow, std::nullopt};
  EXPECT_EQ(policy.next(second, random).due, first + seconds{64});
}

TEST(RetryPolicy, TriesAtOnceWhenAnOffsetHasPassed) {
  const RetryPolicy policy = policy_named("ce");
  Random random(1);
  const Attempt late{kRetry, 1, kNow - minutes{5}, kNow, std::nullopt};
  EXPECT_EQ(policy.next(late, random).due, kNow);
}

// The schedule of one subscription over the delay topics there are: due as the schedule says, in
// the smallest step that is long enough.
TEST(RetryPolicy, MapsAScheduleOfItsOwnToTheSmallestStepThatIsLongEnough) {
  DeliveryConfig own;
  own.retry_delays = {seconds{1}, seconds{5}, seconds{6}, minutes{5}, hours{9}};
  RetryConfig common;
  common.jitter = 0;
  const RetryPolicy policy(plan_of(common, own, common.delays));
  const std::size_t steps[] = {0, 0, 1, 2, 6};
  Random random(1);
  for (std::uint32_t made = 1; made <= 5; ++made) {
    const Step step = policy.next(Attempt{kRetry, made, kNow, kNow, std::nullopt}, random);
    EXPECT_EQ(step.kind, Kind::Park);
    EXPECT_EQ(step.delay, steps[made - 1]) << made;
    EXPECT_EQ(step.due - kNow, own.retry_delays[made - 1]) << made;
  }
  EXPECT_EQ(policy.next(Attempt{kRetry, 6, kNow, kNow, std::nullopt}, random).kind, Kind::Dead);
}

TEST(RetryPolicy, ParksInTheStepThatRetryAfterAsksFor) {
  const RetryPolicy policy = policy_named("default");
  Random random(1);
  const Step step = policy.next(Attempt{kRetry, 1, kNow, kNow, seconds{31}}, random);
  EXPECT_EQ(step.delay, 2U);
  const Step clamped = policy.next(Attempt{kRetry, 1, kNow, kNow, hours{30}}, random);
  EXPECT_EQ(clamped.delay, 6U);
}

TEST(RetryPolicy, MapsAProfileToWhatIsLeftOfItsOffsets) {
  RetryConfig common;
  const RetryPolicy policy(plan_of(common, profile(RetryProfile::Ce, 8, 5), common.delays));
  Random random(1);
  // The second offset is 64 s; 50 s of it have passed.
  const Step step = policy.next(Attempt{kRetry, 2, kNow - seconds{50}, kNow, std::nullopt}, random);
  EXPECT_EQ(step.due, kNow + seconds{14});
  EXPECT_EQ(step.delay, 1U);
}

TEST(RetryPolicy, SpreadsDelaysByTheJitterAndNoFurther) {
  const RetryPolicy policy(list_plan({seconds{100}}, 0.2));
  Random random(7);
  milliseconds shortest = hours{1};
  milliseconds longest{};
  for (int i = 0; i < 10'000; ++i) {
    const milliseconds delay =
        policy.next(Attempt{kRetry, 1, kNow, kNow, std::nullopt}, random).due - kNow;
    shortest = std::min(shortest, delay);
    longest = std::max(longest, delay);
  }
  EXPECT_GE(shortest, seconds{80});
  EXPECT_LT(shortest, seconds{81});
  EXPECT_LE(longest, seconds{120});
  EXPECT_GT(longest, seconds{119});
}

TEST(RetryPolicy, NeverComesBeforeTheEndpointAskedFor) {
  const RetryPolicy policy(list_plan({seconds{100}}, 0.5));
  Random random(7);
  for (int i = 0; i < 1000; ++i) {
    const Step step = policy.next(Attempt{kRetry, 1, kNow, kNow, seconds{100}}, random);
    EXPECT_GE(step.due - kNow, seconds{100});
  }
}

TEST(RetryPolicy, RepeatsItselfWithTheSameSeed) {
  const RetryPolicy policy(default_plan());
  Random a(42);
  Random b(42);
  Random c(43);
  bool differs = false;
  for (std::uint32_t made = 1; made <= 7; ++made) {
    const Attempt attempt{kRetry, made, kNow, kNow, std::nullopt};
    const WallTime first = policy.next(attempt, a).due;
    EXPECT_EQ(first, policy.next(attempt, b).due);
    differs = differs || first != policy.next(attempt, c).due;
  }
  EXPECT_TRUE(differs);
}

// For any plan and any answer a retry is due no sooner than asked, not in the past, and at most the
// last step and its jitter from now. Its step is the smallest that is long enough.
TEST(RetryPolicy, KeepsItsBoundsOverRandomPlans) {
  std::mt19937_64 random(20'261'124);
  const auto up_to = [&](std::uint64_t n) { return static_cast<std::int64_t>(random() % n); };
  const auto ascending = [&] {
    std::vector<milliseconds> list;
    milliseconds last{0};
    for (std::int64_t n = 1 + up_to(12); n > 0; --n) {
      last += milliseconds{10 + up_to(std::uint64_t{1} << (4 + random() % 24))};
      list.push_back(last);
    }
    return list;
  };
  Random jitter(9);
  for (int round = 0; round < 200'000; ++round) {
    RetryConfig common{ascending(), 0.005 * static_cast<double>(up_to(101))};
    DeliveryConfig own;
    const std::vector<milliseconds>& steps = common.delays;
    if (up_to(2) == 0) own.retry_delays = ascending();
    // The configuration refuses a wait longer than every step.
    std::erase_if(own.retry_delays, [&](milliseconds wait) { return wait > steps.back(); });
    if (up_to(2) == 0) own.retry_profile = RetryProfile::Ce;
    const RetryPolicy policy(plan_of(common, own, steps));
    Attempt attempt{kRetry, static_cast<std::uint32_t>(up_to(14)),
                    kNow - milliseconds{up_to(1'000'000)}, kNow, std::nullopt};
    if (up_to(2) == 0) attempt.retry_after = seconds{up_to(40'000)};
    const Step step = policy.next(attempt, jitter);
    if (step.kind != Kind::Park) {
      ASSERT_GT(attempt.attempts_made, policy.plan().waits.size()) << round;
      continue;
    }
    const milliseconds wait = step.due - kNow;
    // Only a clock that was set back leaves more of an offset than its last step.
    if (policy.plan().count == RetryPlan::Count::FromFirstFailure && wait > steps.back()) continue;
    const milliseconds asked = attempt.retry_after.value_or(seconds{0});
    const double spread = policy.plan().jitter;
    const auto waited = static_cast<double>(wait.count());
    ASSERT_GE(wait, milliseconds{0}) << round;
    ASSERT_GE(wait, std::min(asked, steps.back())) << round;
    ASSERT_LT(step.delay, steps.size()) << round;
    ASSERT_LE(waited, static_cast<double>(steps[step.delay].count()) * (1 + spread) + 1) << round;
    if (step.delay == 0) continue;
    const auto shorter = static_cast<double>(steps[step.delay - 1].count());
    ASSERT_GE(waited, shorter * (1 - spread) - 1) << round;
  }
}

TEST(RetryPolicy, RefusesPlansThatMakeNoSense) {
  const auto refuses = [](std::vector<milliseconds> delays, double jitter) {
    EXPECT_THROW(RetryPolicy(list_plan(std::move(delays), jitter)), std::invalid_argument);
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
