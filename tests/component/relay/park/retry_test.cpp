// What becomes of events that are not taken: parked in the delay topics, dead, or held while
// neither can be written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/kafka/tools/topic_reader.hpp"
#include "tests/component/relay/flow.hpp"

namespace eventrelay::relay::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Contains;
using testing::HasSubstr;

// A record of a delay topic or of the dead letters, out of its message.
struct Kept {
  std::int32_t partition = 0;
  std::string key;
  std::string body;
  std::string id;
  std::string subscription;
  std::string reason;
  std::string dead_class;
  std::uint32_t attempts = 0;
  WallTime received{};
  WallTime first_failure{};
  std::optional<WallTime> due;
};

Kept kept_of(const kafka::Message& message) {
  Kept kept;
  const auto event = message.event();
  EXPECT_TRUE(event.has_value() && event->parked.has_value());
  if (!event || !event->parked) return kept;
  kept.partition = message.partition().value;
  kept.key = message.key();
  kept.body = event->body;
  kept.id = event->id;
  kept.received = event->received;
  kept.subscription = event->parked->subscription;
  kept.reason = event->parked->reason;
  kept.dead_class = event->parked->dead_class;
  kept.attempts = event->parked->attempts_made;
  kept.first_failure = event->parked->first_failure;
  kept.due = event->parked->due;
  return kept;
}

std::vector<Kept> read_topic(const Flow& flow, const std::string& topic, std::size_t count) {
  kafka::TopicReader reader(flow.client_config(), topic, kafka::From::Beginning);
  std::vector<Kept> all;
  const TimePoint end = monotonic_now() + kPatience;
  while (all.size() < count && monotonic_now() < end) {
    if (const auto message = reader.next(milliseconds(100))) all.push_back(kept_of(*message));
  }
  return all;
}

// Says what each request is answered, by event id and attempt. Thread: any.
using Judge = std::function<std::string(const std::string& id, int attempt)>;

Server::Script judging(Arrived& arrived, Judge judge) {
  return [&arrived, judge = std::move(judge)](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      const std::string id = Arrived::header(request, "Elements-Webhook-Id");
      const std::string attempt = Arrived::header(request, "Eventrelay-Attempt");
      const std::string answer = judge(id, attempt.empty() ? 1 : std::stoi(attempt));
      if (answer == kAnswer) arrived.take(request);
      peer.write(answer);
    }
  };
}

std::string answer(const std::string& status, const std::string& more = {}) {
  return "HTTP/1.1 " + status + "\r\n" + more + "Content-Length: 0\r\n\r\n";
}

std::int64_t counted(Relay& relay, const std::string& series) {
  const std::string text = relay.service().exporter().expose();
  const std::size_t at = text.find("\neventrelay_" + series + " ");
  if (at == std::string::npos) return -1;
  return std::stoll(text.substr(at + series.size() + 13, 24));
}

