#include "relay/backlog/state_follower.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace eventrelay::relay {
namespace {

using namespace std::chrono_literals;
using Verdict = StateFollower::Verdict;

constexpr std::string_view kKey = "427236@120";

std::string mark(StateEpoch epoch, std::string owner) {
  return encode(OwnerRecord{epoch, std::move(owner)});
}

std::string said(StateEpoch epoch, std::int64_t position) {
  StateRecord record;
  record.subscription = "427236";
  record.from = Offset{120};
  record.position = Offset{position};
  record.epoch = epoch;
  return encode(record);
}

Moment moment() {
  return Moment{TimePoint(1s), WallTime(1'700'000'000'000ms)};
}

// A reader that is the owner, with epoch 1.
class Owning : public testing::Test {
 protected:
  Owning() {
    EXPECT_EQ(take(kOwnerKey, us_.mark()), Verdict::MarkCounts);
    us_.own({}, moment());
  }
  Verdict take(std::string_view key, std::string_view value) { return *us_.take(key, value); }
  std::vector<StateWrite> writes() {
    std::vector<StateWrite> all;
    while (auto next = us_.next_write()) all.push_back(*std::move(next));
    return all;
  }
  void detach(std::int64_t live) {
    Detach request;
    request.subscription = "427236";
    request.live = Offset{live};
    request.reason = "full";
    us_.cursors()->detach(request, moment());
  }
  [[nodiscard]] Cover cover() const {
    return const_cast<StateFollower&>(us_).cursors()->cover({"427236", {}, Ordering::None},
                                                            Offset{121});
  }
  // Its mark of the next epoch counts, and the group has confirmed it.
  void own_again() {
    EXPECT_EQ(take(kOwnerKey, us_.mark()), Verdict::MarkCounts);
    us_.own({}, moment());
  }

  StateFollower us_{"us"};
};

TEST(StateFollower, TakesTheEpochAfterTheHighestThatItHasRead) {
  StateFollower us("us");
  EXPECT_EQ(*us.take(kOwnerKey, mark(4, "a")), Verdict::Fine);
  EXPECT_EQ(*us.take(kKey, said(4, 121)), Verdict::Fine);
  EXPECT_EQ(us.mark(), mark(5, "us"));
}

TEST(StateFollower, OfTwoMarksOfOneEpochTheFirstCounts) {
  StateFollower us("us");
  StateFollower other("other");
  const std::string ours = us.mark();
  const std::string theirs = other.mark();
  EXPECT_EQ(*us.take(kOwnerKey, theirs), Verdict::Fine);
  EXPECT_EQ(*us.take(kOwnerKey, ours), Verdict::Beaten);
  EXPECT_EQ(us.mark(), mark(2, "us"));
  EXPECT_EQ(*other.take(kOwnerKey, theirs), Verdict::MarkCounts);
  EXPECT_EQ(*other.take(kOwnerKey, ours), Verdict::Fine);
}

TEST(StateFollower, IsBeatenByANewerMarkBeforeItOwns) {
  StateFollower us("us");
  EXPECT_EQ(*us.take(kOwnerKey, us.mark()), Verdict::MarkCounts);
  EXPECT_EQ(*us.take(kOwnerKey, mark(2, "other")), Verdict::Beaten);
  EXPECT_EQ(us.mark(), mark(3, "us"));
}

TEST(StateFollower, WritesNothingBeforeItOwns) {
  StateFollower us("us");
  EXPECT_EQ(*us.take(kOwnerKey, us.mark()), Verdict::MarkCounts);
  EXPECT_FALSE(us.next_write());
  EXPECT_EQ(us.cursors(), nullptr);
}

TEST(StateFollower, StopsAtWhatItCanNotRead) {
  StateFollower us("us");
  EXPECT_EQ(us.take(kKey, "{\"v\":2}").error(), StateError::UnknownVersion);
  EXPECT_EQ(us.take(kOwnerKey, "{").error(), StateError::NotJson);
}

TEST_F(Owning, ARecordIsDurableOnceItIsStoredAndReadBack) {
  detach(120);
  auto sent = writes();
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(us_.stored(sent[0].token), Verdict::Fine);
  EXPECT_EQ(cover(), Cover::NotYet);
  EXPECT_EQ(take(sent[0].key, sent[0].value), Verdict::Durable);
  EXPECT_EQ(cover(), Cover::Durable);
}

TEST_F(Owning, ItIsTheSameInTheOtherOrder) {
  detach(120);
  auto sent = writes();
  EXPECT_EQ(take(sent[0].key, sent[0].value), Verdict::Fine);
  EXPECT_EQ(us_.stored(sent[0].token), Verdict::Durable);
  EXPECT_EQ(cover(), Cover::Durable);
}

TEST_F(Owning, ARecordBehindAnothersMarkIsNotDurable) {
  detach(120);
  auto sent = writes();
  EXPECT_EQ(take(kOwnerKey, mark(2, "other")), Verdict::Beaten);
  EXPECT_FALSE(us_.owns());
  EXPECT_EQ(us_.stored(sent[0].token), Verdict::Fine);
  EXPECT_EQ(take(sent[0].key, sent[0].value), Verdict::Fine);
  EXPECT_EQ(cover(), Cover::NotYet);
  EXPECT_TRUE(writes().empty());
}

TEST_F(Owning, WritesAgainUnderItsNewEpochWhatStoodBehindAnothersMark) {
  detach(120);
  auto late = writes();
  static_cast<void>(take(kOwnerKey, mark(2, "other")));
  static_cast<void>(take(kKey, said(2, 500)));
  static_cast<void>(take(late[0].key, late[0].value));
  own_again();
  EXPECT_EQ(us_.cursors()->epoch(), 3U);
  auto sent = writes();
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(decode_state(sent[0].value)->epoch, 3U);
  EXPECT_EQ(decode_state(sent[0].value)->position, Offset{120});
  EXPECT_EQ(us_.stored(late[0].token), Verdict::Fine);
  EXPECT_EQ(us_.stored(sent[0].token), Verdict::Fine);
  EXPECT_EQ(cover(), Cover::NotYet);
  EXPECT_EQ(take(sent[0].key, sent[0].value), Verdict::Durable);
  EXPECT_EQ(cover(), Cover::Durable);
}

// The topic was deleted and made again: of the old log nothing is left.
TEST_F(Owning, WritesAllAgainInALogThatHasBegunAnew) {
  detach(120);
  const auto old = writes();
  ASSERT_EQ(old.size(), 1U);
  EXPECT_EQ(us_.stored(old[0].token), Verdict::Fine);
  EXPECT_EQ(take(old[0].key, old[0].value), Verdict::Durable);
  us_.begin_anew();
  EXPECT_FALSE(us_.owns());
  EXPECT_TRUE(writes().empty()) << "a record in front of the mark would not count";
  own_again();
  EXPECT_EQ(us_.cursors()->epoch(), 2U);
  const auto sent = writes();
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].key, old[0].key);
  EXPECT_EQ(decode_state(sent[0].value)->epoch, 2U);
}

