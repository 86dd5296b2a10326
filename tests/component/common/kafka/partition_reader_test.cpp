#include "common/kafka/partition_reader.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "common/kafka/handle.hpp"
#include "tests/component/common/kafka/fixture.hpp"

namespace eventrelay::kafka::testing {
namespace {

constexpr char kTopic[] = "eventrelay.events";
constexpr char kOther[] = "eventrelay.state";
constexpr TopicPartition kFirst{0, Partition{0}};

ReaderOptions options() {
  ReaderOptions made;
  made.group = "g.delays";
  made.topics = {kTopic, kOther};
  return made;
}

// The embedded broker with both topics. Thread: the test's.
class PartitionReaderTest : public ::testing::Test {
 protected:
  PartitionReaderTest() { cluster.create_topics({{kTopic, 2}, {kOther, 2}}); }

  void fill(std::uint64_t count, std::string_view value = "x") {
    Writer writer{loop, config_for(cluster), kTopic};
    ASSERT_TRUE(writer.ready());
    for (std::uint64_t i = 0; i < count; ++i) {
      ASSERT_EQ(writer.write(i, value, 0), Queued::Queued);
    }
    ASSERT_TRUE(writer.settled());
    ASSERT_EQ(writer.reports.count(Stored::Persisted), count);
  }
  [[nodiscard]] PartitionReader new_reader() {
    return {loop.context.get_executor(), config_for(cluster), options(), loop.slab};
  }

  MockCluster cluster;
  Loop loop;
};

// Reads all it may and notes it.
struct Notes final : LogSink {
  explicit Notes(PartitionReader& of) : reader(of) {}
  PartitionReader& reader;
  std::vector<std::int64_t> offsets;
  std::vector<std::int64_t> ends;
  std::vector<std::int64_t> out_of_range;
  std::size_t most = SIZE_MAX;  // then it looks no further

  void on_readable(TopicPartition place) override {
    while (offsets.size() < most) {
      Read read = reader.next(place);
      if (read.found == Found::Nothing) return;
      if (read.found == Found::Record) {
        EXPECT_EQ(read.message.offset(), read.at);
        offsets.push_back(read.at.value);
      }
      if (read.found == Found::End) ends.push_back(read.at.value);
      if (read.found == Found::OutOfRange) out_of_range.push_back(read.at.value);
    }
  }
};

std::vector<std::int64_t> range(std::int64_t from, std::int64_t to) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(to - from));
  std::iota(all.begin(), all.end(), from);
  return all;
}

TEST_F(PartitionReaderTest, ReadsFromAnOffsetToTheEndAndOnWhenMoreIsWritten) {
  fill(100);
  PartitionReader reader = new_reader();
  Notes notes{reader};
  reader.start(kFirst, Offset{40}, notes);
  EXPECT_TRUE(reader.reading(kFirst));
  ASSERT_TRUE(loop.until([&] { return !notes.ends.empty(); }));
  EXPECT_EQ(notes.offsets, range(40, 100));
  EXPECT_EQ(notes.ends, (std::vector<std::int64_t>{100}));
  fill(5);
  ASSERT_TRUE(loop.until([&] { return notes.ends.size() == 2; }));
  EXPECT_EQ(notes.offsets, range(40, 105));
  EXPECT_EQ(notes.ends.back(), 105);
  reader.stop(kFirst);
  EXPECT_FALSE(reader.reading(kFirst));
  fill(5);
  loop.pass(milliseconds{300});
  EXPECT_EQ(notes.offsets.size(), 65U);
}

TEST_F(PartitionReaderTest, BeginsAtTheLogsStartAndAtItsEnd) {
  fill(10);
  PartitionReader reader = new_reader();
  Notes all{reader};
  reader.start(kFirst, kLogStart, all);
  ASSERT_TRUE(loop.until([&] { return !all.ends.empty(); }));
  EXPECT_EQ(all.offsets, range(0, 10));
  Notes none{reader};
  reader.start(kFirst, kLogEnd, none);
  ASSERT_TRUE(loop.until([&] { return !none.ends.empty(); }));
  EXPECT_TRUE(none.offsets.empty());
  EXPECT_EQ(none.ends, (std::vector<std::int64_t>{10}));
  Notes empty{reader};
  const TopicPartition other{1, Partition{1}};
  reader.start(other, kLogStart, empty);
  ASSERT_TRUE(loop.until([&] { return !empty.ends.empty(); }));
  EXPECT_EQ(empty.ends, (std::vector<std::int64_t>{0}));
}

TEST_F(PartitionReaderTest, HandsOutNothingOfAReadingThatWasEnded) {
  fill(2000);
  PartitionReader reader = new_reader();
  for (std::int64_t round = 0; round < 100; ++round) {
    const std::int64_t from = (round * 797) % 1990;
    Notes notes{reader};
    notes.most = 3;
    reader.start(kFirst, Offset{from}, notes);
    if (round % 3 == 0) reader.start(kFirst, Offset{from}, notes);
    if (round % 5 == 0) {
      reader.stop(kFirst);
      reader.start(kFirst, Offset{from}, notes);
    }
    ASSERT_TRUE(loop.until([&] { return notes.offsets.size() == 3; })) << "round " << round;
    EXPECT_EQ(notes.offsets, range(from, from + 3)) << "round " << round;
    if (round % 2 == 0) reader.stop(kFirst);
  }
}

