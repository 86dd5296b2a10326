#include "relay/dispatch/circuit_breaker.hpp"

#include <gtest/gtest.h>

#include <random>

namespace eventrelay::relay {
namespace {

using std::chrono::seconds;
using State = CircuitBreaker::State;
using Verdict = CircuitBreaker::Verdict;

constexpr BreakerConfig kConfig{3, seconds{1}, seconds{5}};

TimePoint at(int second) {
  return TimePoint{seconds{second}};
}

CircuitBreaker tripped_at(int second) {
  CircuitBreaker breaker(kConfig);
  for (int i = 0; i < 3; ++i) breaker.on_failure(at(second));
  return breaker;
}

TEST(CircuitBreaker, AllowsWhileFailuresAreFewerThanTheTrip) {
  CircuitBreaker breaker(kConfig);
  breaker.on_failure(at(0));
  breaker.on_failure(at(0));
  EXPECT_EQ(breaker.admit(at(0)), Verdict::Allow);
  EXPECT_EQ(breaker.probe_at(), std::nullopt);
}

TEST(CircuitBreaker, CountsFailuresInARowOnly) {
  CircuitBreaker breaker(kConfig);
  for (int i = 0; i < 10; ++i) {
    breaker.on_failure(at(0));
    breaker.on_failure(at(0));
    breaker.on_success();
  }
  EXPECT_EQ(breaker.state(), State::Closed);
}

TEST(CircuitBreaker, RejectsFromTheTripUntilTheCoolDownEnds) {
  CircuitBreaker breaker = tripped_at(10);
  EXPECT_EQ(breaker.state(), State::Open);
  EXPECT_EQ(breaker.admit(at(10)), Verdict::Reject);
  EXPECT_EQ(breaker.probe_at(), at(11));
  EXPECT_EQ(breaker.admit(at(11) - Duration{1}), Verdict::Reject);
  EXPECT_EQ(breaker.admit(at(11)), Verdict::Probe);
}

TEST(CircuitBreaker, LetsOneProbeOutAtATime) {
  CircuitBreaker breaker = tripped_at(0);
  ASSERT_EQ(breaker.admit(at(1)), Verdict::Probe);
  EXPECT_EQ(breaker.admit(at(1)), Verdict::Reject);
  EXPECT_EQ(breaker.admit(at(100)), Verdict::Reject);
  EXPECT_EQ(breaker.probe_at(), std::nullopt);
}

TEST(CircuitBreaker, ClosesWhenTheProbeSucceeds) {
  CircuitBreaker breaker = tripped_at(0);
  ASSERT_EQ(breaker.admit(at(1)), Verdict::Probe);
  breaker.on_success();
  EXPECT_EQ(breaker.state(), State::Closed);
  EXPECT_EQ(breaker.admit(at(1)), Verdict::Allow);
  EXPECT_EQ(breaker.admit(at(1)), Verdict::Allow);
}

TEST(CircuitBreaker, DoublesTheCoolDownWithEachFailedProbeUpToItsMaximum) {
  CircuitBreaker breaker = tripped_at(0);
  int now = 0;
  for (const int cool_down : {1, 2, 4, 5, 5}) {
    now += cool_down;
    EXPECT_EQ(breaker.admit(at(now) - Duration{1}), Verdict::Reject) << cool_down;
    ASSERT_EQ(breaker.admit(at(now)), Verdict::Probe) << cool_down;
    breaker.on_failure(at(now));
  }
}

TEST(CircuitBreaker, StartsWithTheShortCoolDownAgainOnceItClosed) {
  CircuitBreaker breaker = tripped_at(0);
  ASSERT_EQ(breaker.admit(at(1)), Verdict::Probe);
  breaker.on_failure(at(1));
  ASSERT_EQ(breaker.admit(at(3)), Verdict::Probe);
  breaker.on_success();
  for (int i = 0; i < 3; ++i) breaker.on_failure(at(10));
  EXPECT_EQ(breaker.probe_at(), at(11));
}

TEST(CircuitBreaker, IgnoresLateAnswersToAttemptsFromBeforeTheTrip) {
  CircuitBreaker breaker = tripped_at(0);
  breaker.on_success();
  EXPECT_EQ(breaker.state(), State::Open);
  breaker.on_failure(at(0) + seconds{1} / 2);
  EXPECT_EQ(breaker.probe_at(), at(1));
}

TEST(CircuitBreaker, AsksAgainAfterAProbeThatWasGivenUp) {
  CircuitBreaker breaker = tripped_at(0);
  ASSERT_EQ(breaker.admit(at(1)), Verdict::Probe);
  EXPECT_EQ(breaker.probe_at(), std::nullopt);
  breaker.on_cancel();
  // The time of the next probe is told, since a catch-up read waits for it.
  EXPECT_EQ(breaker.probe_at(), at(1));
  EXPECT_EQ(breaker.admit(at(1)), Verdict::Probe);
}

// In any order of events there are never two probes under way, and an open breaker allows the
// next probe after a bounded time.
TEST(CircuitBreaker, KeepsItsPromisesOverRandomHistories) {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    std::mt19937_64 random(seed);
    CircuitBreaker breaker(kConfig);
    TimePoint now{};
    int probes = 0;
    int row = 0;
    for (int step = 0; step < 200; ++step) {
      now += Duration{static_cast<std::int64_t>(random() % 2'000'000'000)};
      const State before = breaker.state();
      switch (random() % 4) {
        case 0:
        case 1:
          switch (breaker.admit(now)) {
            case Verdict::Allow:
              ASSERT_EQ(before, State::Closed) << seed;
              break;
            case Verdict::Probe:
              ASSERT_EQ(++probes, 1) << seed;
              break;
            case Verdict::Reject:
              ASSERT_NE(before, State::Closed) << seed;
              break;
          }
          break;
        case 2:
          breaker.on_success();
          if (before != State::Open) row = probes = 0;
          if (before == State::Closed) {
            ASSERT_EQ(breaker.state(), State::Closed) << seed;
          }
          break;
        default:
          breaker.on_failure(now);
          if (before == State::Closed) {
            ++row;
            ASSERT_EQ(breaker.state() == State::Open, row == 3) << seed;
          }
          if (breaker.state() == State::Open) row = 0;
          if (before == State::HalfOpen) probes = 0;
          break;
      }
      if (breaker.state() == State::Open) {
        ASSERT_LE(*breaker.probe_at(), now + kConfig.cool_down_max) << seed;
      }
    }
  }
}

}  // namespace
}  // namespace eventrelay::relay