TEST_F(Owning, AMarkOnceMoreChangesNothing) {
  EXPECT_EQ(take(kOwnerKey, us_.mark_once_more()), Verdict::Fine);
  EXPECT_TRUE(us_.owns());
  us_.begin_anew();
  EXPECT_EQ(take(kOwnerKey, us_.mark_once_more()), Verdict::Beaten) << "written into the new log";
  own_again();
}

TEST_F(Owning, DeletesWhatAnotherWroteOfItsOwnWhileItWasNone) {
  static_cast<void>(take(kOwnerKey, mark(2, "other")));
  static_cast<void>(take(kKey, said(2, 500)));
  own_again();
  const auto sent = writes();
  ASSERT_EQ(sent.size(), 2U);
  EXPECT_EQ(sent[0].key, kKey);
  const auto over = decode_state(sent[0].value);
  ASSERT_TRUE(over);
  EXPECT_TRUE(over->complete());
  EXPECT_EQ(over->epoch, us_.cursors()->epoch());
  EXPECT_EQ(sent[1].key, kKey);
  EXPECT_EQ(sent[1].value, "");
}

// Compaction may take the marks that a late record of an older owner stands behind, and leave that
// record for a while: what deletes it has to count alone.
TEST_F(Owning, WhatItDeletesStaysDeletedWithoutTheMarksBeforeIt) {
  static_cast<void>(take(kOwnerKey, mark(2, "other")));
  const std::string late = said(2, 500);
  static_cast<void>(take(kKey, late));
  own_again();
  StateTable left;
  ASSERT_TRUE(left.take(kKey, late));
  EXPECT_EQ(left.records().size(), 1U);
  for (const auto& one : writes()) ASSERT_TRUE(left.take(one.key, one.value));
  EXPECT_TRUE(left.records().empty());
}

// Compaction keeps the last word of a key, and the next owner counts on from there.
TEST_F(Owning, WritesItsMarkAgainBehindOneThatDoesNotCount) {
  EXPECT_EQ(take(kOwnerKey, mark(1, "other")), Verdict::Write);
  const auto sent = writes();
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].key, kOwnerKey);
  EXPECT_EQ(sent[0].value, mark(1, "us"));
  EXPECT_EQ(take(kOwnerKey, sent[0].value), Verdict::Fine);
  EXPECT_TRUE(writes().empty());
  EXPECT_TRUE(us_.owns());
}

}  // namespace
}  // namespace eventrelay::relay
