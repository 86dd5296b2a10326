// Which changes of a subscription's state are logged.
#include "relay/subscriptions/health.hpp"

#include <gtest/gtest.h>

namespace eventrelay::relay {
namespace {

using Kind = HealthChange::Kind;
using metrics::Outcome;

TimePoint at(double seconds) {
  return TimePoint{std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds))};
}

std::optional<Kind> kind_of(const std::optional<HealthChange>& change) {
  return change ? std::optional(change->kind) : std::nullopt;
}

TEST(SubscriptionHealth, TellsEachChangeOnce) {
  SubscriptionHealth health;
  EXPECT_TRUE(health.all_well());
  EXPECT_EQ(kind_of(health.failed(1, Outcome::Tls, at(0))), Kind::Fails);
  for (int i = 1; i < 100; ++i) EXPECT_FALSE(health.failed(1, Outcome::Tls, at(i * 0.01)));
  EXPECT_EQ(kind_of(health.failed(1, Outcome::Timeout, at(1))), Kind::Fails) << "in another way";
  EXPECT_EQ(kind_of(health.dead_letter(1, at(2))), Kind::DeadLetters);
  EXPECT_FALSE(health.dead_letter(1, at(2)));
  const auto back = health.answered(1, at(5));
  EXPECT_EQ(back, (HealthChange{Kind::AnswersAgain, 101, std::chrono::seconds(5)}));
  EXPECT_FALSE(health.answered(1, at(5)));
  EXPECT_EQ(kind_of(health.failed(1, Outcome::Timeout, at(6))), Kind::Fails);
  EXPECT_EQ(kind_of(health.dead_letter(1, at(6))), Kind::DeadLetters) << "a new outage";
}

TEST(SubscriptionHealth, KeepsSubscriptionsApart) {
  SubscriptionHealth health;
  EXPECT_TRUE(health.failed(1, Outcome::Dns, at(0)));
  EXPECT_TRUE(health.failed(2, Outcome::Dns, at(0)));
  EXPECT_FALSE(health.answered(3, at(0)));
  EXPECT_FALSE(health.dead_letter(3, at(0)));
  EXPECT_TRUE(health.answered(2, at(1)));
  EXPECT_FALSE(health.failed(1, Outcome::Dns, at(1)));
}

TEST(SubscriptionHealth, BoundsTheLinesOfOneThatChangesAllTheTimeAndTellsItsLastState) {
  SubscriptionHealth health;
  std::uint32_t lines = 0;
  for (int i = 0; i < 10'000; ++i) {
    lines += health.failed(1, Outcome::Http5xx, at(i * 0.01)).has_value() ? 1U : 0U;
    lines += health.answered(1, at(i * 0.01)).has_value() ? 1U : 0U;
  }
  EXPECT_GE(lines, SubscriptionHealth::kLinesAtOnce);
  EXPECT_LE(lines, SubscriptionHealth::kLinesAtOnce + 7);
  static_cast<void>(health.failed(1, Outcome::Http5xx, at(200)));
  EXPECT_EQ(kind_of(health.answered(1, at(300))), Kind::AnswersAgain);
}

TEST(SubscriptionHealth, ForgetsWhatHasBeenWellForLong) {
  SubscriptionHealth health;
  static_cast<void>(health.failed(1, Outcome::Http5xx, at(0)));
  static_cast<void>(health.answered(1, at(1)));
  EXPECT_FALSE(health.answered(1, at(200)));
  EXPECT_TRUE(health.all_well());
}

}  // namespace
}  // namespace eventrelay::relay
