// Replay against the embedded broker: what is copied, and where the next run goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/start_error.hpp"
#include "common/kafka/tools/replay_copy.hpp"
#include "common/kafka/tools/topic_reader.hpp"
#include "tests/component/common/kafka/fixture.hpp"

namespace eventrelay::kafka::testing {
namespace {

constexpr char kDead[] = "t.dead";
constexpr char kRetry[] = "t.retry.5s";
constexpr WallTime kNow{milliseconds{1'800'000'000'000}};
const ReplayRoute kRoute{.source = kDead, .target = kRetry, .group = "t.replay.x"};

// Topics with three partitions; `count` dead letters spread over them.
struct Log {
  explicit Log(std::uint64_t count) : config(config_for(cluster)) {
    cluster.create_topic(kDead, 3);
    cluster.create_topic(kRetry, 3);
    Writer writer{loop, config, kDead};
    EXPECT_TRUE(writer.ready());
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::string id = "event-" + std::to_string(i);
      const std::string body = "{\"n\":" + std::to_string(i) + ",\"x\":\"\xC3\xA9\\u0000\"}";
      Event event;
      event.id = id;
      event.element = "box";
      event.instance = InstanceId{427236};
      event.received = WallTime{milliseconds{1'700'000'000'000}};
      event.parked = ParkedState{.subscription = "427236/audit",
                                 .attempts_made = 8,
                                 .due = {},
                                 .first_failure = WallTime{milliseconds{1'700'000'001'000}},
                                 .reason = "http_5xx"};
      const RecordHeaders headers{event};
      const ProduceRecord record{"427236", body, &headers, static_cast<std::int32_t>(i % 3)};
      EXPECT_EQ(writer.client.produce(0, record, i), Queued::Queued);
    }
    EXPECT_TRUE(writer.settled());
  }

