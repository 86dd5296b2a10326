#include "ingest/history/fate.hpp"

#include <gtest/gtest.h>

namespace eventrelay::history {
namespace {

WallTime at(int seconds) {
  return WallTime(std::chrono::seconds(1'000'000 + seconds));
}

AttemptSeen attempt(std::uint32_t number, const char* next, int seconds) {
  AttemptSeen out;
  out.attempt = number;
  out.next = next;
  out.at = at(seconds);
  return out;
}

ParkedSeen parked(int seconds) {
  ParkedSeen out;
  out.stamped = at(seconds);
  return out;
}

TEST(DoneOffsets, AreBelowThePositionAndInItsRuns) {
  const DoneOffsets done(Offset{100}, "1:5,3,2,1");
  EXPECT_TRUE(done.contains(Offset{99}));
  EXPECT_FALSE(done.contains(Offset{100}));
  EXPECT_FALSE(done.contains(Offset{104}));
  EXPECT_TRUE(done.contains(Offset{105}));
  EXPECT_TRUE(done.contains(Offset{107}));
  EXPECT_FALSE(done.contains(Offset{108}));
  EXPECT_TRUE(done.contains(Offset{110}));
  EXPECT_FALSE(done.contains(Offset{111}));
}

TEST(DoneOffsets, PassOverHowYoungTheRecordsAre) {
  const DoneOffsets done(Offset{100}, "1:5,3@1700000000000");
  EXPECT_FALSE(done.contains(Offset{104}));
  EXPECT_TRUE(done.contains(Offset{107}));
  EXPECT_FALSE(done.contains(Offset{108}));
  const DoneOffsets none(Offset{100}, "@1700000000000");
  EXPECT_TRUE(none.contains(Offset{99}));
  EXPECT_FALSE(none.contains(Offset{100}));
}

TEST(DoneOffsets, ATextThatIsNotOursCountsAsNone) {
  for (const char* text : {"", "2:1,5", "1:x", "1:1,-4", "1:1,,2"}) {
    const DoneOffsets done(Offset{10}, text);
    EXPECT_TRUE(done.contains(Offset{9})) << text;
    EXPECT_FALSE(done.contains(Offset{12})) << text;
  }
}

TEST(Cursor, HoldsWhatIsNotDoneOfItsSubscriptionOrObject) {
  const auto whole = read_cursor(
      R"({"v":1,"subscription":"7","object":null,"state":"off","from":10,"cursor":12,"end":null,)"
      R"("due":null,"attempt":0,"epoch":2,"since":5,"reason":"gone","ranges":"1:2,3"})");
  ASSERT_TRUE(whole);
  EXPECT_TRUE(whole->paused);
  EXPECT_FALSE(whole->holds(Offset{9}, "x"));
  EXPECT_FALSE(whole->holds(Offset{11}, "x"));  // done
  EXPECT_TRUE(whole->holds(Offset{12}, "x"));
  EXPECT_FALSE(whole->holds(Offset{14}, "x"));  // in its ranges
  EXPECT_TRUE(whole->holds(Offset{1000}, "x"));
  const auto object = read_cursor(R"({"v":1,"subscription":"7","object":"a","state":"blocked",)"
                                  R"("from":10,"cursor":10,"end":20})");
  ASSERT_TRUE(object);
  EXPECT_TRUE(object->holds(Offset{15}, "a"));
  EXPECT_FALSE(object->holds(Offset{15}, "b"));
  EXPECT_FALSE(object->holds(Offset{20}, "a"));
  EXPECT_FALSE(read_cursor(""));
  EXPECT_FALSE(read_cursor(R"({"v":1,"owner":"x","epoch":1})"));
  EXPECT_FALSE(read_cursor(
      R"({"v":1,"subscription":"7","object":null,"state":"replay","from":1,"cursor":1})"));
}

TEST(Fate, IsPendingUntilTheGroupHasPassedIt) {
  Traces traces;
  EXPECT_EQ(fate_of(traces), Fate::Pending);
  traces.settled = true;
  EXPECT_EQ(fate_of(traces), Fate::Delivered);
}

TEST(Fate, WhatWaitsIsNotDeliveredAlthoughTheGroupHasPassedIt) {
  Traces traces;
  traces.settled = true;
  traces.queued = true;
  EXPECT_EQ(fate_of(traces), Fate::Queued);
  traces.queued = false;
  traces.attempts = {attempt(1, "retry", 1)};
  traces.parked = parked(2);
  EXPECT_EQ(fate_of(traces), Fate::Retry);
}

TEST(Fate, ALaterSuccessGoesBeforeAnOlderRecord) {
  Traces traces;
  traces.settled = true;
  traces.attempts = {attempt(1, "retry", 1), attempt(2, "done", 5)};
  traces.parked = parked(2);
  EXPECT_EQ(fate_of(traces), Fate::Delivered);
  traces.parked.reset();
  traces.dead = parked(9);  // after a replay that failed as well
  EXPECT_EQ(fate_of(traces), Fate::Dead);
  traces.dead = parked(3);  // and after one that did not
  EXPECT_EQ(fate_of(traces), Fate::Delivered);
}

TEST(Fate, AFilterRefusesWhatLeftNoTrace) {
  Traces traces;
  traces.wanted = false;
  traces.settled = true;
  EXPECT_EQ(fate_of(traces), Fate::Filtered);
  traces.attempts = {attempt(1, "done", 1)};
  EXPECT_EQ(fate_of(traces), Fate::Delivered);  // the filter is younger than the event
}

TEST(Fate, AFailedAttemptThatIsNotWrittenYetIsARetry) {
  Traces traces;
  traces.attempts = {attempt(1, "retry", 1)};
  EXPECT_EQ(fate_of(traces), Fate::Retry);
  traces.attempts = {attempt(1, "dead", 1)};
  EXPECT_EQ(fate_of(traces), Fate::Dead);
}

TEST(Attempt, IsReadAsTheRelayWritesIt) {
  const auto seen =
      read_attempt(R"({"v":1,"at":1000,"event":"e","instance":7,"subscription":"7","attempt":2,)"
                   R"("outcome":"http_5xx","status":503,"ms":12,"next":"retry","due":2000})");
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->attempt, 2U);
  EXPECT_EQ(seen->status, 503);
  EXPECT_EQ(seen->next, "retry");
  EXPECT_FALSE(read_attempt("[]"));
  EXPECT_FALSE(read_attempt("{}"));
}

}  // namespace
}  // namespace eventrelay::history
