// The parts of the Kafka clients that need no broker: settings, limits, bookkeeping, statistics.
#include <gtest/gtest.h>

#include <array>

#include "common/base/start_error.hpp"
#include "common/kafka/client_lines.hpp"
#include "common/kafka/handle.hpp"
#include "common/kafka/pending.hpp"
#include "common/kafka/prefetch.hpp"
#include "common/kafka/stats.hpp"

namespace eventrelay::kafka {
namespace {

std::string setting(const KafkaConfig& config, Role role, const char* key,
                    const Defaults& defaults = {}) {
  const ConfPtr conf = make_conf(config, role, defaults);
  std::array<char, 256> value{};
  std::size_t size = value.size();
  return rd_kafka_conf_get(conf.get(), key, value.data(), &size) == RD_KAFKA_CONF_OK ? value.data()
                                                                                     : "";
}

KafkaConfig with(const std::string& key, const std::string& value) {
  KafkaConfig config;
  config.properties[key] = value;
  return config;
}

std::string refusal(const KafkaConfig& config, Role role) {
  try {
    (void)make_conf(config, role, {});
  } catch (const StartError& error) {
    return error.what();
  }
  return {};
}

TEST(MakeConf, SetsWhatThePromisesRestOn) {
  const KafkaConfig config;
  EXPECT_EQ(setting(config, Role::Producer, "acks"), "-1");
  EXPECT_EQ(setting(config, Role::Producer, "enable.idempotence"), "true");
  EXPECT_EQ(setting(config, Role::Producer, "partitioner"), "murmur2_random");
  EXPECT_EQ(setting(config, Role::Producer, "message.timeout.ms"), "30000");
  EXPECT_EQ(setting(config, Role::Producer, "socket.nagle.disable"), "true");
  EXPECT_EQ(setting(config, Role::Consumer, "enable.auto.commit"), "false");
  EXPECT_EQ(setting(config, Role::Consumer, "enable.auto.offset.store"), "false");
  EXPECT_EQ(setting(config, Role::Consumer, "partition.assignment.strategy"), "range");
  EXPECT_EQ(setting(config, Role::Consumer, "auto.offset.reset"), "smallest");
  EXPECT_EQ(setting(config, Role::Consumer, "reconnect.backoff.max.ms"), "1000");
}

TEST(MakeConf, ForgetsTopicsSoonWhereTheLibraryKeepsAPointerToThem) {
  EXPECT_FALSE(keeps_freed_topics(0x020002ff));  // Debian 12
  EXPECT_FALSE(keeps_freed_topics(0x020300ff));
  EXPECT_TRUE(keeps_freed_topics(0x020400ff));
  EXPECT_TRUE(keeps_freed_topics(0x020800ff));  // Debian 13
  EXPECT_TRUE(keeps_freed_topics(0x020900ff));
  EXPECT_FALSE(keeps_freed_topics(0x020a00ff));
  const bool keeps = keeps_freed_topics(rd_kafka_version());
  for (const Role role : {Role::Producer, Role::Consumer, Role::Admin}) {
    const char* const own = !keeps ? "900000" : role == Role::Admin ? "1000" : "100";
    EXPECT_EQ(setting({}, role, "metadata.max.age.ms"), own);
    EXPECT_EQ(setting(with("metadata.max.age.ms", "60000"), role, "metadata.max.age.ms"), "60000");
  }
}

TEST(MakeConf, PutsTheUsersValueBeforeOurs) {
  EXPECT_EQ(setting(with("linger.ms", "1"), Role::Producer, "linger.ms"), "1");
  EXPECT_EQ(setting(with("message.max.bytes", "2000000"), Role::Producer, "message.max.bytes",
                    {{"message.max.bytes", "1500000"}}),
            "2000000");
  EXPECT_EQ(setting({}, Role::Producer, "message.max.bytes", {{"message.max.bytes", "1500000"}}),
            "1500000");
}

TEST(MakeConf, LeavesOutWhatOnlyTheOtherRoleKnows) {
  const std::string untouched = setting({}, Role::Consumer, "compression.type");
  EXPECT_EQ(setting(with("compression.type", "lz4"), Role::Consumer, "compression.type"),
            untouched);
  EXPECT_EQ(setting(with("compression.type", "lz4"), Role::Producer, "compression.type"), "lz4");
  EXPECT_EQ(setting(with("session.timeout.ms", "7000"), Role::Producer, "session.timeout.ms"),
            setting({}, Role::Producer, "session.timeout.ms"));
  EXPECT_EQ(setting(with("session.timeout.ms", "7000"), Role::Consumer, "session.timeout.ms"),
            "7000");
}

TEST(MakeConf, RefusesWhatWouldBreakAPromise) {
  const std::array<std::array<const char*, 2>, 7> broken{
      {{"acks", "1"},
       {"request.required.acks", "0"},
       {"enable.idempotence", "false"},
       {"enable.auto.commit", "true"},
       {"enable.auto.offset.store", "true"},
       {"partition.assignment.strategy", "cooperative-sticky"},
       {"transactional.id", "x"}}};
  for (const auto& [key, value] : broken) {
    for (const Role role : {Role::Producer, Role::Consumer, Role::Admin}) {
      const std::string text = refusal(with(key, value), role);
      EXPECT_NE(text.find(std::string{"kafka."} + key), text.npos) << key << ": " << text;
      EXPECT_NE(text.find(value), text.npos) << key << ": " << text;
    }
  }
  EXPECT_EQ(refusal(with("acks", "all"), Role::Producer), "");
}

TEST(MakeConf, TellsTheLibrarysOwnWordsForAnUnknownOrBadProperty) {
  const std::string unknown = refusal(with("linger.msec", "1"), Role::Producer);
  EXPECT_NE(unknown.find("kafka.linger.msec"), unknown.npos) << unknown;
  EXPECT_NE(unknown.find("No such configuration property"), unknown.npos) << unknown;
  for (const auto& [wrong, right] :
       std::array<std::array<std::string, 2>, 4>{{{"sasl.pasword", "sasl.password"},
                                                  {"ssl.key.pm", "ssl.key.pem"},
                                                  {"Sasl.Passwrod", "sasl.password"},
                                                  {"bootstrap.server", "bootstrap.servers"}}}) {
    const std::string text = refusal(with(wrong.c_str(), "planted-3f9c"), Role::Producer);
    EXPECT_NE(text.find("did you mean kafka." + right + "?"), text.npos) << text;
    EXPECT_EQ(text.find("planted"), text.npos) << text;
  }
  const std::string bad = refusal(with("session.timeout.ms", "soon"), Role::Producer);
  EXPECT_NE(bad.find("kafka.session.timeout.ms"), bad.npos) << bad;
  EXPECT_NE(bad.find("soon"), bad.npos) << bad;
}

TEST(MakeConf, NeverPrintsASecret) {
  KafkaConfig config;
  config.secrets.emplace("security.protocol", Secret{"hunter2"});
  const std::string text = refusal(config, Role::Producer);
  EXPECT_NE(text.find("kafka.security.protocol"), text.npos) << text;
  EXPECT_EQ(text.find("hunter2"), text.npos) << text;
}

TEST(PrefetchFor, KeepsAProcessInsideItsBudgetHoweverPartitionsAreSpread) {
  for (const unsigned shards : {1U, 2U, 16U}) {
    for (const int partitions : {1, 12, 100}) {
      ConsumerOptions options;
      options.shards = shards;
      options.partitions = partitions;
      const Prefetch prefetch = prefetch_for(options);
      const std::size_t most = prefetch.queue_kbytes * 1024 + prefetch.fetch_bytes;
      EXPECT_LE(most * static_cast<std::size_t>(partitions), options.prefetch_bytes * shards);
      EXPECT_GE(most * static_cast<std::size_t>(partitions),
                options.prefetch_bytes * shards * 9 / 10);
    }
  }
}

// One partition's queue is delivered at 90 MB/s while a fetch waits for news of the others.
TEST(PrefetchFor, WaitsForNewsNoLongerThanAFullQueueLasts) {
  ConsumerOptions options;
  options.prefetch_bytes = 40U << 20;
  const Prefetch prefetch = prefetch_for(options);
  EXPECT_LE(prefetch.wait_ms * 90'000, prefetch.queue_kbytes * 1024);
  options.partitions = 1000;
  EXPECT_EQ(prefetch_for(options).wait_ms, 100U);
}

TEST(PrefetchFor, StaysInsideTheLibrarysBounds) {
  ConsumerOptions options;
  options.partitions = 10'000;
  EXPECT_GE(prefetch_for(options).queue_kbytes, 1U);
  EXPECT_GE(prefetch_for(options).queue_messages, 1000U);
  options.partitions = 1;
  options.shards = 256;
  options.prefetch_bytes = std::size_t{1} << 34;
  EXPECT_LE(prefetch_for(options).queue_kbytes, 2'097'151U);
  EXPECT_LE(prefetch_for(options).queue_messages, 10'000'000U);
}

TEST(PendingRecords, KnowsTheOldestWhateverOrderReportsComeIn) {
  PendingRecords pending;
  const TimePoint start{};
  auto* a = pending.add(1, 10, start);
  auto* b = pending.add(2, 20, start + std::chrono::seconds{1});
  auto* c = pending.add(3, 30, start + std::chrono::seconds{2});
  EXPECT_EQ(pending.count(), 3U);
  EXPECT_EQ(pending.bytes(), 60U);
  pending.remove(b);
  EXPECT_EQ(pending.oldest(), a);
  pending.remove(a);
  EXPECT_EQ(pending.oldest(), c);
  pending.remove(c);
  EXPECT_EQ(pending.oldest(), nullptr);
  EXPECT_EQ(pending.bytes(), 0U);
}

TEST(PendingRecords, UsesItsSlotsAgain) {
  PendingRecords pending;
  auto* first = pending.add(1, 1, TimePoint{});
  pending.remove(first);
  EXPECT_EQ(pending.add(2, 1, TimePoint{}), first);
  EXPECT_EQ(first->token, 2U);
}

TEST(ClientLines, LetsEachThingPassOnceAMinute) {
  ClientLines lines;
  const TimePoint start{std::chrono::hours{1}};
  const std::string refused = "a:9092/1: Connect to ipv4#10.0.0.1:9092 failed: refused";
  EXPECT_TRUE(
      lines.admit("FAIL", "[thrd:a:9092/1]: " + refused + " (after 0ms in state CONNECT)", start));
  // Another client's thread, another time, and what the library itself has held back.
  const std::string again = "[thrd:a:9092/bootstrap]: " + refused +
                            " (after 17ms in state CONNECT, 30 identical error(s) suppressed)";
  EXPECT_FALSE(lines.admit("FAIL", again, start + std::chrono::seconds{59}));
  EXPECT_TRUE(lines.admit("ERROR", again, start));
  EXPECT_TRUE(lines.admit("FAIL", "[thrd:b:9092/2]: b:9092/2: Disconnected (after 1ms)", start));
  EXPECT_TRUE(lines.admit("FAIL", again, start + std::chrono::seconds{60}));
  EXPECT_FALSE(lines.admit("FAIL", again, start + std::chrono::seconds{61}));
}

TEST(ClientLines, ForgetsAllRatherThanGrow) {
  ClientLines lines;
  for (std::size_t i = 0; i < ClientLines::kTextsMax * 3; ++i) {
    EXPECT_TRUE(lines.admit("FAIL", "text " + std::to_string(i), TimePoint{}));
  }
  EXPECT_TRUE(lines.admit("FAIL", "text 0", TimePoint{}));
}

constexpr char kStats[] = R"({"name":"rdkafka#producer-1","msg_cnt":12,"brokers":{
  "a:1/1":{"nodeid":1,"txretries":3,"req_timeouts":1,"rtt":{"avg":500,"p95":2500},
           "throttle":{"avg":0}},
  "b:1/2":{"nodeid":2,"txretries":4,"req_timeouts":0,"rtt":{"avg":500,"p95":9000},
           "throttle":{"avg":20}},
  "GroupCoordinator":{"nodeid":1,"txretries":0,"req_timeouts":0}},
  "eos":{"idemp_state":"Assigned","epoch_cnt":2}})";

