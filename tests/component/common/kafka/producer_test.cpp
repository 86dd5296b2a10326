#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/kafka/handle.hpp"
#include "tests/component/common/kafka/fixture.hpp"

namespace eventrelay::kafka::testing {
namespace {

constexpr char kTopic[] = "eventrelay.events";

// A topic of 1 partition on an embedded broker. Thread: the test's.
class ProducerClientTest : public ::testing::Test {
 protected:
  ProducerClientTest() { cluster.create_topic(kTopic, 1); }

  MockCluster cluster;
  Loop loop;
};

TEST(ProducerClient, AcknowledgesTwentyThousandRecordsWithTheirHeaders) {
  MockCluster cluster;
  cluster.create_topic(kTopic, 8);
  Loop loop;
  Writer writer{loop, config_for(cluster), kTopic};
  ASSERT_TRUE(writer.ready());
  constexpr std::uint64_t kCount = 20'000;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    const std::string id = "event-" + std::to_string(i);
    const std::string key = std::to_string(i % 1000);
    const std::string body = "{\"n\":" + std::to_string(i) + "}";
    Event event;
    event.id = id;
    event.element = "box";
    event.instance = InstanceId{i % 1000};
    event.object_id = id;
    event.content_type = "application/json";
    event.received = WallTime{milliseconds{1'700'000'000'000}};
    const RecordHeaders headers{event};
    const ProduceRecord record{key, body, &headers, -1};
    ASSERT_EQ(writer.client.produce(0, record, i), Queued::Queued);
  }
  EXPECT_EQ(writer.client.pending().count(), kCount);
  EXPECT_NE(writer.client.pending().oldest(), nullptr);
  ASSERT_TRUE(writer.settled());
  EXPECT_EQ(writer.reports.count(Stored::Persisted), kCount);
  EXPECT_EQ(writer.reports.order.size(), kCount);
  EXPECT_EQ(writer.client.pending().bytes(), 0U);
  EXPECT_EQ(writer.client.pending().oldest(), nullptr);

  Member member{loop, config_for(cluster), {.group = "g", .topic = kTopic, .partitions = 8}};
  std::vector<int> seen(kCount, 0);
  std::size_t wrong = 0;
  member.on_message = [&](const Message& message) {
    const auto event = message.event();
    if (!event) {
      ++wrong;
      return;
    }
    const std::string id{event->id};
    const auto n = std::stoul(id.substr(id.find('-') + 1));
    ++seen.at(n);
    const bool intact = event->body == "{\"n\":" + std::to_string(n) + "}" &&
                        event->instance.value == n % 1000 && event->object_id == id &&
                        message.key() == std::to_string(n % 1000) && event->element == "box" &&
                        event->content_type == "application/json" &&
                        unix_ms(event->received) == 1'700'000'000'000;
    wrong += intact ? 0U : 1U;
  };
  member.client.start();
  ASSERT_TRUE(loop.until([&] { return member.total() >= kCount; }));
  EXPECT_EQ(wrong, 0U);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), static_cast<std::ptrdiff_t>(kCount));
  EXPECT_TRUE(member.close());
}

TEST(Message, CopiesTheTextsOfItsHeadersWhereTheyFit) {
  MockCluster cluster{1};
  cluster.create_topic(kTopic, 1);
  Loop loop;
  Writer writer{loop, config_for(cluster), kTopic};
  ASSERT_TRUE(writer.ready());
  const std::string body = "{}";
  for (const std::size_t size : {4U, 600U}) {
    const std::string id(size, 'o');
    Event event;
    event.id = "e-1";
    event.element = "box";
    event.instance = InstanceId{7};
    event.object_id = id;
    event.part = "2/5";
    event.received = WallTime{milliseconds{1'700'000'000'000}};
    const RecordHeaders headers{event};
    ASSERT_EQ(writer.client.produce(0, {"7", body, &headers, 0}, size), Queued::Queued);
  }
  ASSERT_TRUE(writer.settled());

  Member member{loop, config_for(cluster), {.group = "g", .topic = kTopic, .partitions = 1}};
  int events = 0;
  member.on_message = [&](Message& message) {
    std::array<char, 256> texts{};
    const auto event = message.event(texts);
    ASSERT_TRUE(event.has_value());
    EXPECT_EQ(event->id, "e-1");
    EXPECT_EQ(event->element, "box");
    EXPECT_EQ(event->object_id.find_first_not_of('o'), std::string_view::npos);
    EXPECT_EQ(event->part, "2/5");
    EXPECT_EQ(event->body, "{}");
    const bool moved =
        event->part.data() >= texts.data() && event->part.data() < texts.data() + texts.size();
    EXPECT_EQ(moved, event->object_id.size() == 4);
    const auto again = std::as_const(message).event();  // decoded once more
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(again->part, "2/5");
    EXPECT_NE(again->part.data(), texts.data());
    ++events;
  };
  member.client.start();
  ASSERT_TRUE(loop.until([&] { return member.total() >= 2; }));
  EXPECT_EQ(events, 2);
  EXPECT_TRUE(member.close());
}

