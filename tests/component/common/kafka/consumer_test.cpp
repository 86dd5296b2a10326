#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <thread>

#include "common/kafka/handle.hpp"
#include "tests/component/common/kafka/fixture.hpp"

namespace eventrelay::kafka::testing {
namespace {

constexpr char kTopic[] = "eventrelay.events";

ConsumerOptions options(unsigned shards = 1) {
  return {.group = "g", .topic = kTopic, .shards = shards, .partitions = 4};
}

void fill(Loop& loop, const MockCluster& cluster, std::uint64_t per_partition) {
  Writer writer{loop, config_for(cluster), kTopic};
  ASSERT_TRUE(writer.ready());
  for (std::uint64_t i = 0; i < per_partition * 4; ++i) {
    ASSERT_EQ(writer.write(i, "x", static_cast<std::int32_t>(i % 4)), Queued::Queued);
  }
  ASSERT_TRUE(writer.settled());
  ASSERT_EQ(writer.reports.count(Stored::Persisted), per_partition * 4);
}

bool in_order(const std::vector<std::int64_t>& offsets, std::size_t count) {
  std::vector<std::int64_t> expected(count);
  std::iota(expected.begin(), expected.end(), 0);
  return offsets == expected;
}

// A topic of 4 partitions on an embedded broker. Thread: the test's.
class ConsumerClientTest : public ::testing::Test {
 protected:
  ConsumerClientTest() { cluster.create_topic(kTopic, 4); }

