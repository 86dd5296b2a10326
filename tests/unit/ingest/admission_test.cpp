#include "ingest/admission.hpp"

#include <gtest/gtest.h>

namespace eventrelay::ingest {
namespace {

using std::chrono::milliseconds;

[[nodiscard]] TimePoint at(std::int64_t ms) {
  return TimePoint{} + std::chrono::hours{1} + milliseconds{ms};
}

[[nodiscard]] KafkaState pending_since(std::int64_t ms) {
  return {.bucket = 3, .still_since = at(ms), .messages = 1, .bytes = 1000};
}

TEST(Admission, AdmitsWhileNothingWaits) {
  Admission admission({});
  EXPECT_EQ(admission.admit({}, at(0)), Admission::Verdict::Admit);
}

TEST(Admission, AdmitsUntilNothingWasAcknowledgedForTooLong) {
  Admission admission({});
  EXPECT_EQ(admission.admit(pending_since(0), at(750)), Admission::Verdict::Admit);
  EXPECT_EQ(admission.admit(pending_since(0), at(751)), Admission::Verdict::Reject);
}

TEST(Admission, LetsOneProbeThroughPerInterval) {
  Admission admission({});
  const KafkaState stuck = pending_since(0);
  EXPECT_EQ(admission.admit(stuck, at(800)), Admission::Verdict::Reject);
  EXPECT_EQ(admission.admit(stuck, at(899)), Admission::Verdict::Reject);
  EXPECT_EQ(admission.admit(stuck, at(900)), Admission::Verdict::Probe);
  EXPECT_EQ(admission.admit(stuck, at(901)), Admission::Verdict::Reject);
  EXPECT_EQ(admission.admit(stuck, at(1000)), Admission::Verdict::Probe);
}

TEST(Admission, LetsNoSecondProbeThroughWhileOneIsUnderWay) {
  Admission admission({});
  const KafkaState stuck = pending_since(0);
  EXPECT_EQ(admission.admit(stuck, at(800)), Admission::Verdict::Reject);
  ASSERT_EQ(admission.admit(stuck, at(900)), Admission::Verdict::Probe);
  {
    Units probe;
    ASSERT_TRUE(probe.hold(admission.probes(), 1));
    EXPECT_EQ(admission.admit(stuck, at(5000)), Admission::Verdict::Reject);
  }
  EXPECT_EQ(admission.admit(stuck, at(5001)), Admission::Verdict::Probe);
}

TEST(Admission, AdmitsAgainAtOnceWhenKafkaIsBack) {
  Admission admission({});
  EXPECT_EQ(admission.admit(pending_since(0), at(800)), Admission::Verdict::Reject);
  EXPECT_EQ(admission.admit(pending_since(790), at(801)), Admission::Verdict::Admit);
  EXPECT_EQ(admission.admit({}, at(802)), Admission::Verdict::Admit);
}

TEST(Admission, RejectsAtTheHighWaterOfTheQueue) {
  Admission admission({.queue_bytes = 5000, .queue_messages = 10});
  EXPECT_EQ(admission.admit({.still_since = at(0), .messages = 9, .bytes = 4999}, at(0)),
            Admission::Verdict::Admit);
  EXPECT_EQ(admission.admit({.still_since = at(0), .messages = 9, .bytes = 5000}, at(0)),
            Admission::Verdict::Reject);
  EXPECT_EQ(admission.admit({.still_since = at(0), .messages = 10, .bytes = 1}, at(1)),
            Admission::Verdict::Reject);
}

TEST(Admission, WaitsLongerWhereAcknowledgementsAreSlowAnyway) {
  Admission admission({});
  KafkaState slow = pending_since(0);
  slow.took = milliseconds{500};
  EXPECT_EQ(admission.admit(slow, at(1500)), Admission::Verdict::Admit);
  EXPECT_EQ(admission.admit(slow, at(1501)), Admission::Verdict::Reject);
  // But nobody waits for ever.
  slow.took = milliseconds{9000};
  EXPECT_EQ(admission.admit(slow, at(2500)), Admission::Verdict::Admit);
  EXPECT_EQ(admission.admit(slow, at(2501)), Admission::Verdict::Reject);
}

TEST(Admission, StopsNoBucketForAnother) {
  Admission admission({});
  const KafkaState stuck = pending_since(0);
  KafkaState moving = pending_since(890);
  moving.bucket = 4;
  EXPECT_EQ(admission.admit(stuck, at(800)), Admission::Verdict::Reject);
  EXPECT_EQ(admission.admit(moving, at(900)), Admission::Verdict::Admit);
  EXPECT_EQ(admission.admit(stuck, at(901)), Admission::Verdict::Probe);
}

TEST(Admission, RejectsWithoutAProbeWhereMoreComesThanKafkaTakes) {
  Admission admission({});
  KafkaState overloaded = pending_since(700);
  overloaded.wait_too_long = true;
  EXPECT_EQ(admission.admit(overloaded, at(800)), Admission::Verdict::Reject);
  EXPECT_EQ(admission.admit(overloaded, at(1000)), Admission::Verdict::Reject);
  overloaded.wait_too_long = false;
  EXPECT_EQ(admission.admit(overloaded, at(1001)), Admission::Verdict::Admit);
}

TEST(Budget, RefusesWhatExceedsIt) {
  Budget budget(100);
  EXPECT_TRUE(budget.take(60));
  EXPECT_FALSE(budget.take(41));
  EXPECT_TRUE(budget.take(40));
  budget.give(100);
  EXPECT_EQ(budget.used(), 0U);
}

TEST(Units, GrowShrinkAndGiveBack) {
  Budget budget(100);
  {
    Units units;
    EXPECT_TRUE(units.hold(budget, 80));
    EXPECT_FALSE(units.hold(budget, 101));
    EXPECT_EQ(units.held(), 80U);
    EXPECT_TRUE(units.hold(budget, 20));
    EXPECT_EQ(budget.used(), 20U);
    Units moved = std::move(units);
    EXPECT_EQ(moved.held(), 20U);
  }
  EXPECT_EQ(budget.used(), 0U);
}

}  // namespace
}  // namespace eventrelay::ingest
