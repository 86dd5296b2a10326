// What a client is told when the broker refuses, is slow or lost, or the producer has failed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "tests/component/ingest/rig.hpp"

namespace eventrelay::ingest::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::int16_t kProduce = 0;

[[nodiscard]] int send_one(Rig& rig, const std::string& id, std::size_t filler = 500) {
  Client client = rig.client();
  client.send(BoxEvent{.id = id, .filler = filler}.request());
  const auto answer = client.answer();
  return answer ? answer->status : 0;
}

[[nodiscard]] bool taken_within(Rig& rig, const std::string& id, Duration limit) {
  const TimePoint end = monotonic_now() + limit;
  for (int i = 0; monotonic_now() < end; ++i) {
    if (send_one(rig, id + "-" + std::to_string(i)) == 202) return true;
  }
  return false;
}

// A code of the Kafka protocol, or a negative one of the library (-195: the connection breaks).
struct Code {
  const char* name;
  int code;
};

// Errors that heal: the library tries again, and the record is in the log once.
TEST(IngestKafka, ErrorsThatHealCostTimeAndNoEvent) {
  constexpr std::array<Code, 8> kCodes{{{"unknown topic or partition", 3},
                                        {"leader not available", 5},
                                        {"not leader", 6},
                                        {"request timed out", 7},
                                        {"not enough replicas", 19},
                                        {"not enough replicas after append", 20},
                                        {"storage error", 56},
                                        {"connection lost", -195}}};
  Rig rig;
  for (const Code& code : kCodes) {
    SCOPED_TRACE(code.name);
    rig.cluster().fail_requests(kProduce, code.code, 2);
    const TimePoint since = monotonic_now();
    EXPECT_EQ(send_one(rig, std::string("during ") + code.name), 202);
    EXPECT_LT(monotonic_now() - since, seconds{5});
    EXPECT_EQ(send_one(rig, std::string("after ") + code.name), 202);
  }
  EXPECT_EQ(rig.records(2 * kCodes.size() + 1).size(), 2 * kCodes.size());
}

// Refused for good: the client hears it at once, and events are taken again.
TEST(IngestKafka, FinalErrorsAre503AndEventsAreTakenAgain) {
  constexpr std::array<Code, 4> kCodes{{{"topic authorization", 29},
                                        {"invalid record", 87},
                                        {"invalid required acks", 21},
                                        {"policy violation", 44}}};
  for (const Code& code : kCodes) {
    SCOPED_TRACE(code.name);
    Rig rig;
    ASSERT_EQ(send_one(rig, "before"), 202);
    rig.cluster().fail_requests(kProduce, code.code, 1);
    EXPECT_EQ(send_one(rig, "during"), 503);
    EXPECT_TRUE(taken_within(rig, "after", seconds{5}));
    EXPECT_GE(rig.slab().ingest_produce_errors_total.read(metrics::ProduceFailure::Broker), 1U);
    EXPECT_EQ(rig.slab().kafka_producer_rebuilds_total.read(), 0U);
  }
}

// The library of Debian 12 gives up, that of Debian 13 sends it again; either way the
// answer must say what happened.
TEST(IngestKafka, AnswersWhatBecameOfACorruptMessage) {
  constexpr int kCorruptMessage = 2;
  Rig rig;
  rig.cluster().fail_requests(kProduce, kCorruptMessage, 1);
  const int status = send_one(rig, "during");
  EXPECT_TRUE(status == 202 || status == 503) << status;
  const std::size_t stored = status == 202 ? 1 : 0;
  EXPECT_EQ(rig.slab().ingest_produce_errors_total.read(metrics::ProduceFailure::Broker),
            1U - stored);
  EXPECT_TRUE(taken_within(rig, "after", seconds{5}));
  EXPECT_EQ(rig.records(stored + 2).size(), stored + 1);
}

