// Which clock says when a parked event is due: that of the brokers or our own.
#include "relay/io/broker_clock.hpp"

#include <gtest/gtest.h>

namespace eventrelay::relay {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr WallTime kNow{milliseconds{1'700'000'000'000}};

TEST(JudgedDue, BelievesWhatItsTopicAllows) {
  for (const milliseconds wait : {milliseconds{0}, milliseconds{2000}, milliseconds{3000}}) {
    EXPECT_EQ(judged_due(kNow + wait, kNow, seconds{2}, kNow), kNow + wait);
  }
  // The record waited in the producer, since no broker was reached.
  EXPECT_EQ(judged_due(kNow - seconds{30}, kNow, seconds{2}, kNow), kNow - seconds{30});
}

TEST(JudgedDue, CountsFromTheAppendWhereTheClockOfTheWriterWasWrong) {
  EXPECT_EQ(judged_due(kNow + hours{1}, kNow, seconds{2}, kNow), kNow + seconds{2}) << "ahead";
  EXPECT_EQ(judged_due(kNow - hours{1}, kNow, seconds{2}, kNow), kNow + seconds{2}) << "behind";
  EXPECT_EQ(judged_due(kNow + hours{11}, kNow, hours{10}, kNow), kNow + hours{11}) << "jitter";
  EXPECT_EQ(judged_due(kNow + hours{16}, kNow, hours{10}, kNow), kNow + hours{10});
}

// A hundred records of a wrong clock are all due after their own delay, not one behind another.
TEST(JudgedDue, NoRecordWaitsForTheErrorOfTheOneBeforeIt) {
  for (int i = 0; i < 100; ++i) {
    const WallTime appended = kNow + milliseconds{i};
    EXPECT_EQ(judged_due(appended + hours{1}, appended, seconds{2}, kNow), appended + seconds{2});
  }
}

TEST(JudgedDue, GoesByItsOwnClockWhereNoBrokerStampsTheTopic) {
  EXPECT_EQ(judged_due(kNow + hours{1}, std::nullopt, seconds{2}, kNow), kNow + seconds{3});
  EXPECT_EQ(judged_due(kNow + seconds{1}, std::nullopt, seconds{2}, kNow), kNow + seconds{1});
}

TimePoint at(int second) {
  return TimePoint{seconds{second}};
}

TEST(ClockLead, IsNoneWhileAcknowledgementsAreQuick) {
  ClockLead clock;
  EXPECT_EQ(clock.lead(), milliseconds{0});
  for (int i = 0; i < 100; ++i) clock.note(kNow + milliseconds{5 + i}, kNow, at(i));
  EXPECT_EQ(clock.lead(), milliseconds{0});
  clock.note(kNow - milliseconds{300}, kNow, at(100));
  EXPECT_EQ(clock.lead(), milliseconds{0});
}

TEST(ClockLead, SeesAClockThatIsAheadOrBehind) {
  ClockLead ahead;
  ahead.note(kNow + hours{1} + milliseconds{900}, kNow, at(0));
  ahead.note(kNow + hours{1} + milliseconds{5}, kNow, at(1));
  ahead.note(kNow + hours{1} + seconds{20}, kNow, at(2));
  EXPECT_EQ(ahead.lead(), hours{1} + milliseconds{5}) << "the shortest way counts";
  ClockLead behind;
  behind.note(kNow - hours{1}, kNow, at(0));
  EXPECT_EQ(behind.lead(), -hours{1});
}

TEST(ClockLead, ForgetsAnOldErrorAfterTwoWindows) {
  ClockLead clock;
  clock.note(kNow - hours{1}, kNow, at(0));
  clock.note(kNow, kNow, at(70));
  EXPECT_EQ(clock.lead(), -hours{1});
  clock.note(kNow, kNow, at(140));
  EXPECT_EQ(clock.lead(), milliseconds{0});
}

}  // namespace
}  // namespace eventrelay::relay
