#include "relay/backlog/cursor/cursors.hpp"

#include <gtest/gtest.h>

#include "tests/unit/relay/cursor_bench.hpp"

namespace eventrelay::relay {
namespace {

TEST(Cursors, LeaveEverythingToTheLivePathWhileNobodyIsBacklog) {
  Bench bench;
  EXPECT_TRUE(bench.cursors.empty());
  EXPECT_EQ(bench.meet(5), Cover::None);
  EXPECT_FALSE(bench.cursors.begin_catch_up(bench.gate, Offset{5}, bench.moment()));
  EXPECT_FALSE(bench.cursors.next_write());
}

TEST(Cursors, SkipOnlyWhatAnAcknowledgedRecordCovers) {
  Bench bench;
  bench.detach(5);
  EXPECT_EQ(bench.meet(5), Cover::NotYet);
  const auto write = bench.cursors.next_write();
  ASSERT_TRUE(write);
  EXPECT_EQ(write->key, "7@5");
  EXPECT_EQ(bench.meet(5), Cover::NotYet);
  EXPECT_TRUE(bench.cursors.acknowledge(write->token));
  EXPECT_EQ(bench.meet(5), Cover::Durable);
  EXPECT_EQ(bench.cursors.cover(EventKey{"8", "", Ordering::None}, Offset{5}), Cover::None);
}

// In a log that has begun anew the offsets are those of other events.
TEST(Cursors, OfALogThatIsGoneCoverNothingOfTheNewOne) {
  Bench bench;
  bench.detach(5);
  bench.settle();
  bench.catch_up(9, none);
  bench.detach(12, {Offset{10}});
  const auto late = bench.cursors.next_write();
  ASSERT_TRUE(late);
  bench.cursors.begin_anew();
  EXPECT_TRUE(bench.cursors.empty());
  for (std::int64_t at = 0; at < 15; ++at) EXPECT_EQ(bench.meet(at), Cover::None) << at;
  EXPECT_FALSE(bench.cursors.acknowledge(late->token));
  // Left at the start of the new log, it is not overshadowed by those that began later in the old.
  bench.detach(0);
  const auto written = bench.settle();
  EXPECT_EQ(written.at("7@5"), "");
  EXPECT_EQ(written.at("7@10"), "");
  EXPECT_NE(written.at("7@0").find("\"cursor\":0"), std::string::npos);
  EXPECT_EQ(bench.cursors.writes_pending(), 0U);
  for (std::int64_t at = 0; at < 15; ++at) EXPECT_EQ(bench.meet(at), Cover::Durable) << at;
  EXPECT_EQ(bench.catch_up(3, none), (Offsets{0, 1, 2}));
}

TEST(Cursors, AreAllWrittenOnceMoreWhereTheirLogIsGone) {
  Bench bench;
  bench.detach(5);
  bench.settle();
  EXPECT_TRUE(bench.settle().empty());
  bench.cursors.write_all();
  EXPECT_EQ(bench.settle().count("7@5"), 1U);
}

TEST(Cursors, HandOutNothingBeforeTheRecordIsAcknowledged) {
  Bench bench;
  bench.detach(5);
  EXPECT_TRUE(bench.catch_up(8, none).empty());
  bench.settle();
  EXPECT_EQ(bench.catch_up(8, none), (Offsets{5, 6, 7}));
}

TEST(Cursors, AttachWhereTheCatchUpMeetsTheLivePath) {
  Bench bench;
  bench.detach(5);
  bench.settle();
  EXPECT_EQ(bench.catch_up(7, none), (Offsets{5, 6}));
  EXPECT_EQ(bench.meet(7), Cover::None);
  EXPECT_EQ(bench.cursors.cover(bench.key(), Offset{6}), Cover::Durable);
  EXPECT_NE(bench.settle().at("7@5").find("\"end\":7"), std::string::npos);
}

TEST(Cursors, ForgetAnEntryOnceTheLedgerHasPassedIt) {
  Bench bench;
  bench.detach(5);
  bench.settle();
  bench.catch_up(7, none);
  bench.done(5);
  bench.done(6);
  EXPECT_NE(bench.settle().at("7@5").find("\"cursor\":7,\"end\":7"), std::string::npos);
  bench.cursors.committed(Offset{6});
  EXPECT_TRUE(bench.settle().empty());
  bench.cursors.committed(Offset{7});
  EXPECT_EQ(bench.settle().at("7@5"), "");
  EXPECT_TRUE(bench.cursors.empty());
}

TEST(Cursors, TakeQueuedJobsBackAndKeepThoseInFlightUnfinished) {
  Bench bench;
  bench.detach(20, {Offset{12}, Offset{15}}, {Offset{11}});
  const auto written = bench.settle();
  EXPECT_NE(written.at("7@11").find("\"cursor\":11"), std::string::npos);
  // 11, 12 and 15 are unfinished, all others below 20 are done.
  EXPECT_NE(written.at("7@11").find("\"ranges\":\"1:2,2,1,4\""), std::string::npos);
  EXPECT_EQ(bench.catch_up(21, none), (Offsets{12, 15, 20}));
  bench.cursors.live_ended(kSub, Offset{11});
  EXPECT_EQ(bench.cursors.lowest_position(), Offset{12});
}

TEST(Cursors, NeverCommitACursorAboveWhatIsUnfinished) {
  Bench bench;
  bench.detach(5);
  bench.settle();
  bench.catch_up(9, none);
  bench.done(6);
  bench.done(8);
  bench.cursors.commit(TimePoint(20s), CommitMode::Exactly);
  const std::string value = bench.settle().at("7@5");
  EXPECT_NE(value.find("\"cursor\":5"), std::string::npos);
  EXPECT_NE(value.find("\"ranges\":\"1:1,1,1,1\""), std::string::npos);
}

TEST(Cursors, WriteACursorOnlyWhenItIsDueAndHasMoved) {
  Bench bench;
  bench.detach(5);
  bench.settle();
  bench.cursors.commit(TimePoint(20s), CommitMode::WhenDue);
  EXPECT_TRUE(bench.settle().empty());
  bench.catch_up(7, none);
  bench.settle();
  bench.done(5);
  bench.cursors.commit(TimePoint(20s + 500ms), CommitMode::WhenDue);
  EXPECT_TRUE(bench.settle().empty());
  bench.cursors.commit(TimePoint(21s), CommitMode::WhenDue);
  EXPECT_EQ(bench.settle().size(), 1U);
}

TEST(Cursors, WriteFewRecordsInTurnsWhenManyAreFed) {
  CursorBounds bounds;
  bounds.commit_events = 10;
  bounds.commit_records_early = 4;
  bounds.commit_records = 6;
  Bench bench(Ordering::Object, bounds);
  const auto object = [](std::int64_t at) {
    static std::string name;
    name = "o" + std::to_string(at);
    return std::string_view(name);
  };
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(bench.block(i, "o" + std::to_string(i)));
  bench.settle();
  bench.time += 5s;
  bench.cursors.commit(TimePoint(bench.time), CommitMode::WhenDue);
  bench.settle();
  EXPECT_EQ(bench.catch_up(12, object).size(), 12U);
  for (int i = 0; i < 12; ++i) bench.done(i);
  bench.cursors.commit(TimePoint(bench.time), CommitMode::WhenDue);
  const auto first = bench.settle();
  EXPECT_EQ(first.size(), 4U);
  bench.cursors.commit(TimePoint(bench.time), CommitMode::WhenDue);
  EXPECT_TRUE(bench.settle().empty());
  bench.cursors.commit(TimePoint(bench.time + 1s), CommitMode::WhenDue);
  const auto second = bench.settle();
  EXPECT_EQ(second.size(), 6U);
  for (const auto& [key, value] : second) EXPECT_EQ(first.count(key), 0U) << key;
}

TEST(Cursors, KeepOneRecordPerKeyOnItsWay) {
  Bench bench;
  bench.detach(5);
  const auto first = bench.cursors.next_write();
  ASSERT_TRUE(first);
  bench.detach(6, {}, {}, CursorState::Paused);
  EXPECT_FALSE(bench.cursors.next_write());
  EXPECT_EQ(bench.cursors.writes_pending(), 1U);
  bench.cursors.acknowledge(first->token);
  const auto second = bench.cursors.next_write();
  ASSERT_TRUE(second);
  EXPECT_NE(second->value.find("\"state\":\"off\""), std::string::npos);
}

TEST(Cursors, EndTheEntriesOfASubscriptionThatIsGone) {
  Bench bench;
  bench.detach(5);
  bench.settle();
  bench.cursors.forget_unless([](std::string_view) { return false; });
  const auto said = bench.cursors.next_write();
  ASSERT_TRUE(said);
  EXPECT_NE(said->value.find("\"end\":5"), std::string::npos);
  bench.cursors.acknowledge(said->token);
  EXPECT_EQ(bench.settle().at("7@5"), "");
  EXPECT_TRUE(bench.cursors.empty());
}

TEST(Cursors, WriteAgainWhatAnOlderOwnerWroteLate) {
  Bench bench;
  Cursors& cursors = bench.cursors;
  bench.detach(5);
  bench.settle();
  EXPECT_EQ(cursors.followed("7@5", StateEpoch{1}),
            Followed::Fine);  // it is the record that this owner wrote
  EXPECT_EQ(cursors.followed("7@5", StateEpoch{0}), Followed::Repaired);
  EXPECT_EQ(bench.settle().count("7@5"), 1U);
  EXPECT_EQ(cursors.followed("7@5", std::nullopt), Followed::Repaired);
  EXPECT_EQ(bench.settle().count("7@5"), 1U);
  EXPECT_EQ(cursors.followed("7|x@9", StateEpoch{0}), Followed::Repaired);
  EXPECT_EQ(bench.settle().at("7|x@9"), "");
  EXPECT_EQ(cursors.followed("7@5", StateEpoch{2}), Followed::Fenced);
  EXPECT_EQ(cursors.followed(kOwnerKey, StateEpoch{2}), Followed::Fenced);
}

TEST(Cursors, IgnoreCallsAboutAnEntryThatIsGone) {
  Bench bench;
  const CursorId gone{(std::uint64_t{9} << 32U) | 3U};
  bench.cursors.done(gone, Offset{1});
  bench.cursors.dispatched(gone, Offset{1});
  const std::vector<Offset> back{Offset{1}};
  bench.cursors.give_back(gone, back);
  EXPECT_FALSE(bench.cursors.handout(gone));
  EXPECT_FALSE(bench.cursors.acknowledge(gone.value));
}

TEST(Cursors, FindOneOfManyBlockedObjectsAndShowTheOldest) {
  Bench bench(Ordering::Object);
  for (int i = 0; i < 5000; ++i) {
    bench.time += 1ms;
    ASSERT_TRUE(bench.block(i, "o" + std::to_string(i)));
  }
  bench.settle();
  EXPECT_EQ(bench.meet(6000, "o4321"), Cover::Durable);
  EXPECT_EQ(bench.meet(6000, "x"), Cover::None);
  const std::vector<CursorStatus> oldest = bench.cursors.oldest(20);
  ASSERT_EQ(oldest.size(), 20U);
  EXPECT_EQ(oldest.front().record.object, "o0");
  EXPECT_EQ(bench.cursors.counts().blocked, 5000U);
}

TEST(Cursors, CostAboutTwoHundredBytesPerEntry) {
  EXPECT_LE(sizeof(BacklogCursor), 256U);
}

TEST(OffsetSet, KeepsOffsetsInOrder) {
  OffsetSet set;
  for (const std::int64_t at : {5, 3, 9, 3}) set.insert(Offset{at});
  EXPECT_EQ(set.all(), (std::vector<Offset>{Offset{3}, Offset{5}, Offset{9}}));
  EXPECT_TRUE(set.erase(Offset{5}));
  EXPECT_FALSE(set.erase(Offset{5}));
  set.erase_below(Offset{4});
  EXPECT_EQ(set.front(), Offset{9});
  set.erase_from(Offset{9});
  EXPECT_TRUE(set.empty());
}

}  // namespace
}  // namespace eventrelay::relay