TEST(IngestKafka, TellsARecordThatItsTopicFindsTooLarge413) {
  Rig rig;
  constexpr int kMessageTooLarge = 10;
  rig.cluster().fail_requests(kProduce, kMessageTooLarge, 1);
  EXPECT_EQ(send_one(rig, "large", 200'000), 413);
  EXPECT_TRUE(taken_within(rig, "small", seconds{5}));
  EXPECT_EQ(rig.slab().ingest_produce_errors_total.read(metrics::ProduceFailure::TooLarge), 1U);
}

TEST(IngestKafka, AnswersAllWaiting503WhenItsProducerFailsAndGoesOn) {
  constexpr int kWaiting = 30;
  Rig rig;
  ASSERT_EQ(send_one(rig, "before"), 202);
  rig.cluster().set_round_trip(1, seconds{3});
  std::vector<Client> clients;
  for (int i = 0; i < kWaiting; ++i) {
    clients.push_back(rig.client());
    clients.back().send(BoxEvent{.id = "waiting-" + std::to_string(i)}.request());
  }
  ASSERT_TRUE(eventually([&] { return rig.shard().figures().inflight == kWaiting; }));
  const TimePoint failed = monotonic_now();
  rig.on_shard([&] { rig.shard().producer().inject_fatal_error(); });
  for (Client& client : clients) {
    const auto answer = client.answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 503);
    EXPECT_EQ(answer->fields.count("retry-after"), 1U);
  }
  EXPECT_LT(monotonic_now() - failed, seconds{1});
  EXPECT_TRUE(eventually([&] { return rig.slab().kafka_producer_rebuilds_total.read() == 1; }));
  EXPECT_EQ(rig.slab().ingest_produce_errors_total.read(metrics::ProduceFailure::Fatal),
            static_cast<std::uint64_t>(kWaiting));
  rig.cluster().set_round_trip(1, milliseconds{0});
  EXPECT_TRUE(taken_within(rig, "after", seconds{5}));
}

TEST(IngestKafka, RefusesAtOnceWhenTheProducersQueueIsFull) {
  Rig rig({.ingest = "  memory_max: 16MiB\n"});
  ASSERT_EQ(send_one(rig, "before"), 202);
  rig.cluster().set_round_trip(1, seconds{4});
  std::vector<Client> clients;
  const TimePoint since = monotonic_now();
  for (int i = 0; i < 7; ++i) {
    clients.push_back(rig.client());
    clients.back().send(BoxEvent{.id = std::to_string(i), .filler = 950'000}.request());
  }
  ASSERT_TRUE(eventually([&] { return rig.shard().figures().inflight == 7; }));
  Client client = rig.client();
  client.send(BoxEvent{}.head("", "Content-Length: 500"));
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503);
  EXPECT_LT(monotonic_now() - since, seconds{3});  // before any answer of the broker
  rig.cluster().set_round_trip(1, milliseconds{0});
}

// A request whose record is with the library waits for it, or for ack_timeout: see
// docs/kafka-hazards.md.
TEST(IngestKafka, LetsWaitingRequestsHaveTheirTimeWhenKafkaStalls) {
  Rig rig({.ingest = "  ack_timeout: 4s\n"});
  ASSERT_EQ(send_one(rig, "before"), 202);
  rig.cluster().set_round_trip(1, milliseconds{1500});
  Client waiting = rig.client();
  waiting.send(BoxEvent{.id = "waiting"}.request());
  ASSERT_TRUE(eventually([&] { return rig.shard().figures().stalled; }));
  const auto answer = waiting.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 202);
  rig.cluster().set_round_trip(1, milliseconds{0});
}

// One of two brokers answers late: instances whose partition it leads are refused, all others are
// taken as ever, and the process stays ready.
TEST(IngestKafka, ALeaderThatStandsStillStopsOnlyItsPartitions) {
  const std::vector<std::uint64_t> all{1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008};
  Rig rig({.ingest = "  ack_timeout: 20s\n", .brokers = 2, .instances = all});
  const auto request = [](std::uint64_t instance) {
    return BoxEvent{.target = "/elements/api-v2/events/box/" + std::to_string(instance)}.request();
  };
  const auto status = [&](std::uint64_t instance) {
    Client client = rig.client();
    client.send(request(instance));
    const auto answer = client.answer();
    return answer ? answer->status : 0;
  };
  for (const auto instance : all) ASSERT_EQ(status(instance), 202);
  rig.cluster().set_round_trip(2, seconds{8});
  std::vector<std::uint64_t> slow;
  std::vector<std::uint64_t> well;
  std::vector<Client> waiting;
  for (const auto instance : all) {
    waiting.push_back(rig.client());
    waiting.back().send(request(instance));
    (waiting.back().readable(milliseconds{300}) ? well : slow).push_back(instance);
  }
  ASSERT_FALSE(slow.empty());
  ASSERT_FALSE(well.empty());
  Client late = rig.client();
  late.send(request(slow.front()));
  EXPECT_FALSE(late.readable(milliseconds{1000}));  // a stall counts from 750 ms on
  EXPECT_EQ(status(slow.front()), 503);
  for (const auto instance : well) EXPECT_EQ(status(instance), 202);
  EXPECT_TRUE(eventually([&] { return !rig.shard().figures().stalled; }));
  rig.cluster().set_round_trip(2, milliseconds{0});
}

TEST(IngestKafka, Answers503WithinAckTimeoutWhenTheBrokerIsLost) {
  Rig rig({.ingest = "  ack_timeout: 1s\n",
           .kafka = "  message.timeout.ms: 2000\n  statistics.interval.ms: 100\n"});
  ASSERT_EQ(send_one(rig, "before"), 202);
  rig.cluster().set_down(1);
  const TimePoint since = monotonic_now();
  EXPECT_EQ(send_one(rig, "lost"), 503);
  EXPECT_LT(monotonic_now() - since, milliseconds{1500});
  // The record itself is given up later, by its own limit; nobody waits for that.
  EXPECT_TRUE(eventually([&] {
    return rig.slab().ingest_produce_errors_total.read(metrics::ProduceFailure::Timeout) == 1;
  }));
  rig.cluster().set_up(1);
  EXPECT_TRUE(taken_within(rig, "after", seconds{5}));
}

}  // namespace
}  // namespace eventrelay::ingest::test