TEST_F(PartitionReaderTest, TellsAPositionOutsideOfTheLogAndGoesOnElsewhere) {
  fill(10);
  PartitionReader reader = new_reader();
  Notes notes{reader};
  reader.start(kFirst, Offset{500}, notes);
  ASSERT_TRUE(loop.until([&] { return !notes.out_of_range.empty(); }));
  EXPECT_EQ(notes.out_of_range, (std::vector<std::int64_t>{500}));
  EXPECT_TRUE(notes.offsets.empty());
  reader.start(kFirst, Offset{8}, notes);
  ASSERT_TRUE(loop.until([&] { return !notes.ends.empty(); }));
  EXPECT_EQ(notes.offsets, range(8, 10));
}

TEST_F(PartitionReaderTest, CommitsAndFindsPositionsOfAGroupNobodyJoins) {
  const TopicPartition second{1, Partition{1}};
  {
    PartitionReader reader = new_reader();
    std::vector<ReadPosition> found;
    reader.positions({kFirst, second}, [&](auto all) { found.assign(all.begin(), all.end()); });
    ASSERT_TRUE(loop.until([&] { return found.size() == 2; }));
    EXPECT_FALSE(found[0].committed.has_value());
    const std::vector<ReadCommit> commits{{kFirst, Offset{7}, "1:2,3"}, {second, Offset{9}, ""}};
    EXPECT_TRUE(reader.commit_sync(commits));
    const std::vector<ReadCommit> later{{second, Offset{11}, "1:1,1"}};
    reader.commit_async(later);
    found.clear();
    ASSERT_TRUE(loop.until([&] {
      found.clear();
      bool answered = false;
      reader.positions({second}, [&](auto all) {
        found.assign(all.begin(), all.end());
        answered = true;
      });
      return loop.until([&] { return answered; }) && found[0].committed == Offset{11};
    }));
    EXPECT_EQ(found[0].metadata, "1:1,1");
  }
  PartitionReader again = new_reader();
  std::vector<ReadPosition> found;
  again.positions({second, kFirst}, [&](auto all) { found.assign(all.begin(), all.end()); });
  ASSERT_TRUE(loop.until([&] { return found.size() == 2; }));
  EXPECT_EQ(found[0].place, second);
  EXPECT_EQ(found[0].committed, Offset{11});
  EXPECT_EQ(found[1].committed, Offset{7});
  EXPECT_EQ(found[1].metadata, "1:2,3");
}

TEST_F(PartitionReaderTest, TellsTheWatermarksOfALog) {
  fill(10);
  PartitionReader reader = new_reader();
  std::vector<PartitionWatermarks> found;
  reader.watermarks({kFirst, {0, Partition{1}}}, [&](auto all) {  //
    found.assign(all.begin(), all.end());
  });
  ASSERT_TRUE(loop.until([&] { return found.size() == 2; }));
  EXPECT_EQ(found[0].start, Offset{0});
  EXPECT_EQ(found[0].end, Offset{10});
  EXPECT_EQ(found[1].end, Offset{0});
}

TEST_F(PartitionReaderTest, NeverLetsItsCallerWaitForTheBroker) {
  fill(10);
  cluster.set_round_trip(1, milliseconds{400});
  PartitionReader reader = new_reader();
  Notes notes{reader};
  bool answered = false;
  const TimePoint since = monotonic_now();
  for (int i = 0; i < 200; ++i) {
    reader.start(kFirst, Offset{i % 10}, notes);
    if (i % 2 == 0) reader.stop(kFirst);
  }
  reader.watermarks({kFirst}, [&](auto) { answered = true; });
  EXPECT_LT(monotonic_now() - since, milliseconds{200});
  ASSERT_TRUE(loop.until([&] { return answered && !notes.ends.empty(); }));
  EXPECT_EQ(notes.offsets, range(9, 10));
}

TEST_F(PartitionReaderTest, ReadsMoreThanItMayReadAhead) {
  fill(2500, std::string(1000, 'b'));
  PartitionReader reader = new_reader();
  Notes notes{reader};
  const TimePoint since = monotonic_now();
  reader.start(kFirst, Offset{0}, notes);
  ASSERT_TRUE(loop.until([&] { return !notes.ends.empty(); }, seconds{60}));
  EXPECT_EQ(notes.offsets, range(0, 2500));
  // 2.5 MB in pieces of 128 KiB: with a pause of a second at each it would be twenty.
  EXPECT_LT(monotonic_now() - since, seconds{10});
}

TEST_F(PartitionReaderTest, EndsWhileItReadsAndWhileTheBrokerIsAway) {
  fill(100);
  {
    PartitionReader reader = new_reader();
    Notes notes{reader};
    reader.start(kFirst, Offset{0}, notes);
    reader.start({1, Partition{0}}, kLogStart, notes);
    ASSERT_TRUE(loop.until([&] { return !notes.offsets.empty(); }));
    cluster.set_down(1);
    reader.watermarks({kFirst}, [](auto) { FAIL() << "nobody can have answered"; });
    reader.stop(kFirst);
    reader.start(kFirst, Offset{5}, notes);
    const TimePoint since = monotonic_now();
    loop.pass(milliseconds{50});
    EXPECT_LT(monotonic_now() - since, milliseconds{500});
  }
  EXPECT_TRUE(wait_retired(seconds{30}));
}

}  // namespace
}  // namespace eventrelay::kafka::testing
