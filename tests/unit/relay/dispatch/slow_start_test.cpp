#include "relay/dispatch/slow_start.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace eventrelay::relay {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint kStart{seconds{1000}};

// Sends all that may be sent in `time`; wakes up to `late` after it was due.
std::vector<TimePoint> send(SlowStart& slow, TimePoint from, Duration time, Duration late,
                            std::mt19937_64& random) {
  std::vector<TimePoint> sent;
  TimePoint now = from;
  while (now < from + time && slow.active()) {
    if (slow.allows(now)) {
      slow.on_attempt(now);
      sent.push_back(now);
    } else {
      now = slow.at();
      if (late > Duration{}) {
        now += Duration{
            static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(late.count()))};
      }
    }
  }
  return sent;
}

std::size_t in_second(const std::vector<TimePoint>& sent, TimePoint from) {
  const auto first = std::lower_bound(sent.begin(), sent.end(), from);
  return static_cast<std::size_t>(std::lower_bound(first, sent.end(), from + seconds{1}) - first);
}

TEST(SlowStart, LimitsNothingBeforeItBegins) {
  SlowStart slow;
  EXPECT_FALSE(slow.active());
  slow.begin(0, kStart);
  EXPECT_FALSE(slow.active());
}

TEST(SlowStart, DoublesWhatItAllowsAsLongAsThatLimits) {
  std::mt19937_64 random(1);
  SlowStart slow;
  slow.begin(10, kStart);
  const auto sent = send(slow, kStart, seconds{20}, Duration{}, random);
  // 5 s each of 10, 20, 40 and 80 a second, 3 % less of each.
  EXPECT_GE(sent.size(), 715U);
  EXPECT_LE(sent.size(), 751U);
  EXPECT_EQ(slow.rate(), 80U);
}

TEST(SlowStart, IsOverOnceItNoLongerLimits) {
  SlowStart slow;
  slow.begin(100, kStart);
  TimePoint now = kStart;
  for (int i = 0; i < 60; ++i, now += milliseconds{100}) {
    ASSERT_TRUE(slow.allows(now));
    slow.on_attempt(now);
  }
  EXPECT_FALSE(slow.active());
}

TEST(SlowStart, KeepsItsRateWhileItIsHeld) {
  std::mt19937_64 random(1);
  SlowStart slow;
  slow.begin(100, kStart);
  slow.hold(true);
  TimePoint now = kStart;
  for (int i = 0; i < 600; ++i, now += milliseconds{100}) {
    ASSERT_TRUE(slow.allows(now));
    slow.on_attempt(now);
  }
  EXPECT_EQ(slow.rate(), 100U);
  // A minute later the endpoint takes everything, and the rate still grows from 100 a second.
  const auto sent = send(slow, now, seconds{4}, Duration{}, random);
  EXPECT_LE(sent.size(), 4 * 100U);
  slow.hold(false);
  ASSERT_TRUE(slow.allows(now + seconds{60}));
  EXPECT_EQ(slow.rate(), 200U);  // the rate limited it, so it doubled
  ASSERT_TRUE(slow.allows(now + seconds{120}));
  EXPECT_FALSE(slow.active());
}

// Bursts that meet the limit now and then are no reason to allow more.
TEST(SlowStart, KeepsTheRateOfOneWhoIsHeldAndTakesLess) {
  SlowStart slow;
  slow.begin(100, kStart);
  slow.hold(true);
  bool limited = false;
  for (int second = 0; second < 60; ++second) {
    TimePoint now = kStart + seconds{second};
    for (int i = 0; i < 60; ++i) {
      if (!slow.allows(now)) {
        limited = true;
        now = slow.at();
      }
      ASSERT_TRUE(slow.allows(now));
      slow.on_attempt(now);
    }
  }
  EXPECT_TRUE(limited);
  EXPECT_EQ(slow.rate(), 100U);
}

// Whenever attempts are taken, one second has no more of them than the rate it began with, or a
// little more than twice what some five seconds before it had used.
TEST(SlowStart, HeldItIsAtMostTwiceWhatWasUsedBefore) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    const auto rate = static_cast<std::uint32_t>(5 + random() % 200);
    SlowStart slow;
    slow.begin(rate, kStart);
    slow.hold(true);
    std::vector<TimePoint> sent;
    TimePoint now = kStart;
    while (now < kStart + seconds{90}) {
      // For a while the endpoint takes `pace` a second, often far more than it may get.
      const std::uint64_t pace = 1 + random() % (8 * std::uint64_t{rate});
      const TimePoint end = now + milliseconds{200 + random() % 15'000};
      while (now < end) {
        if (!slow.allows(now)) {
          now = slow.at();
          continue;
        }
        slow.on_attempt(now);
        sent.push_back(now);
        now += Duration{seconds{1}} / pace;
      }
    }
    std::size_t best = 0;  // of any five seconds that have ended by the second's end
    std::size_t ended = 0;
    for (const TimePoint at : sent) {
      while (sent[ended] + SlowStart::kPeriod <= at + seconds{1}) {
        const auto past =
            std::lower_bound(sent.begin(), sent.end(), sent[ended] + SlowStart::kPeriod);
        best = std::max(best, static_cast<std::size_t>(past - sent.begin()) - ended);
        ++ended;
      }
      // Nine tenths of what 97 % allow, then twice that; and what one second's edge adds.
      const double most = std::max<double>(rate, static_cast<double>(best) / 5 / 0.87 * 2);
      ASSERT_LE(static_cast<double>(in_second(sent, at)), most + 1) << "seed " << seed;
    }
  }
}

TEST(SlowStart, BeginsAnewOnlyIfThatIsSlower) {
  SlowStart slow;
  slow.begin(100, kStart);
  slow.begin(400, kStart);
  EXPECT_EQ(slow.rate(), 100U);
  slow.begin(50, kStart);
  EXPECT_EQ(slow.rate(), 50U);
  slow.end();
  EXPECT_FALSE(slow.active());
}

// No second, wherever it begins, has more attempts than the curve allows at its end.
TEST(SlowStart, NeverPassesItsCurveInAnySecond) {
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    std::mt19937_64 random(seed);
    const auto rate = static_cast<std::uint32_t>(1 + random() % 500);
    SlowStart slow;
    slow.begin(rate, kStart);
    const Duration late{static_cast<std::int64_t>(random() % 40'000'000)};
    const auto sent = send(slow, kStart, seconds{19}, late, random);
    ASSERT_FALSE(sent.empty());
    for (const TimePoint at : sent) {
      const auto periods = (at + seconds{1} - kStart) / SlowStart::kPeriod;
      ASSERT_LE(in_second(sent, at), rate << periods) << "seed " << seed << " rate " << rate;
    }
  }
}

}  // namespace
}  // namespace eventrelay::relay