  MockCluster cluster;
  Loop loop;
};

TEST_F(ConsumerClientTest, GivesPartitionsToASecondMemberOnlyWhenReleased) {
  Member first{loop, config_for(cluster), options()};
  first.release_at_once = false;
  first.client.start();
  ASSERT_TRUE(loop.until([&] { return first.owned.size() == 4; }));
  EXPECT_TRUE(first.client.joined());
  Member second{loop, config_for(cluster), options()};
  second.client.start();
  ASSERT_TRUE(loop.until([&] { return first.revocations == 1; }));
  loop.pass(milliseconds{1500});
  EXPECT_FALSE(second.client.joined());
  first.release_at_once = true;  // further rounds, should the embedded broker want them
  first.client.release();
  ASSERT_TRUE(loop.until([&] { return first.owned.size() == 2 && second.owned.size() == 2; }));
  EXPECT_GE(first.assignments, 2);
  for (const auto& [partition, one] : first.owned) EXPECT_FALSE(second.owned.contains(partition));
  EXPECT_TRUE(first.close());
  ASSERT_TRUE(loop.until([&] { return second.owned.size() == 4; }));
  EXPECT_TRUE(second.close());
  EXPECT_TRUE(wait_retired(seconds{5}));
}

TEST(ConsumerClient, TheGroupConfirmsAMemberAndNobodyElse) {
  MockCluster cluster;
  cluster.create_topics({{kTopic, 4}, {"eventrelay.state", 4}});
  Loop loop;
  Member member{loop, config_for(cluster), options()};
  member.client.start();
  ASSERT_TRUE(loop.until([&] { return member.owned.size() == 4; }));
  const Commit mark{Partition{2}, Offset{7}, {}};
  ASSERT_TRUE(member.client.confirm("eventrelay.state", mark, 41));
  ASSERT_TRUE(loop.until([&] { return member.confirmed.contains(41); }));
  EXPECT_TRUE(member.confirmed[41]);
  EXPECT_FALSE(member.client.committing());
  EXPECT_TRUE(member.commit_failures.empty());
  EXPECT_TRUE(member.close());
  EXPECT_FALSE(member.client.confirm("eventrelay.state", mark, 42));
}

TEST_F(ConsumerClientTest, FindsCommittedPositionsWithTheirMetadataAgain) {
  fill(loop, cluster, 100);
  const std::string metadata(4000, 'm');
  {
    Member member{loop, config_for(cluster), options()};
    member.client.start();
    ASSERT_TRUE(loop.until([&] { return member.total() == 400; }));
    EXPECT_FALSE(member.owned.at(Partition{1}).committed.has_value());
    ASSERT_TRUE(loop.until([&] { return member.client.lag() == 400; }));
    const std::vector<Commit> both{{Partition{0}, Offset{40}, metadata},
                                   {Partition{1}, Offset{100}, ""}};
    EXPECT_TRUE(member.client.commit_sync(both));
    ASSERT_TRUE(loop.until([&] { return member.client.lag() == 260; }));
    const std::vector<Commit> later{{Partition{2}, Offset{7}, "r:9-12"}};
    member.client.commit_async(later);
    ASSERT_TRUE(loop.until([&] { return member.client.lag() == 253; }));
    EXPECT_TRUE(member.commit_failures.empty());
    EXPECT_TRUE(member.close());
  }
  Member again{loop, config_for(cluster), options()};
  again.client.start();
  ASSERT_TRUE(loop.until([&] { return again.owned.size() == 4; }));
  EXPECT_EQ(again.owned.at(Partition{0}).committed, Offset{40});
  EXPECT_EQ(again.owned.at(Partition{0}).metadata, metadata);
  EXPECT_EQ(again.owned.at(Partition{1}).committed, Offset{100});
  EXPECT_EQ(again.owned.at(Partition{1}).metadata, "");
  EXPECT_EQ(again.owned.at(Partition{2}).metadata, "r:9-12");
  EXPECT_FALSE(again.owned.at(Partition{3}).committed.has_value());
  ASSERT_TRUE(loop.until([&] { return again.total() == 60 + 0 + 93 + 100; }));
  EXPECT_EQ(again.read.at(Partition{0}).front(), 40);
  EXPECT_EQ(again.read.at(Partition{2}).front(), 7);
  EXPECT_EQ(loop.slab.kafka_consumer_errors_total.read(), 0U);
  EXPECT_TRUE(again.close());
}

TEST_F(ConsumerClientTest, TellsWhyACommitFailed) {
  Member member{loop, config_for(cluster), options()};
  member.client.start();
  ASSERT_TRUE(loop.until([&] { return member.owned.size() == 4; }));
  constexpr std::int16_t kOffsetCommit = 8;
  constexpr int kMetadataTooLarge = 12;
  cluster.fail_requests(kOffsetCommit, kMetadataTooLarge, 2);
  const std::vector<Commit> commits{{Partition{0}, Offset{1}, "m"}};
  EXPECT_FALSE(member.client.commit_sync(commits));
  member.client.commit_async(commits);
  ASSERT_TRUE(loop.until([&] { return !member.commit_failures.empty(); }));
  EXPECT_TRUE(member.client.commit_sync(commits));
  EXPECT_TRUE(member.close());
}

TEST_F(ConsumerClientTest, HoldsAPartitionBackLongerThanThePollIntervalAndKeepsIt) {
  fill(loop, cluster, 500);
  Member member{loop, config_for(cluster, {{"max.poll.interval.ms", "4000"}}), options()};
  member.held = {Partition{0}, Partition{3}};
  member.client.start();
  ASSERT_TRUE(loop.until([&] { return member.total() == 1000; }));
  loop.pass(milliseconds{6000});
  EXPECT_EQ(member.revocations, 0);
  EXPECT_EQ(member.owned.size(), 4U);
  EXPECT_EQ(member.total(), 1000U);
  member.held.clear();
  member.drain(Partition{0});
  member.drain(Partition{3});
  ASSERT_TRUE(loop.until([&] { return member.total() >= 2000; }));
  for (const auto& [partition, offsets] : member.read) EXPECT_TRUE(in_order(offsets, 500));
  EXPECT_EQ(loop.slab.kafka_consumer_errors_total.read(), 0U);
  EXPECT_TRUE(member.close());
}

// The library alone would fill a queue that was full once a second: 400 KiB of what is here.
TEST_F(ConsumerClientTest, ReadsFasterThanOneQueueASecond) {
  const std::string value(1000, 'x');
  Writer writer{loop, config_for(cluster), kTopic};
  ASSERT_TRUE(writer.ready());
  constexpr std::uint64_t kRecords = 12'000;
  for (std::uint64_t i = 0; i < kRecords; ++i) {
    ASSERT_EQ(writer.write(i, value, static_cast<std::int32_t>(i % 4)), Queued::Queued);
  }
  ASSERT_TRUE(writer.settled());
  ConsumerOptions narrow = options();
  narrow.prefetch_bytes = 512U << 10;
  Member member{loop, config_for(cluster), narrow};
  member.client.start();
  ASSERT_TRUE(loop.until([&] { return member.total() > 0; }));
  const TimePoint since = monotonic_now();
  ASSERT_TRUE(loop.until([&] { return member.total() == kRecords; }, seconds{60}));
  EXPECT_LT(monotonic_now() - since, seconds{8});
  for (const auto& [partition, offsets] : member.read) EXPECT_TRUE(in_order(offsets, 3000));
  EXPECT_TRUE(member.close());
}

TEST_F(ConsumerClientTest, GoesOnAfterABrokerWasAway) {
  fill(loop, cluster, 10);
  Member member{loop, config_for(cluster), options()};
  member.client.start();
  ASSERT_TRUE(loop.until([&] { return member.total() == 40; }));
  cluster.set_down(1);
  loop.pass(milliseconds{1000});
  const std::vector<Commit> commits{{Partition{0}, Offset{10}, ""}};
  member.client.commit_async(commits);
  cluster.set_up(1);
  fill(loop, cluster, 10);
  ASSERT_TRUE(loop.until([&] { return member.total() >= 80; }));
  for (const auto& [partition, offsets] : member.read) EXPECT_TRUE(in_order(offsets, 20));
  EXPECT_TRUE(member.close());
}

TEST_F(ConsumerClientTest, CountsAnOffsetThatJumps) {
  fill(loop, cluster, 50);
  Member member{loop, config_for(cluster), options()};
  member.client.start();
  ASSERT_TRUE(loop.until([&] { return member.total() == 200; }));
  constexpr std::int16_t kFetch = 1;
  constexpr int kOffsetOutOfRange = 1;
  // Injected several times: librdkafka asks again from 2.8 on before it reports the error.
  cluster.fail_requests(kFetch, kOffsetOutOfRange, 4);
  // The position falls back to the earliest: everything is read again, and that is told.
  ASSERT_TRUE(loop.until([&] { return member.total() > 200; }));
  EXPECT_GT(loop.slab.kafka_consumer_errors_total.read(), 0U);
  EXPECT_TRUE(member.close());
}

TEST_F(ConsumerClientTest, EndsQuicklyWithTheBrokerAway) {
  auto member = std::make_unique<Member>(loop, config_for(cluster), options());
  member->client.start();
  ASSERT_TRUE(loop.until([&] { return member->owned.size() == 4; }));
  cluster.set_down(1);
  const TimePoint since = monotonic_now();
  member.reset();
  EXPECT_LT(monotonic_now() - since, milliseconds{50});
  EXPECT_TRUE(wait_retired(seconds{5}));
}

TEST_F(ConsumerClientTest, ClosesAtItsDeadlineWhileItIsNotReleased) {
  Member member{loop, config_for(cluster), options()};
  member.release_at_once = false;
  member.client.start();
  ASSERT_TRUE(loop.until([&] { return member.owned.size() == 4; }));
  bool closed = false;
  member.client.close(monotonic_now() + milliseconds{500}, [&closed] { closed = true; });
  ASSERT_TRUE(loop.until([&] { return closed; }, seconds{3}));
  EXPECT_EQ(member.revocations, 1);
  member.client.release();  // late: nothing waits for it any more
  EXPECT_FALSE(member.client.next(Partition{0}).has_value());
  EXPECT_TRUE(wait_retired(seconds{5}));
}

TEST_F(ConsumerClientTest, ClosesBeforeItHasJoined) {
  Member member{loop, config_for(cluster), options()};
  member.client.start();
  loop.pass(milliseconds{200});
  EXPECT_TRUE(member.close());
  EXPECT_FALSE(member.client.joined());
}

// A process with several shards, which share one member of the group. Thread: the test's.
struct Shards {
  Shards(Loop& loop, const KafkaConfig& config, unsigned count)
      : group(loop.context.get_executor(), config, options(count), loop.slab) {
    for (unsigned i = 0; i < count; ++i) all.push_back(std::make_unique<Member>(loop, group, i));
  }
  void start() {
    for (const auto& one : all) one->client.start();
  }
  [[nodiscard]] bool joined() const {
    return std::all_of(all.begin(), all.end(),
                       [](const auto& one) { return one->client.joined(); });
  }
  // Partitions of each shard, by its number.
  [[nodiscard]] std::vector<std::size_t> sizes() const {
    std::vector<std::size_t> result;
    for (const auto& one : all) result.push_back(one->owned.size());
    return result;
  }