TEST(RelayRetry, ParksAFailedEventWithItsBytesAndLetsItsOffsetGo) {
  Arrived arrived;
  std::atomic<bool> broken{true};
  // Event 5 has offset 1 in partition 1.
  Server server(judging(arrived, [&](const std::string& id, int) {
    return broken && id == Flow::id_of(5) ? answer("500 Oops") : std::string(kAnswer);
  }));
  Flow flow("100ms, 20s, 40s");
  const WallTime before = wall_now();
  flow.write(0, 40);
  Relay relay(flow.load(Flow::url(server.port())));
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 39; })) << arrived.distinct();
  // Nothing waits in memory and no offset is held, while the event is still to be delivered.
  ASSERT_TRUE(eventually([&] { return relay.of_partition(1, "committed") == 10; }));
  EXPECT_EQ(relay.of_partition(1, "unfinished"), 0);
  EXPECT_TRUE(eventually([&] {
    return relay.service().status().find("\"outcome\":\"http_5xx\",\"waiting\":1") !=
           std::string::npos;
  })) << relay.service().status();

  for (const auto& [topic, attempts] :
       {std::pair<std::string, std::uint32_t>{"t.retry.100ms", 1U}, {"t.retry.20s", 2U}}) {
    const std::vector<Kept> parked = read_topic(flow, topic, 1);
    ASSERT_EQ(parked.size(), 1U) << topic;
    EXPECT_EQ(parked[0].partition, 1);
    EXPECT_EQ(parked[0].key, "427236");
    EXPECT_EQ(parked[0].body, Flow::body_of(5));
    EXPECT_EQ(parked[0].id, Flow::id_of(5));
    EXPECT_EQ(parked[0].subscription, "427236");
    EXPECT_EQ(parked[0].attempts, attempts);
    EXPECT_EQ(parked[0].reason, "http_5xx");
    EXPECT_EQ(parked[0].dead_class, "");
    EXPECT_GE(parked[0].first_failure, before);
    ASSERT_TRUE(parked[0].due.has_value());
    const milliseconds step{attempts == 1 ? 100 : 20'000};
    EXPECT_GE(*parked[0].due, parked[0].first_failure + step);
    EXPECT_LE(*parked[0].due, wall_now() + step);
  }
  EXPECT_EQ(counted(relay, "relay_parked_total"), 2);
  EXPECT_EQ(counted(relay, "relay_retries_total{stage=\"1\"}"), 1);
  EXPECT_EQ(counted(relay, "relay_retries_total{stage=\"2\"}"), 0);
  const auto lag = [&](const std::string& topic) {
    return counted(relay, "kafka_consumer_lag_messages{topic=\"" + topic + "\"}");
  };
  EXPECT_TRUE(eventually([&] { return lag("retry.20s") == 1; })) << lag("retry.20s");
  EXPECT_TRUE(eventually([&] { return lag("events") == 0; })) << lag("events");
  EXPECT_TRUE(eventually([&] { return lag("retry.100ms") == 0; })) << lag("retry.100ms");
  EXPECT_EQ(lag("retry.40s"), 0);
  EXPECT_TRUE(relay.drain());
}

TEST(RelayRetry, DeliversAParkedEventWhenItIsDueAndOnce) {
  Arrived arrived;
  std::mutex mutex;
  std::vector<TimePoint> tried;
  Server server(judging(arrived, [&](const std::string& id, int attempt) {
    if (id != Flow::id_of(5)) return std::string(kAnswer);
    const std::lock_guard lock(mutex);
    tried.push_back(monotonic_now());
    return attempt < 3 ? answer("500 Oops") : std::string(kAnswer);
  }));
  Flow flow("100ms, 500ms, 20s");
  flow.write(0, 40);
  Relay relay(flow.load(Flow::url(server.port())));
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 40; })) << arrived.distinct();
  EXPECT_TRUE(arrived.repeated().empty());
  for (const std::string& request : arrived.requests()) {
    const bool retried = Arrived::header(request, "Elements-Webhook-Id") == Flow::id_of(5);
    EXPECT_EQ(Arrived::header(request, "Eventrelay-Attempt"), retried ? "3" : "");
    const std::string body = Arrived::body(request);
    if (retried) {
      EXPECT_THAT(body, HasSubstr(Flow::body_of(5)));
    }
    EXPECT_EQ(Arrived::header(request, "Elements-Webhook-Signature"), expected_signature(body));
  }
  ASSERT_EQ(tried.size(), 3U);
  EXPECT_GE(tried[1] - tried[0], milliseconds(100));
  EXPECT_GE(tried[2] - tried[1], milliseconds(500));
  EXPECT_TRUE(relay.drain());
}

TEST(RelayRetry, GoesOnWithParkedEventsAfterARestart) {
  Arrived arrived;
  std::atomic<bool> broken{true};
  Server server(judging(arrived, [&](const std::string&, int) {
    return broken ? answer("503 Busy") : std::string(kAnswer);
  }));
  Flow flow("4s, 20s, 40s");
  flow.write(0, 8);
  {
    Relay first(flow.load(Flow::url(server.port())));
    ASSERT_TRUE(eventually([&] { return counted(first, "relay_parked_total") >= 8; }));
    EXPECT_TRUE(first.drain());
  }
  broken = false;
  Relay second(flow.load(Flow::url(server.port())));
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 8; })) << arrived.distinct();
  EXPECT_TRUE(arrived.repeated().empty());
  for (const std::string& request : arrived.requests()) {
    EXPECT_NE(Arrived::header(request, "Eventrelay-Attempt"), "");
  }
  EXPECT_TRUE(second.drain());
  // Its positions are committed: a third one finds nothing to do.
  Relay third(flow.load(Flow::url(server.port())));
  ASSERT_TRUE(eventually([&] { return third.ready(); }));
  flow.write(8, 8);
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 16; }));
  EXPECT_EQ(arrived.total(), 16U);
  EXPECT_TRUE(third.drain());
}