  Loop loop;
  MockCluster cluster;
  KafkaConfig config;
};

const ReplayTag kTag{.subscription = "427236/audit", .reason = "http_5xx", .now = kNow};

// Copies `count` records into the open transaction.
void copy_some(ReplayCopy& replay, std::size_t count) {
  const TimePoint end = monotonic_now() + seconds{20};
  for (std::size_t copied = 0; copied < count;) {
    ASSERT_LT(monotonic_now(), end);
    const auto message = replay.next(milliseconds{100});
    if (!message) continue;
    replay.add(*message, kTag);
    ++copied;
  }
}

void copy_rest(ReplayCopy& replay) {
  const TimePoint end = monotonic_now() + seconds{20};
  while (!replay.finished()) {
    ASSERT_LT(monotonic_now(), end);
    if (const auto message = replay.next(milliseconds{100})) replay.add(*message, kTag);
  }
}

// One record as it lies in the topic.
struct Stored {
  Partition partition;
  std::string key;
  std::string value;
  std::string id;
  std::string element;
  std::string subscription;
  std::string reason;
  std::uint32_t attempts = 0;
  std::optional<WallTime> due;
  WallTime first_failure{};
};

// At most one record more than `count`. The handle ends only after its messages have.
std::vector<Stored> read(const Log& log, const std::string& topic, std::size_t count) {
  TopicReader reader(log.config, topic, From::Beginning);
  std::vector<Stored> records;
  const TimePoint end = monotonic_now() + seconds{10};
  while (records.size() <= count && monotonic_now() < end) {
    const auto message = reader.next(milliseconds{500});
    if (!message && records.size() >= count) break;
    if (!message) continue;
    const auto event = message->event();
    if (!event || !event->parked) throw std::runtime_error("a record that cannot be read");
    records.push_back({message->partition(), std::string(message->key()),
                       std::string(message->value()), std::string(event->id),
                       std::string(event->element), std::string(event->parked->subscription),
                       std::string(event->parked->reason), event->parked->attempts_made,
                       event->parked->due, event->parked->first_failure});
  }
  return records;
}

TEST(ReplayCopy, CopiesKeyPartitionBytesAndHeadersAndBeginsTheScheduleAnew) {
  Log log{30};
  {
    ReplayCopy replay(log.config, kRoute);
    EXPECT_FALSE(replay.earlier_note());
    replay.begin({.since = {}, .until = {}, .note = "a"});
    copy_rest(replay);
    ASSERT_TRUE(replay.commit_end("done"));
    EXPECT_EQ(replay.progress().copied, 30U);
    EXPECT_EQ(replay.progress().offsets, 30U);
    EXPECT_EQ(replay.progress().passed, 30U);
  }
  std::map<std::string, Stored> before;
  for (const Stored& record : read(log, kDead, 30)) before[record.id] = record;
  const auto copies = read(log, kRetry, 30);
  ASSERT_EQ(copies.size(), 30U);
  for (const Stored& copy : copies) {
    const Stored& original = before.at(copy.id);
    EXPECT_EQ(copy.partition, original.partition);
    EXPECT_EQ(copy.value, original.value);
    EXPECT_EQ(copy.key, "427236");
    EXPECT_EQ(copy.element, "box");
    EXPECT_EQ(copy.subscription, "427236/audit");
    EXPECT_EQ(copy.attempts, 0U);
    EXPECT_EQ(copy.due, kNow);
    EXPECT_EQ(copy.first_failure, kNow);
    EXPECT_EQ(copy.reason, "http_5xx");
    before.erase(copy.id);
  }
  EXPECT_TRUE(before.empty());
}

TEST(ReplayCopy, ReadsToTheEndItFoundAtItsBegin) {
  Log log{9};
  ReplayCopy replay(log.config, kRoute);
  replay.begin({.since = {}, .until = {}, .note = "a"});
  Writer later{log.loop, log.config, kDead};
  ASSERT_TRUE(later.ready());
  ASSERT_EQ(later.write(1, "late", 0), Queued::Queued);
  ASSERT_TRUE(later.settled());
  copy_some(replay, 3);
  ASSERT_TRUE(replay.commit());
  copy_rest(replay);
  ASSERT_TRUE(replay.commit_end("done"));
  EXPECT_EQ(replay.progress().copied, 9U);
}

TEST(ReplayCopy, TakesOnlyRecordsStampedWithinItsWindow) {
  Log log{9};
  ReplayCopy past(log.config, kRoute);
  past.begin({.since = {}, .until = wall_now() - std::chrono::minutes{30}, .note = "a"});
  while (!past.finished()) EXPECT_FALSE(past.next(milliseconds{100}));
  EXPECT_EQ(past.progress().passed, 9U);
}

TEST(ReplayCopy, YieldsTheSameRecordsAgainWhenATransactionIsRefused) {
  Log log{12};
  ReplayCopy replay(log.config, kRoute);
  replay.begin({.since = {}, .until = {}, .note = "a"});
  copy_some(replay, 6);
  ASSERT_TRUE(replay.commit());
  copy_some(replay, 3);
  constexpr std::int16_t kTxnOffsetCommit = 28;
  constexpr int kGroupAuthorizationFailed = 30;
  log.cluster.fail_requests(kTxnOffsetCommit, kGroupAuthorizationFailed, 1);
  EXPECT_FALSE(replay.commit());
  EXPECT_EQ(replay.progress().copied, 6U);
  EXPECT_EQ(replay.progress().passed, 6U);
  copy_rest(replay);
  ASSERT_TRUE(replay.commit_end("done"));
  EXPECT_EQ(replay.progress().copied, 12U);
}

TEST(ReplayCopy, LooksWithoutWritingAnything) {
  Log log{6};
  for (int run = 0; run < 2; ++run) {
    ReplayCopy look(
        log.config,
        {.source = kDead, .target = kRetry, .group = "t.replay.x", .mode = ReplayMode::Look});
    EXPECT_FALSE(look.earlier_note());
    look.begin({.since = {}, .until = {}, .note = "a"});
    std::size_t seen = 0;
    while (!look.finished()) seen += look.next(milliseconds{100}) ? 1U : 0U;
    EXPECT_EQ(seen, 6U);
    EXPECT_TRUE(look.commit());
  }
  EXPECT_TRUE(read(log, kRetry, 0).empty());
}

TEST(ReplayCopy, RefusesTopicsThatDoNotMatch) {
  Log log{0};
  log.cluster.create_topic("t.other", 2);
  EXPECT_THROW(ReplayCopy(log.config, {.source = kDead, .target = "t.other", .group = "g"}),
               StartError);
}

}  // namespace
}  // namespace eventrelay::kafka::testing