TEST(ProducerClient, TakesReportsInAnyOrder) {
  MockCluster cluster{2};
  cluster.create_topic(kTopic, 2);
  cluster.set_leader(kTopic, 0, 1);
  cluster.set_leader(kTopic, 1, 2);
  Loop loop;
  Writer writer{loop, config_for(cluster), kTopic};
  ASSERT_TRUE(writer.ready());
  ASSERT_EQ(writer.write(1, "a", 0), Queued::Queued);
  ASSERT_EQ(writer.write(2, "b", 1), Queued::Queued);
  ASSERT_TRUE(writer.settled());  // both brokers are connected, the producer has its id
  cluster.set_round_trip(1, milliseconds{400});
  ASSERT_EQ(writer.write(3, "slow", 0), Queued::Queued);
  const auto* slow = writer.client.pending().oldest();
  ASSERT_EQ(writer.write(4, "fast", 1), Queued::Queued);
  ASSERT_TRUE(loop.until([&] { return writer.reports.by_token.contains(4); }));
  EXPECT_FALSE(writer.reports.by_token.contains(3));
  EXPECT_EQ(writer.client.pending().oldest(), slow);
  EXPECT_EQ(writer.client.pending().count(), 1U);
  ASSERT_TRUE(writer.settled());
  EXPECT_EQ(writer.reports.count(Stored::Persisted), 4U);
}

