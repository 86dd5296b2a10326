#include "relay/dispatch/retry_budget.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace eventrelay::relay {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint kStart{seconds{1000}};

TEST(RetryBudget, LetsAFewRetriesGoWithoutAnyAttempt) {
  RetryBudget budget;
  std::uint32_t gone = 0;
  while (budget.allows(kStart, 10)) {
    budget.on_retry(kStart, 10);
    ++gone;
  }
  EXPECT_EQ(gone, RetryBudget::kBurst + 10);
  // From then on the floor's ten a second, and `allowed_at` says when.
  for (int i = 0; i < 30; ++i) {
    const TimePoint at = budget.allowed_at(10);
    EXPECT_EQ(at - kStart, milliseconds{100} * (i + 1));
    EXPECT_FALSE(budget.allows(at - Duration{1}, 10));
    ASSERT_TRUE(budget.allows(at, 10));
    budget.on_retry(at, 10);
  }
}

TEST(RetryBudget, GivesOneRetryForFiveAttempts) {
  RetryBudget budget;
  while (budget.allows(kStart, 1)) budget.on_retry(kStart, 1);
  for (int i = 0; i < 4; ++i) budget.on_attempt();
  EXPECT_FALSE(budget.allows(kStart, 1));
  budget.on_attempt();
  ASSERT_TRUE(budget.allows(kStart, 1));
  budget.on_retry(kStart, 1);
  EXPECT_FALSE(budget.allows(kStart, 1));
}

TEST(RetryBudget, CostsNothingWhereRetriesAreDelivered) {
  RetryBudget budget;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(budget.allows(kStart, 1)) << i;
    budget.on_attempt();
    budget.on_retry(kStart, 1);
    budget.on_delivered();
  }
  // Retries that were delivered save up no more than the burst.
  std::uint32_t gone = 0;
  for (; budget.allows(kStart, 1); ++gone) budget.on_retry(kStart, 1);
  EXPECT_EQ(gone, RetryBudget::kBurst + 1);
}

// In every stretch of a random life the retries that were not delivered are at most a fifth of the
// attempts, plus kBurst, plus what the floor allows.
TEST(RetryBudget, KeepsTheShareOverEveryStretchOfTime) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    std::mt19937_64 random(seed);
    const auto floor = static_cast<std::uint32_t>(1 + random() % 50);
    const std::uint64_t failing = random() % 101;  // per cent of attempts that want a retry
    RetryBudget budget;
    struct Sent {
      TimePoint at;
      bool retry;
    };
    std::vector<Sent> sent;
    TimePoint now = kStart;
    std::uint64_t owed = 0;
    for (int step = 0; step < 2000; ++step) {
      now += Duration{static_cast<std::int64_t>(random() % 5'000'000)};
      const bool retry = owed > 0 && budget.allows(now, floor);
      if (!retry && random() % 3 == 0) continue;
      budget.on_attempt();
      if (retry) {
        budget.on_retry(now, floor);
        --owed;
      }
      const bool failed = random() % 100 < failing;
      sent.push_back({now, retry && failed});
      if (retry && !failed) budget.on_delivered();
      if (failed) ++owed;
    }
    for (int look = 0; look < 50; ++look) {
      std::size_t first = random() % sent.size();
      std::size_t last = random() % sent.size();
      if (first > last) std::swap(first, last);
      double attempts = 0;
      double retries = 0;
      for (std::size_t i = first; i <= last; ++i) {
        ++attempts;
        if (sent[i].retry) ++retries;
      }
      const double time = std::chrono::duration<double>(sent[last].at - sent[first].at).count();
      ASSERT_LE(retries,
                attempts / RetryBudget::kShare + RetryBudget::kBurst + floor * (time + 1) + 1)
          << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace eventrelay::relay