TEST(RelayRetry, WaitsAsLongAsRetryAfterAsks) {
  Arrived arrived;
  Server server(judging(arrived, [&](const std::string& id, int attempt) {
    if (attempt > 1) return std::string(kAnswer);
    if (id == Flow::id_of(0)) return answer("503 Busy", "Retry-After: 1\r\n");
    if (id != Flow::id_of(3)) return std::string(kAnswer);
    return answer("500 Oops", "Retry-After: 86400\r\n");  // a 500 changes nothing here
  }));
  Flow flow("100ms, 3s, 30s");
  flow.write(0, 4);
  Relay relay(flow.load(Flow::url(server.port())));
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 4; })) << arrived.distinct();
  const std::vector<Kept> first = read_topic(flow, "t.retry.100ms", 1);
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].id, Flow::id_of(3));
  const std::vector<Kept> second = read_topic(flow, "t.retry.3s", 1);
  ASSERT_EQ(second.size(), 1U);
  EXPECT_EQ(second[0].id, Flow::id_of(0));
  EXPECT_GE(*second[0].due - second[0].first_failure, seconds(1));
  EXPECT_TRUE(relay.drain());
}

TEST(RelayRetry, GivesUpForGoodAnswersAtOnceAndOthersAtTheEndOfTheSchedule) {
  Arrived arrived;
  std::atomic<int> requests{0};
  const WallTime before = wall_now();
  Server server(judging(arrived, [&](const std::string& id, int) {
    ++requests;
    if (id == Flow::id_of(0)) return answer("410 Gone");
    if (id == Flow::id_of(1)) return answer("422 No");
    if (id == Flow::id_of(2)) return answer("400 Bad");
    return std::string(kAnswer);
  }));
  Flow flow("50ms, 100ms");
  flow.write(0, 8);
  Relay relay(
      flow.load(Flow::url(server.port()), "allow_private_addresses: true, fatal_statuses: [422]"));
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 5; })) << arrived.distinct();
  std::map<std::string, Kept> dead;
  for (Kept& kept : read_topic(flow, "t.dead", 3)) dead.emplace(kept.id, std::move(kept));
  ASSERT_EQ(dead.size(), 3U);
  const std::tuple<int, const char*, std::uint32_t> rows[] = {
      {0, "gone", 1U}, {1, "http_4xx", 1U}, {2, "http_4xx", 3U}};
  for (const auto& [number, reason, attempts] : rows) {
    const Kept& kept = dead[Flow::id_of(number)];
    EXPECT_EQ(kept.reason, reason) << number;
    EXPECT_EQ(kept.attempts, attempts) << number;
    EXPECT_EQ(kept.dead_class, "subscriber");
    EXPECT_EQ(kept.partition, number % kPartitions);
    EXPECT_EQ(kept.body, Flow::body_of(number));
    EXPECT_EQ(kept.subscription, "427236");
    EXPECT_FALSE(kept.due.has_value());
    EXPECT_GE(kept.first_failure, before);
  }
  EXPECT_EQ(requests, 5 + 1 + 1 + 3);
  EXPECT_TRUE(eventually([&] {
    return counted(relay, "relay_dead_letters_total{reason=\"gone\"}") == 1 &&
           counted(relay, "relay_dead_letters_total{reason=\"http_4xx\"}") == 2;
  }));
  EXPECT_TRUE(eventually([&] { return relay.of_partition(0, "committed") == 2; }));
  EXPECT_TRUE(relay.drain());
}