TEST_F(ProducerClientTest, SaysQueueFullAtLimitAndTooLarge) {
  Writer few{loop, config_for(cluster), kTopic, {.queue_messages = 10}};
  Writer small{
      loop, config_for(cluster), kTopic, {.queue_bytes = 10'000, .record_bytes_max = 6'000}};
  ASSERT_TRUE(few.ready());
  ASSERT_TRUE(small.ready());
  cluster.set_round_trip(1, milliseconds{1000});
  for (std::uint64_t i = 0; i < 10; ++i) ASSERT_EQ(few.write(i, "x"), Queued::Queued);
  EXPECT_EQ(few.write(10, "x"), Queued::QueueFull);
  EXPECT_EQ(small.write(0, std::string(6'001, 'x')), Queued::TooLarge);
  EXPECT_EQ(small.write(0, std::string(5'900, 'x')), Queued::Queued);
  EXPECT_EQ(small.write(1, std::string(5'900, 'x')), Queued::QueueFull);
  EXPECT_EQ(small.write(2, std::string(3'000, 'x')), Queued::Queued);
  cluster.set_round_trip(1, milliseconds{0});
  ASSERT_TRUE(few.settled());
  ASSERT_TRUE(small.settled());
  EXPECT_EQ(few.reports.count(Stored::Persisted), 10U);
  EXPECT_EQ(few.write(11, "x"), Queued::Queued);
  ASSERT_TRUE(few.settled());
}

TEST_F(ProducerClientTest, TakesARecordOfExactlyTheLimit) {
  const ProducerLimits limits;
  Writer writer{loop, config_for(cluster), kTopic, limits};
  ASSERT_TRUE(writer.ready());
  const std::string largest(limits.record_bytes_max - std::string_view{"427236"}.size(), 'x');
  EXPECT_EQ(writer.write(1, largest), Queued::Queued);
  EXPECT_EQ(writer.write(2, largest + "x"), Queued::TooLarge);
  ASSERT_TRUE(writer.settled());
  EXPECT_EQ(writer.reports.count(Stored::Persisted), 1U);
}

TEST_F(ProducerClientTest, ReportsTimedOutWhenTheBrokerIsAway) {
  Writer writer{loop, config_for(cluster, {{"message.timeout.ms", "1000"}}), kTopic};
  ASSERT_TRUE(writer.ready());
  cluster.set_down(1);
  const TimePoint since = monotonic_now();
  for (std::uint64_t i = 0; i < 100; ++i) ASSERT_EQ(writer.write(i, "x"), Queued::Queued);
  ASSERT_TRUE(writer.settled());
  const Duration took = monotonic_now() - since;
  EXPECT_EQ(writer.reports.count(Stored::TimedOut), 100U);
  EXPECT_GE(took, milliseconds{900});
  EXPECT_LE(took, milliseconds{3000});
  cluster.set_up(1);
  ASSERT_EQ(writer.write(100, "x"), Queued::Queued);
  ASSERT_TRUE(writer.settled());
}

TEST_F(ProducerClientTest, IsUnavailableUntilItsTopicIsKnown) {
  cluster.set_down(1);
  Writer writer{loop, config_for(cluster), kTopic};
  loop.pass(milliseconds{300});
  EXPECT_FALSE(writer.client.ready());
  EXPECT_EQ(writer.write(1, "x"), Queued::Unavailable);
  cluster.set_up(1);
  ASSERT_TRUE(writer.ready());
  EXPECT_EQ(writer.write(1, "x"), Queued::Queued);
  ASSERT_TRUE(writer.settled());
  EXPECT_EQ(writer.reports.count(Stored::Persisted), 1U);
}

TEST_F(ProducerClientTest, FailsAllWaitingAndRebuildsAfterAFatalError) {
  Writer writer{loop, config_for(cluster), kTopic};
  ASSERT_TRUE(writer.ready());
  cluster.set_round_trip(1, milliseconds{1000});
  for (std::uint64_t i = 0; i < 50; ++i) ASSERT_EQ(writer.write(i, "x"), Queued::Queued);
  writer.client.inject_fatal_error();
  ASSERT_TRUE(loop.until([&] { return writer.reports.order.size() == 50; }, milliseconds{900}));
  EXPECT_EQ(writer.reports.count(Stored::Fatal), 50U);
  EXPECT_FALSE(writer.client.ready());
  EXPECT_EQ(writer.write(50, "x"), Queued::Unavailable);
  EXPECT_EQ(loop.slab.kafka_producer_rebuilds_total.read(), 1U);
  cluster.set_round_trip(1, milliseconds{0});
  ASSERT_TRUE(writer.ready());
  ASSERT_EQ(writer.write(51, "x"), Queued::Queued);
  ASSERT_TRUE(writer.settled());
  EXPECT_EQ(writer.reports.by_token.at(51), Stored::Persisted);

  // At once again: the next handle is not built in a tight loop, but it is built.
  writer.client.inject_fatal_error();
  ASSERT_TRUE(
      loop.until([&] { return loop.slab.kafka_producer_rebuilds_total.read() == 2; }, seconds{5}));
  ASSERT_TRUE(writer.ready());
}

// The first request of a producer to a partition is refused while the second is on its way already,
// and taken: the library then reports both as persisted.
TEST_F(ProducerClientTest, DoesNotTakeARecordForStoredBecauseALaterOneIs) {
  Writer writer{loop, config_for(cluster, {{"linger.ms", "0"}}), kTopic};
  ASSERT_TRUE(writer.ready());
  cluster.set_round_trip(1, milliseconds{500});
  constexpr int kNotLeader = 6;
  cluster.fail_requests(0, kNotLeader, 1);
  ASSERT_EQ(writer.write(0, "0"), Queued::Queued);
  static_cast<void>(loop.until([] { return false; }, milliseconds{100}));
  ASSERT_EQ(writer.write(1, "1"), Queued::Queued);
  ASSERT_TRUE(writer.settled());
  cluster.set_round_trip(1, milliseconds{0});
  EXPECT_EQ(writer.reports.by_token.at(1), Stored::Persisted);

  Member member{loop, config_for(cluster), {.group = "g", .topic = kTopic, .partitions = 1}};
  std::set<std::string> there;
  member.on_message = [&](const Message& message) { there.emplace(message.value()); };
  member.client.start();
  ASSERT_TRUE(loop.until([&] { return there.contains("1"); }, seconds{20}));
  const bool reported = writer.reports.by_token.at(0) == Stored::Persisted;
  EXPECT_EQ(reported, there.contains("0"));
  EXPECT_TRUE(member.close());
}

// A producer whose records wait for others for as long as a test lasts. Thread: the test's.
class GatheringProducerTest : public ProducerClientTest {
 protected:
  GatheringProducerTest() { EXPECT_TRUE(writer->ready()); }

  void write(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      const Queued queued = writer->write(written, "value " + std::to_string(written));
      ASSERT_EQ(queued, Queued::Queued);
      ++written;
    }
    writer->client.send_gathered();
  }
  [[nodiscard]] std::size_t stored() const { return writer->reports.count(Stored::Persisted); }

  std::uint64_t written = 0;
  std::unique_ptr<Writer> writer = std::make_unique<Writer>(loop, config_for(cluster), kTopic,
                                                            ProducerLimits{.gather = seconds{60}});
};

TEST_F(GatheringProducerTest, LetsALoneRecordWaitForNobody) {
  write(1);
  ASSERT_TRUE(writer->settled());
  EXPECT_EQ(stored(), 1U);
}

TEST_F(GatheringProducerTest, SendsTogetherWhatComesTogetherAndKeepsItsBytes) {
  write(50);
  loop.pass(milliseconds{200});
  EXPECT_EQ(writer->client.pending().count(), 50U);
  EXPECT_EQ(stored(), 0U);
  writer->reports.more_come = false;
  write(50);
  ASSERT_TRUE(writer->settled());
  EXPECT_EQ(stored(), 100U);

  Member member{loop, config_for(cluster), {.group = "g", .topic = kTopic, .partitions = 1}};
  std::vector<std::string> read;
  member.on_message = [&](const Message& message) {
    read.emplace_back(message.value());
    EXPECT_EQ(message.key(), "427236");
  };
  member.client.start();
  ASSERT_TRUE(loop.until([&] { return read.size() == 100; }));
  for (std::size_t i = 0; i < read.size(); ++i) EXPECT_EQ(read[i], "value " + std::to_string(i));
  EXPECT_TRUE(member.close());
}

TEST_F(GatheringProducerTest, SendsTheRestWhenTheReportsAreIn) {
  cluster.set_round_trip(1, milliseconds{300});
  writer->reports.more_come = false;
  write(50);
  write(50);  // while those are under way
  loop.pass(milliseconds{100});
  EXPECT_EQ(stored(), 0U);
  ASSERT_TRUE(loop.until([&] { return stored() == 50; }));
  EXPECT_EQ(writer->client.pending().count(), 50U);
  ASSERT_TRUE(writer->settled());
  EXPECT_EQ(stored(), 100U);
}

TEST_F(GatheringProducerTest, SendsWhatWaitsWhenItIsDrained) {
  write(50);
  bool done = false;
  writer->client.drain(monotonic_now() + seconds{10}, [&] { done = true; });
  ASSERT_TRUE(loop.until([&] { return done; }, seconds{4}));
  EXPECT_EQ(stored(), 50U);
}

TEST_F(GatheringProducerTest, FailsWhatWaitsAfterAFatalError) {
  write(50);
  writer->client.inject_fatal_error();
  ASSERT_TRUE(loop.until([&] { return writer->reports.order.size() == 50; }));
  EXPECT_EQ(writer->reports.count(Stored::Fatal), 50U);
  ASSERT_TRUE(writer->ready());
  writer->reports.more_come = false;
  write(1);
  ASSERT_TRUE(writer->settled());
  EXPECT_EQ(stored(), 1U);
}

TEST_F(GatheringProducerTest, SaysOfARecordThatTheLibraryRefusesThatItIsNotStored) {
  write(50);
  writer->client.inject_fatal_error();
  writer->reports.more_come = false;
  write(1);  // the loop has not heard of it yet; none of them is taken
  EXPECT_TRUE(writer->reports.order.empty());
  ASSERT_TRUE(loop.until([&] { return writer->reports.order.size() == 51; }));
  EXPECT_EQ(stored(), 0U);
}

TEST_F(GatheringProducerTest, EndsWhileRecordsWait) {
  write(50);
  writer.reset();
  EXPECT_TRUE(wait_retired(seconds{5}));
}

TEST_F(ProducerClientTest, WaitsForOthersNoLongerThanItIsTold) {
  Writer writer{loop, config_for(cluster), kTopic, ProducerLimits{.gather = milliseconds{100}}};
  ASSERT_TRUE(writer.ready());
  for (std::uint64_t i = 0; i < 50; ++i) ASSERT_EQ(writer.write(i, "x"), Queued::Queued);
  const TimePoint since = monotonic_now();
  writer.client.send_gathered();
  ASSERT_TRUE(writer.settled());
  EXPECT_GE(monotonic_now() - since, milliseconds{90});
  EXPECT_LE(monotonic_now() - since, seconds{5});
}

TEST_F(ProducerClientTest, LeavesTheWaitToTheLibraryWhereTheUserSetsIt) {
  Writer writer{loop, config_for(cluster, {{"linger.ms", "1"}}), kTopic,
                ProducerLimits{.gather = seconds{60}}};
  ASSERT_TRUE(writer.ready());
  for (std::uint64_t i = 0; i < 50; ++i) ASSERT_EQ(writer.write(i, "x"), Queued::Queued);
  ASSERT_TRUE(writer.settled());
  EXPECT_EQ(writer.reports.count(Stored::Persisted), 50U);
}

TEST_F(ProducerClientTest, DrainsBeforeItSaysSo) {
  Writer writer{loop, config_for(cluster, {{"linger.ms", "5000"}}), kTopic};
  ASSERT_TRUE(writer.ready());
  for (std::uint64_t i = 0; i < 100; ++i) ASSERT_EQ(writer.write(i, "x"), Queued::Queued);
  std::size_t reported = 0;
  bool done = false;
  writer.client.drain(monotonic_now() + seconds{10}, [&] {
    done = true;
    reported = writer.reports.count(Stored::Persisted);
  });
  ASSERT_TRUE(loop.until([&] { return done; }, seconds{4}));  // the linger is cut short
  EXPECT_EQ(reported, 100U);
}

TEST_F(ProducerClientTest, EndsADrainAtItsDeadline) {
  Writer writer{loop, config_for(cluster), kTopic};
  ASSERT_TRUE(writer.ready());
  cluster.set_down(1);
  ASSERT_EQ(writer.write(1, "x"), Queued::Queued);
  bool done = false;
  writer.client.drain(monotonic_now() + milliseconds{300}, [&] { done = true; });
  ASSERT_TRUE(loop.until([&] { return done; }, seconds{2}));
  EXPECT_EQ(writer.client.pending().count(), 1U);
}

TEST_F(ProducerClientTest, EndsQuicklyWithTheBrokerAway) {
  auto writer = std::make_unique<Writer>(loop, config_for(cluster), kTopic);
  ASSERT_TRUE(writer->ready());
  cluster.set_down(1);
  for (std::uint64_t i = 0; i < 100; ++i) ASSERT_EQ(writer->write(i, "x"), Queued::Queued);
  const TimePoint since = monotonic_now();
  writer.reset();
  EXPECT_LT(monotonic_now() - since, milliseconds{50});
  EXPECT_TRUE(wait_retired(seconds{5}));
}

TEST(ProducerClient, SpreadsKeysAsTheJavaClientsDo) {
  MockCluster cluster;
  cluster.create_topic(kTopic, 12);
  Loop loop;
  Writer writer{loop, config_for(cluster), kTopic};
  ASSERT_TRUE(writer.ready());
  ASSERT_EQ(writer.write(1, "x"), Queued::Queued);
  ASSERT_TRUE(writer.settled());
  Member member{loop, config_for(cluster), {.group = "g", .topic = kTopic, .partitions = 12}};
  member.client.start();
  ASSERT_TRUE(loop.until([&] { return member.total() == 1; }));
  // murmur2("427236") = 3680315009; & 0x7fffffff, modulo 12 partitions
  EXPECT_EQ(member.read.begin()->first, Partition{9});
  EXPECT_TRUE(member.close());
}

}  // namespace
}  // namespace eventrelay::kafka::testing
