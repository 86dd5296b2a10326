#include "relay/backlog/catch_up_plan.hpp"

#include <gtest/gtest.h>

namespace eventrelay::relay {
namespace {

using Action = CatchUpPlan::Action;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint at(std::int64_t ms) {
  return TimePoint{milliseconds{ms}};
}

CatchUpPlan::View view(std::int64_t live, std::optional<std::int64_t> wanted,
                       std::size_t following = 1) {
  CatchUpPlan::View made;
  made.live = Offset{live};
  if (wanted) made.wanted = Offset{*wanted};
  made.following = following;
  return made;
}

TEST(CatchUpPlan, StartsAtMostOncePerInterval) {
  CatchUpPlan plan{CatchUpRules{}};
  EXPECT_TRUE(plan.may_start(at(0)));
  plan.start(Offset{10}, at(0));
  EXPECT_FALSE(plan.may_start(at(5000)));  // a second one waits for the first
  plan.end();
  EXPECT_FALSE(plan.may_start(at(999)));
  EXPECT_TRUE(plan.may_start(at(1000)));
}

TEST(CatchUpPlan, CountsTheIntervalFromTheStartNotFromTheEnd) {
  CatchUpPlan plan{CatchUpRules{}};
  plan.start(Offset{10}, at(100));
  plan.end();
  EXPECT_TRUE(plan.may_start(at(1100)));
}

TEST(CatchUpPlan, ReadsOnWhileSomebodyWantsWhatLiesAhead) {
  CatchUpPlan plan{CatchUpRules{}};
  plan.start(Offset{10}, at(0));
  EXPECT_EQ(plan.next(view(100, 10)), Action::Read);
  plan.passed(Offset{11});
  EXPECT_EQ(plan.position(), Offset{11});
  EXPECT_EQ(plan.next(view(100, 11)), Action::Read);
}

TEST(CatchUpPlan, ScansASmallGapAndJumpsOverALargeOne) {
  CatchUpPlan plan{CatchUpRules{}};
  plan.start(Offset{10}, at(0));
  EXPECT_EQ(plan.next(view(100'000, 5'010)), Action::Read);
  EXPECT_EQ(plan.next(view(100'000, 5'011)), Action::Jump);
}

TEST(CatchUpPlan, EndsAtTheLivePosition) {
  CatchUpPlan plan{CatchUpRules{}};
  plan.start(Offset{10}, at(0));
  plan.passed(Offset{20});
  EXPECT_EQ(plan.next(view(21, 20)), Action::Read);
  EXPECT_EQ(plan.next(view(20, 20)), Action::End);
  EXPECT_EQ(plan.next(view(19, 20)), Action::End);
}

TEST(CatchUpPlan, EndsWhenNobodyFollowsOrWantsAnything) {
  CatchUpPlan plan{CatchUpRules{}};
  plan.start(Offset{10}, at(0));
  EXPECT_EQ(plan.next(view(100, 10, 0)), Action::End);
  EXPECT_EQ(plan.next(view(100, std::nullopt)), Action::End);
  EXPECT_EQ(plan.next(view(100, 100)), Action::End);
}

TEST(CatchUpPlan, DoesNotJumpToTheLivePositionOnlyToEndThere) {
  CatchUpPlan plan{CatchUpRules{}};
  plan.start(Offset{10}, at(0));
  EXPECT_EQ(plan.next(view(50'000, 50'000)), Action::End);
}

TEST(CatchUpPlan, NeverMovesBack) {
  CatchUpPlan plan{CatchUpRules{}};
  plan.start(Offset{10}, at(0));
  plan.passed(Offset{30});
  plan.passed(Offset{20});
  EXPECT_EQ(plan.position(), Offset{30});
}

TEST(CatchUpPlan, WaitsForRoomWithinItsFirstIntervalAlone) {
  CatchUpPlan plan{CatchUpRules{}};
  plan.start(Offset{10}, at(0));
  EXPECT_TRUE(plan.pause(at(100)));
  EXPECT_TRUE(plan.paused());
  EXPECT_TRUE(plan.pause(at(999)));
  EXPECT_FALSE(plan.pause(at(1000)));
}

// A catch-up read goes on without a slow subscription: all others would wait for the next one.
TEST(CatchUpPlan, EndsForLackOfRoomOnceItHasLastedAnInterval) {
  CatchUpPlan plan{CatchUpRules{}};
  plan.start(Offset{10}, at(0));
  for (int ms = 100; ms < 1000; ms += 100) {
    EXPECT_TRUE(plan.pause(at(ms)));
    plan.resume();
    EXPECT_FALSE(plan.paused());
  }
  EXPECT_FALSE(plan.pause(at(1000)));
  plan.end();
  EXPECT_TRUE(plan.may_start(at(1000)));
}

// A subscription that comes back a moment later is served by the same catch-up read.
TEST(CatchUpPlan, RestsAfterACatchUpThatReadMostlyInVain) {
  CatchUpPlan plan{CatchUpRules{}};
  plan.start(Offset{0}, at(0));
  for (int record = 0; record < 1100; ++record) plan.read(record % 11 == 0);
  plan.end();
  EXPECT_FALSE(plan.may_start(at(1999)));
  EXPECT_TRUE(plan.may_start(at(2000)));
  plan.start(Offset{0}, at(2000));
  plan.end();
  EXPECT_TRUE(plan.may_start(at(3000)));  // what was read before counts once
}

TEST(CatchUpPlan, RestsNoLongerThanAFewIntervals) {
  CatchUpPlan plan{CatchUpRules{}};
  plan.start(Offset{0}, at(0));
  for (int record = 0; record < 1'000'000; ++record) plan.read(false);
  plan.end();
  EXPECT_FALSE(plan.may_start(at(7999)));
  EXPECT_TRUE(plan.may_start(at(8000)));
}

TEST(CatchUpPlan, DoesNotRestWhileAFifthOfWhatItReadsIsTaken) {
  CatchUpPlan plan{CatchUpRules{}};
  plan.start(Offset{0}, at(0));
  for (int record = 0; record < 1000; ++record) plan.read(record % 5 == 0);
  plan.end();
  EXPECT_TRUE(plan.may_start(at(1000)));
}

TEST(CatchUpPlan, FollowsTheConfiguredInterval) {
  CatchUpRules rules;
  rules.interval = milliseconds{50};
  CatchUpPlan plan{rules};
  plan.start(Offset{0}, at(0));
  EXPECT_FALSE(plan.pause(at(7)) && plan.pause(at(57)));
  plan.end();
  EXPECT_FALSE(plan.may_start(at(49)));
  EXPECT_TRUE(plan.may_start(at(50)));
}

TEST(CatchUpPlan, WaitsForRoomOnlyForAWhileIfOthersFollow) {
  CatchUpPlan plan{CatchUpRules{}};
  plan.start(Offset{10}, at(0));
  EXPECT_FALSE(plan.waited_enough(at(50)));
  EXPECT_TRUE(plan.pause(at(50)));
  EXPECT_FALSE(plan.waited_enough(at(149)));
  EXPECT_TRUE(plan.pause(at(100)));  // the pause that has begun goes on
  EXPECT_TRUE(plan.waited_enough(at(150)));
  plan.resume();
  EXPECT_FALSE(plan.waited_enough(at(200)));
}

}  // namespace
}  // namespace eventrelay::relay