TEST(RelayRetry, HoldsAPartitionWhileItsEventCanNotBeParkedAndGoesOn) {
  Arrived arrived;
  std::atomic<bool> answering{false};
  Server server(judging(arrived, [&](const std::string& id, int attempt) {
    while (!answering) Relay::pause();
    return id == Flow::id_of(1) && attempt == 1 ? answer("500 Oops") : std::string(kAnswer);
  }));
  Flow flow("100ms, 20s");
  flow.write(0, 4);
  Relay relay(flow.load(Flow::url(server.port())));
  // The owner's fencing marks are written, so the next write is the event's.
  ASSERT_TRUE(eventually([&] { return relay.of_partition(1, "position") == 1; }));
  flow.cluster().fail_requests(0, 29, 8);  // not authorised to write: no use to send it again
  answering = true;
  ASSERT_TRUE(eventually([&] {
    return relay.service().status().find("\"held_back\":\"write\"") != std::string::npos;
  })) << relay.service().status();
  EXPECT_THAT(relay.service().not_ready(), Contains(HasSubstr("partition 1 waits for a write")));
  EXPECT_TRUE(eventually([&] { return counted(relay, "relay_blocked_partitions") == 1; }));
  EXPECT_EQ(relay.of_partition(1, "unfinished"), 1);
  EXPECT_LE(relay.of_partition(1, "committed"), 0);
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 4; })) << arrived.distinct();
  EXPECT_TRUE(eventually([&] { return relay.of_partition(1, "committed") == 1; }));
  EXPECT_GE(counted(relay, "relay_write_failures_total{reason=\"broker\"}"), 8);
  EXPECT_TRUE(eventually([&] { return relay.ready(); }));
  EXPECT_TRUE(eventually([&] { return counted(relay, "relay_blocked_partitions") == 0; }));
  flow.write(4, 4);
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 8; })) << arrived.distinct();
  EXPECT_TRUE(arrived.repeated().empty());
  EXPECT_TRUE(relay.drain());
}

TEST(RelayRetry, KeepsTheScheduleOfASubscriptionOfItsOwn) {
  Arrived arrived;
  std::atomic<bool> broken{true};
  Server server(judging(arrived, [&](const std::string&, int) {
    return broken ? answer("500 Oops") : std::string(kAnswer);
  }));
  Flow flow("100ms, 2s, 30s");
  flow.write(0, 1);
  Relay relay(flow.load(Flow::url(server.port()),
                        "allow_private_addresses: true, retry_delays: [1s, 20s]"));
  const std::vector<Kept> parked = read_topic(flow, "t.retry.2s", 1);
  ASSERT_EQ(parked.size(), 1U);
  broken = false;
  EXPECT_GE(*parked[0].due - parked[0].first_failure, seconds(1));
  EXPECT_LT(*parked[0].due - parked[0].first_failure, seconds(2));
  EXPECT_TRUE(eventually([&] { return arrived.distinct() == 1; }));
  EXPECT_TRUE(relay.drain());
}

TEST(RelayRetry, GoesOnDeliveringWhileTheAttemptsLogCanNotBeWritten) {
  Arrived arrived;
  std::atomic<bool> go{false};
  Server server(judging(arrived, [&](const std::string&, int) {
    while (!go) Relay::pause();
    return std::string(kAnswer);
  }));
  Flow flow;
  flow.write(0, 40);
  Relay relay(flow.load(Flow::url(server.port()), {},
                        "relay: {shards: 1, drain_timeout: 5s, attempts_log: all}\n"));
  // A partition is read once its owner's fencing mark is stored.
  for (int partition = 0; partition < kPartitions; ++partition) {
    ASSERT_TRUE(eventually([&] { return relay.of_partition(partition, "position") == 10; }));
  }
  // Message too large, for every record the relay writes: from here on only the log writes any.
  flow.cluster().fail_requests(0, 10, 1000);
  go = true;
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 40; })) << arrived.distinct();
  for (int partition = 0; partition < kPartitions; ++partition) {
    EXPECT_TRUE(eventually([&] { return relay.of_partition(partition, "committed") == 10; }));
  }
  EXPECT_TRUE(eventually([&] { return counted(relay, "relay_attempts_dropped_total") == 40; }))
      << counted(relay, "relay_attempts_dropped_total");
  EXPECT_EQ(counted(relay, "relay_blocked_partitions"), 0);
  EXPECT_TRUE(arrived.repeated().empty());
  EXPECT_TRUE(relay.drain());
}

}  // namespace
}  // namespace eventrelay::relay::test