TEST(ParseStats, SumsCountsAndTakesTheWorstBroker) {
  const auto stats = parse_stats(kStats);
  ASSERT_TRUE(stats.has_value());
  EXPECT_EQ(stats->tx_retries, 7U);
  EXPECT_EQ(stats->request_timeouts, 1U);
  EXPECT_DOUBLE_EQ(stats->round_trip_seconds, 0.009);
  EXPECT_DOUBLE_EQ(stats->throttle_seconds, 0.020);
  EXPECT_EQ(stats->queued_messages, 12U);
  EXPECT_EQ(stats->producer_ids, 2U);
}

TEST(ParseStats, HasNoValueForWhatItCannotRead) {
  EXPECT_FALSE(parse_stats("").has_value());
  EXPECT_FALSE(parse_stats("{\"brokers\":").has_value());
  EXPECT_FALSE(parse_stats("[]").has_value());
  EXPECT_FALSE(parse_stats("{\"brokers\":7}").has_value());
  EXPECT_TRUE(parse_stats("{\"brokers\":{\"a\":7}}").has_value());
}

TEST(StatsMeter, AddsGrowthAndGoesOnOverANewHandle) {
  metrics::Slab slab;
  StatsMeter meter{slab};
  ClientStats stats = *parse_stats(kStats);
  meter.producer(stats);
  EXPECT_EQ(slab.kafka_tx_retries_total.read(), 7U);
  EXPECT_EQ(slab.kafka_producer_epoch_bumps_total.read(), 1U);
  stats.tx_retries = 10;
  meter.producer(stats);
  EXPECT_EQ(slab.kafka_tx_retries_total.read(), 10U);
  EXPECT_EQ(slab.kafka_producer_epoch_bumps_total.read(), 1U);
  meter.restart();
  stats.tx_retries = 2;
  stats.producer_ids = 1;
  meter.producer(stats);
  EXPECT_EQ(slab.kafka_tx_retries_total.read(), 12U);
  EXPECT_EQ(slab.kafka_producer_epoch_bumps_total.read(), 1U);
  EXPECT_DOUBLE_EQ(slab.kafka_broker_rtt_seconds.read(), 0.009);
}

