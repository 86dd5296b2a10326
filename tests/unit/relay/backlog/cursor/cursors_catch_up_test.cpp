// What a catch-up read hands out, and in which order.
#include <gtest/gtest.h>

#include "relay/backlog/cursor/cursors.hpp"
#include "tests/unit/relay/cursor_bench.hpp"

namespace eventrelay::relay {
namespace {

TEST(Cursors, FeedASubscriptionThatIsOffOnlyAfterItIsOnAgain) {
  Bench bench;
  bench.detach(5, {}, {}, CursorState::Paused);
  bench.settle();
  EXPECT_TRUE(bench.cursors.is_paused(kSub));
  EXPECT_TRUE(bench.catch_up(7, none).empty());
  EXPECT_TRUE(bench.cursors.resume(kSub));
  EXPECT_FALSE(bench.cursors.resume(kSub));
  EXPECT_EQ(bench.catch_up(7, none), (Offsets{5, 6}));
}

TEST(Cursors, StayBehindWhereAQueueHasNoRoom) {
  Bench bench;
  bench.detach(5);
  bench.settle();
  ASSERT_TRUE(bench.cursors.begin_catch_up(bench.gate, Offset{9}, bench.moment()));
  std::vector<CursorId> takers;
  bench.cursors.offer(bench.key(), Offset{5}, bench.moment(), takers);
  ASSERT_EQ(takers.size(), 1U);
  bench.cursors.defer(takers[0], Offset{5});
  EXPECT_EQ(bench.cursors.following(), 0U);
  bench.cursors.end_catch_up(Offset{9});
  EXPECT_EQ(bench.catch_up(9, none), (Offsets{5, 6, 7, 8}));
}

TEST(Cursors, SayWhetherSomebodyWaitsForTheNextCatchUpRead) {
  Bench bench;
  bench.detach(5);
  bench.settle();
  ASSERT_TRUE(bench.cursors.begin_catch_up(bench.gate, Offset{9}, bench.moment()));
  EXPECT_FALSE(bench.cursors.others_ready(bench.gate, Offset{9}, bench.moment()));
  std::vector<CursorId> takers;
  bench.cursors.offer(bench.key(), Offset{5}, bench.moment(), takers);
  bench.cursors.defer(takers.at(0), Offset{5});
  EXPECT_TRUE(bench.cursors.others_ready(bench.gate, Offset{9}, bench.moment()));
  EXPECT_FALSE(bench.cursors.others_ready(bench.gate, Offset{5}, bench.moment()));
  bench.cursors.end_catch_up(Offset{9});
}

TEST(Cursors, HandOutAgainWhatWasGivenBackAndNotBefore) {
  Bench bench;
  bench.detach(5);
  bench.settle();
  bench.catch_up(8, none);
  const std::vector<Offset> back{Offset{6}};
  bench.cursors.give_back(bench.owner.at(6), back, Pause{TimePoint(12s)});
  EXPECT_TRUE(bench.catch_up(8, none).empty());
  bench.time = 12s;
  EXPECT_EQ(bench.catch_up(8, none), (Offsets{6}));
}

TEST(Cursors, HoldOneObjectBackAndLetAllOthersFlow) {
  Bench bench(Ordering::Object);
  ASSERT_TRUE(bench.block(4, "a"));
  EXPECT_EQ(bench.meet(5, "b"), Cover::None);
  EXPECT_EQ(bench.meet(6, "a"), Cover::NotYet);
  EXPECT_NE(bench.settle().at("7|a@4").find("\"state\":\"blocked\""), std::string::npos);
  EXPECT_EQ(bench.meet(6, "a"), Cover::Durable);
}

TEST(Cursors, TryABlockedEventAloneWhenItIsDue) {
  Bench bench(Ordering::Object);
  const auto cursor = bench.block(4, "a");
  bench.settle();
  EXPECT_TRUE(bench.catch_up(9, even_a_odd_b).empty());
  bench.time += 5s;
  EXPECT_EQ(bench.catch_up(9, even_a_odd_b), (Offsets{4}));
  EXPECT_EQ(bench.cursors.handout(*cursor)->attempts_made, 1U);
  EXPECT_TRUE(bench.catch_up(9, even_a_odd_b).empty());
  bench.done(4);
  EXPECT_EQ(bench.catch_up(9, even_a_odd_b), (Offsets{6, 8}));
  EXPECT_EQ(bench.meet(10, "a"), Cover::None);
}

TEST(Cursors, GiveAnOrderedJobBehindAnEndItsOwnEntry) {
  Bench bench(Ordering::Object);
  const auto cursor = bench.block(4, "a");
  bench.settle();
  bench.time += 5s;
  bench.catch_up(6, even_a_odd_b);
  bench.done(4);
  bench.settle();
  bench.time += 5s;
  EXPECT_TRUE(bench.catch_up(6, even_a_odd_b).empty());  // attached at 6, the live path goes on
  ASSERT_EQ(bench.meet(6, "a"), Cover::None);
  static_cast<void>(cursor);
  // 6 fails and gets a cursor of its own.
  ASSERT_TRUE(bench.block(6, "a", kLivePath, {{Offset{8}, kLivePath}}));
  EXPECT_EQ(bench.cursors.cover(bench.key("a"), Offset{8}), Cover::NotYet);
  EXPECT_EQ(bench.settle().count("7|a@6"), 1U);
  EXPECT_EQ(bench.cursors.cover(bench.key("a"), Offset{8}), Cover::Durable);
}

TEST(Cursors, RefuseOneMoreBlockedObjectThanAllowed) {
  CursorBounds bounds;
  bounds.blocked_max = 2;
  Bench bench(Ordering::Object, bounds);
  EXPECT_TRUE(bench.block(1, "a"));
  EXPECT_TRUE(bench.block(2, "b"));
  EXPECT_FALSE(bench.block(3, "c"));
  bench.detach(5, {Offset{3}});
  bench.settle();
  EXPECT_EQ(bench.cursors.counts().blocked, 2U);
  // The log is not read again while so many objects are blocked.
  EXPECT_TRUE(bench.catch_up(6, [](std::int64_t) { return std::string_view("c"); }).empty());
}

TEST(Cursors, TakeEveryEventOfAnInstanceThatIsInOrder) {
  Bench bench(Ordering::Instance);
  ASSERT_TRUE(bench.block(4, "a", kLivePath, {{Offset{5}, kLivePath}}));
  EXPECT_EQ(bench.settle().count("7@4"), 1U);
  EXPECT_EQ(bench.meet(6, "b"), Cover::Durable);
  bench.time += 5s;
  EXPECT_EQ(bench.catch_up(7, even_a_odd_b), (Offsets{4}));
  bench.done(4);
  EXPECT_EQ(bench.catch_up(7, even_a_odd_b), (Offsets{5, 6}));
}

TEST(Cursors, LetAnOlderEventOfTheOrderGoFirstAfterARestart) {
  Bench bench(Ordering::Object);
  StateRecord record;
  record.subscription = kSub;
  record.object = "a";
  record.from = record.position = Offset{4};
  record.end = Offset{8};
  bench.cursors.load(record, bench.moment());
  bench.cursors.loaded();
  // 4 to 7 are not handed out yet: 8 of the same object must wait for them.
  EXPECT_EQ(bench.meet(8, "b"), Cover::None);
  EXPECT_EQ(bench.meet(8, "a"), Cover::NotYet);
  EXPECT_EQ(bench.settle().count("7|a@8"), 1U);
  EXPECT_EQ(bench.catch_up(9, even_a_odd_b), (Offsets{4, 6, 8}));
}

TEST(Cursors, ReadBackWhatIsUnderWayAfterARestart) {
  Bench bench;
  StateRecord record;
  record.subscription = kSub;
  record.from = record.position = Offset{5};
  record.ranges = "1:1,2,1,1";
  bench.cursors.load(record, bench.moment());
  bench.cursors.loaded();
  EXPECT_EQ(bench.catch_up(11, none), (Offsets{5, 8, 10}));
}

TEST(Cursors, NeverCatchUpAboveTheLivePosition) {
  Bench bench;
  StateRecord record;
  record.subscription = kSub;
  record.from = Offset{5};
  record.position = Offset{20};
  bench.cursors.load(record, bench.moment());
  bench.cursors.loaded();
  EXPECT_FALSE(bench.cursors.begin_catch_up(bench.gate, Offset{12}, bench.moment()));
}

TEST(Cursors, AttachOnlyBehindWhatALedgerHadSkipped) {
  Bench bench;
  StateRecord record;
  record.subscription = kSub;
  record.from = record.position = Offset{5};
  bench.cursors.load(record, bench.moment());
  bench.cursors.loaded();
  bench.cursors.ledger_restored(Offset{6}, "1:1,4");  // 7 to 10 were skipped
  EXPECT_EQ(bench.catch_up(7, none), (Offsets{5, 6}));
  EXPECT_EQ(bench.cursors.cover(bench.key(), Offset{8}), Cover::Durable);
  EXPECT_EQ(bench.catch_up(11, none), (Offsets{7, 8, 9, 10}));
  EXPECT_EQ(bench.meet(11), Cover::None);
}

TEST(Cursors, ReplayARangeBesideTheLivePath) {
  Bench bench;
  StateRecord record;
  record.subscription = kSub;
  record.state = CursorState::Replay;
  record.from = record.position = Offset{10};
  record.end = Offset{13};
  bench.cursors.load(record, bench.moment());
  bench.cursors.loaded();
  bench.cursors.committed(Offset{50});
  EXPECT_EQ(bench.meet(51), Cover::None);
  EXPECT_EQ(bench.cursors.cover(bench.key(), Offset{11}), Cover::None);
  EXPECT_EQ(bench.catch_up(60, none), (Offsets{10, 11, 12}));
  for (const std::int64_t at : {10, 11, 12}) bench.done(at);
  bench.settle();
  bench.cursors.committed(Offset{51});
  bench.settle();
  EXPECT_TRUE(bench.cursors.empty());
}

TEST(Cursors, MoveWhatTheLogStartIsAboutToTakeWhoeverIsReady) {
  Bench bench;
  bench.detach(5, {}, {}, CursorState::Paused);
  bench.settle();
  EXPECT_EQ(bench.cursors.begin_expire(Offset{7}), Offset{5});
  std::vector<CursorId> takers;
  bench.cursors.offer(bench.key(), Offset{5}, bench.moment(), takers);
  ASSERT_EQ(takers.size(), 1U);
  bench.cursors.dispatched(takers[0], Offset{5});
  bench.cursors.passed(Offset{7});
  bench.cursors.end_catch_up(Offset{20});
  EXPECT_EQ(bench.cursors.lowest_position(), Offset{5});
  bench.cursors.done(takers[0], Offset{5});
  EXPECT_EQ(bench.cursors.lowest_position(), Offset{7});
}

}  // namespace
}  // namespace eventrelay::relay