  GroupClient group;
  std::vector<std::unique_ptr<Member>> all;
};

TEST_F(ConsumerClientTest, ShardsOfAProcessAreOneMember) {
  fill(loop, cluster, 100);
  Shards process{loop, config_for(cluster), 3};
  process.all[0]->client.start();
  process.all[1]->client.start();
  loop.pass(milliseconds{500});
  EXPECT_FALSE(process.all[0]->client.joined());  // the third has not started
  process.all[2]->client.start();
  ASSERT_TRUE(loop.until([&] { return process.joined(); }));
  EXPECT_EQ(process.sizes(), (std::vector<std::size_t>{2, 1, 1}));
  ASSERT_TRUE(loop.until([&] {
    std::size_t sum = 0;
    for (const auto& one : process.all) sum += one->total();
    return sum == 400;
  }));
  for (const auto& one : process.all) {
    EXPECT_EQ(one->assignments, 1);
    EXPECT_EQ(one->revocations, 0);
    for (const auto& [partition, offsets] : one->read) {
      EXPECT_TRUE(one->owned.contains(partition));
      EXPECT_TRUE(in_order(offsets, 100));
    }
  }
  EXPECT_EQ(loop.slab.kafka_rebalances_total.read(), 1U);
}

TEST_F(ConsumerClientTest, AShardWithoutAPartitionHasJoined) {
  Shards process{loop, config_for(cluster), 6};
  process.start();
  ASSERT_TRUE(loop.until([&] { return process.joined(); }));
  EXPECT_EQ(process.sizes(), (std::vector<std::size_t>{1, 1, 1, 1, 0, 0}));
  EXPECT_EQ(process.all[5]->assignments, 1);
}

TEST_F(ConsumerClientTest, TheGroupWaitsForTheLastShardToRelease) {
  Shards process{loop, config_for(cluster), 2};
  for (const auto& one : process.all) one->release_at_once = false;
  process.start();
  ASSERT_TRUE(loop.until([&] { return process.joined(); }));
  Member other{loop, config_for(cluster), options()};
  other.client.start();
  Member& first = *process.all[0];
  Member& second = *process.all[1];
  ASSERT_TRUE(loop.until([&] { return first.revocations == 1 && second.revocations == 1; }));
  second.client.release();
  loop.pass(milliseconds{1500});
  EXPECT_FALSE(other.client.joined());
  EXPECT_EQ(second.assignments, 1);
  first.release_at_once = second.release_at_once = true;
  first.client.release();
  ASSERT_TRUE(loop.until([&] { return other.owned.size() == 2; }));
  ASSERT_TRUE(loop.until([&] { return first.owned.size() == 1 && second.owned.size() == 1; }));
  EXPECT_NE(first.owned.begin()->first, second.owned.begin()->first);
  for (const auto& [partition, one] : other.owned) {
    EXPECT_FALSE(first.owned.contains(partition) || second.owned.contains(partition));
  }
  EXPECT_TRUE(other.close());
}

TEST_F(ConsumerClientTest, ShardsCommitWhatIsTheirsAndHearOfIt) {
  fill(loop, cluster, 10);
  Shards process{loop, config_for(cluster), 2};
  process.start();
  ASSERT_TRUE(loop.until([&] { return process.joined(); }));
  for (const auto& one : process.all) {
    std::vector<Commit> commits;
    for (const auto& [partition, assigned] : one->owned) {
      commits.push_back({partition, Offset{4}, "of " + std::to_string(partition.value)});
    }
    one->client.commit_async(commits);
    EXPECT_TRUE(one->client.committing());
  }
  for (const auto& one : process.all) {
    ASSERT_TRUE(loop.until([&] { return !one->client.committing(); }));
    EXPECT_TRUE(one->commit_failures.empty());
    ASSERT_TRUE(loop.until([&] { return one->client.lag() == 12; }));
  }
  const Partition own = process.all[1]->owned.begin()->first;
  ASSERT_TRUE(process.all[1]->client.confirm(kTopic, {own, Offset{5}, {}}, 7));
  ASSERT_TRUE(loop.until([&] { return process.all[1]->confirmed.contains(7); }));
  EXPECT_TRUE(process.all[1]->confirmed[7]);
  EXPECT_FALSE(process.all[0]->confirmed.contains(7));
}

TEST_F(ConsumerClientTest, TheMemberLeavesWhenItsLastShardCloses) {
  Shards process{loop, config_for(cluster), 2};
  process.start();
  ASSERT_TRUE(loop.until([&] { return process.joined(); }));
  bool first = false;
  bool second = false;
  process.all[0]->client.close(monotonic_now() + seconds{1}, [&first] { first = true; });
  loop.pass(milliseconds{1500});
  EXPECT_FALSE(first);
  EXPECT_EQ(process.all[0]->revocations, 0);
  process.all[1]->client.close(monotonic_now() + seconds{10}, [&second] { second = true; });
  ASSERT_TRUE(loop.until([&] { return first && second; }));
  EXPECT_EQ(process.all[0]->revocations, 1);
  EXPECT_EQ(process.all[1]->revocations, 1);
  Member other{loop, config_for(cluster), options()};
  other.client.start();
  ASSERT_TRUE(loop.until([&] { return other.owned.size() == 4; }));
  EXPECT_TRUE(other.close());
  process.all.clear();
  EXPECT_TRUE(wait_retired(seconds{5}));
}

TEST_F(ConsumerClientTest, NobodyWaitsForAShardThatHasEnded) {
  Shards process{loop, config_for(cluster), 3};
  process.start();
  ASSERT_TRUE(loop.until([&] { return process.joined(); }));
  process.all.pop_back();
  Member other{loop, config_for(cluster), options()};
  other.client.start();
  ASSERT_TRUE(loop.until([&] { return other.owned.size() == 2; }));
  EXPECT_TRUE(other.close());
}

TEST_F(ConsumerClientTest, AShardThatHasEndedIsToldNothing) {
  Shards process{loop, config_for(cluster), 2};
  process.start();
  ASSERT_TRUE(loop.until([&] { return process.joined(); }));
  bool first = false;
  bool second = false;
  process.all[1]->client.close(monotonic_now() + seconds{10}, [&second] { second = true; });
  // What both are told has been posted when the first hears it, and the other ends then.
  process.all[0]->client.close(monotonic_now() + seconds{10}, [&] {
    first = true;
    process.all[1].reset();
  });
  ASSERT_TRUE(loop.until([&] { return first; }));
  loop.pass(milliseconds{200});
  EXPECT_FALSE(second);
}

// Each shard in a thread of its own, as in the relay: for the thread sanitizer too.
TEST_F(ConsumerClientTest, ShardsReadAndCommitInThreadsOfTheirOwn) {
  fill(loop, cluster, 500);
  std::vector<std::unique_ptr<Loop>> loops;
  for (int i = 0; i < 4; ++i) loops.push_back(std::make_unique<Loop>());
  GroupClient group{loops[0]->context.get_executor(), config_for(cluster), options(4),
                    loops[0]->slab};
  std::vector<std::unique_ptr<Member>> members;
  for (unsigned i = 0; i < 4; ++i) {
    members.push_back(std::make_unique<Member>(*loops[i], group, i));
    members[i]->on_message = [member = members[i].get()](const Message& message) {
      if (member->client.committing()) return;
      const Commit commit{message.partition(), Offset{message.offset().value + 1}, {}};
      member->client.commit_async(std::span(&commit, 1));
    };
  }
  std::vector<std::thread> threads;
  std::array<bool, 4> closed{};
  for (unsigned i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      members[i]->client.start();
      const bool read = loops[i]->until([&] { return members[i]->total() == 500; });
      const Commit last{Partition{static_cast<int>(i)}, Offset{500}, {}};
      const bool committed = members[i]->client.commit_sync(std::span(&last, 1));
      closed[i] = members[i]->close() && read && committed;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (unsigned i = 0; i < 4; ++i) {
    EXPECT_TRUE(closed[i]);
    EXPECT_TRUE(in_order(members[i]->read[Partition{static_cast<int>(i)}], 500));
    EXPECT_TRUE(members[i]->commit_failures.empty());
  }
}

}  // namespace
}  // namespace eventrelay::kafka::testing