TEST(StatsMeter, DoesNotHideAThrottledClientBehindAnother) {
  metrics::Slab slab;
  StatsMeter reader{slab};
  StatsMeter writer{slab};
  ClientStats throttled;
  throttled.throttle_seconds = 0.5;
  reader.consumer(throttled);
  writer.producer(ClientStats{});
  EXPECT_DOUBLE_EQ(slab.kafka_throttle_seconds.read(), 0.5);
  reader.consumer(ClientStats{});
  EXPECT_DOUBLE_EQ(slab.kafka_throttle_seconds.read(), 0);
}

// Enough was sent to judge by, in less bytes than it is long.
TEST(StatsMeter, SaysWhetherRecordsAreCompressed) {
  metrics::Slab slab;
  StatsMeter meter{slab};
  const auto after = [&](std::uint64_t sent, std::uint64_t records) {
    ClientStats stats;
    stats.sent_bytes = sent;
    stats.record_bytes = records;
    meter.producer(stats);
    return slab.kafka_compression_active.read();
  };
  EXPECT_EQ(after(110'000, 100'000), 0);
  EXPECT_EQ(after(130'000, 200'000), 1);
  EXPECT_EQ(after(140'000, 201'000), 1);  // too little to say anything
  EXPECT_EQ(after(260'000, 300'000), 0);
  meter.restart();
  EXPECT_EQ(after(10'000, 90'000), 1);
}

TEST(ParseStats, ReadsWhatWasSent) {
  const auto stats = parse_stats(R"({"brokers":{},"tx_bytes":18037,"txmsg_bytes":240600})");
  ASSERT_TRUE(stats.has_value());
  EXPECT_EQ(stats->sent_bytes, 18'037U);
  EXPECT_EQ(stats->record_bytes, 240'600U);
}

}  // namespace
}  // namespace eventrelay::kafka
