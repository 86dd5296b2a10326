// bench relay: cost of a delivery with a backlog waiting, beside the limit program.
#include <fmt/format.h>

#include <stdexcept>
#include <thread>

#include "bench/load/scenarios.hpp"
#include "bench/load/sink.hpp"
#include "bench/load/stage.hpp"
#include "common/kafka/producer_client.hpp"

namespace eventrelay::bench {
namespace {

constexpr Duration kFillLimit = std::chrono::minutes(3);
constexpr Duration kDeliverLimit = std::chrono::minutes(3);
constexpr std::uint64_t kInFlightMax = 50'000;

// Counts what Kafka acknowledged. Thread: the loop's.
class Acknowledged final : public kafka::ReportSink {
 public:
  void on_stored(std::uint64_t /*token*/, kafka::Stored stored) override {
    if (stored != kafka::Stored::Persisted) throw std::runtime_error("Kafka refused a record");
    ++count;
  }
  std::uint64_t count = 0;
};

kafka::Queued write_one(kafka::ProducerClient& producer, std::size_t topic, std::uint64_t i) {
  const std::uint64_t instance = kFirstInstance + i % kInstances;
  const std::string key = std::to_string(instance);
  const std::string body = box_body(i, 73'835'521'473U + i);
  const std::string id = fmt::format("{:08x}-0000-8000-8000-{:012x}", i >> 32U, i & 0xffff'ffffU);
  Event event;
  event.id = id;
  event.provider_id = id;
  event.element = "box";
  event.instance = InstanceId{instance};
  event.event_type = "CREATED";
  event.object_type = "file";
  event.object_id = "73835521473";
  event.date = "2016-07-11T17:10:32Z";
  event.received = wall_now();
  event.content_type = "application/json";
  const RecordHeaders headers(event);
  return producer.produce(topic, {key, body, &headers, -1}, i);
}

void fill(const Stage& stage, const BenchOptions& options) {
  asio::io_context loop(1);
  metrics::Slab slab;
  Acknowledged acknowledged;
  KafkaConfig config;
  config.properties["bootstrap.servers"] = options.kafka;
  kafka::ProducerClient producer(loop.get_executor(), config, {}, acknowledged, slab);
  const std::size_t topic = producer.add_topic(stage.topic());
  const TimePoint deadline = monotonic_now() + kFillLimit;
  std::uint64_t next = 0;
  while (acknowledged.count < options.records) {
    if (monotonic_now() > deadline) throw std::runtime_error("filling the topic took too long");
    while (producer.ready() && next < options.records && next - acknowledged.count < kInFlightMax &&
           write_one(producer, topic, next) == kafka::Queued::Queued) {
      ++next;
    }
    loop.run_for(std::chrono::milliseconds(5));
  }
}

Row measure(Process& process, const Sink& sink, const BenchOptions& options, std::string name) {
  const std::uint64_t start = sink.requests();
  const TimePoint deadline = monotonic_now() + kDeliverLimit;
  const auto wait_until = [&](std::uint64_t delivered) {
    while (sink.requests() - start < delivered) {
      if (monotonic_now() > deadline) {
        throw std::runtime_error(fmt::format("{} delivered {} of {} records", name,
                                             sink.requests() - start, options.records));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  };
  wait_until(options.records / 10);
  const Usage before = process.usage();
  const std::uint64_t from = sink.requests();
  const TimePoint begin = monotonic_now();
  wait_until(options.records * 9 / 10);
  const Usage after = process.usage();
  Row row;
  row.name = std::move(name);
  row.events = sink.requests() - from;
  row.seconds = std::chrono::duration<double>(monotonic_now() - begin).count();
  row.cpu_seconds = after.cpu_seconds - before.cpu_seconds;
  row.resident_start = before.resident;
  row.resident_end = after.resident;
  row.failed = sink.unsigned_requests();
  if (options.progress) {
    options.progress(fmt::format("{}: {:.0f} deliveries/s, {:.2f} us CPU per delivery", row.name,
                                 row.per_second(), row.cpu_us()));
  }
  return row;
}

}  // namespace

Report bench_relay(const BenchOptions& options) {
  const bool limits = have_limits({"relay_limit"}, options.ratio_max > 0, options.progress);
  Sink sink;
  Stage stage(
      {options.kafka, options.partitions, sink.port(), options.connections, options.shards});
  Report report{"bench relay", {}, {}, machine_name()};
  if (options.progress) options.progress(fmt::format("writing {} records", options.records));
  fill(stage, options);
  for (unsigned round = 1; round <= options.rounds; ++round) {
    if (limits) {
      Process limit = stage.start_limit(
          "relay_limit",
          {options.kafka, stage.topic(), fmt::format("{}limit{}", stage.topic(), round),
           kCallbackKey, std::to_string(sink.port()), std::to_string(options.connections)});
      Row row = measure(limit, sink, options, "limit");
      row.round = round;
      report.rows.push_back(row);
    }
    const std::string group = fmt::format("relay.group={}relay{}", stage.topic(), round);
    {
      Process relay = stage.start("eventrelay-relay", {group});
      Row row = measure(relay, sink, options, "relay");
      row.round = round;
      report.rows.push_back(row);
    }
    if (options.compare.empty()) continue;
    Process changed = stage.start("eventrelay-relay", {group + "-compared", options.compare});
    Row row = measure(changed, sink, options, "compared");
    row.round = round;
    report.rows.push_back(row);
  }
  if (limits) {
    report.objectives.push_back({"CPU per delivery, relay / limit",
                                 cpu_ratio(report, "relay", "limit"),
                                 options.ratio_max > 0 ? options.ratio_max : 1e9});
  }
  if (!options.compare.empty()) {
    report.objectives.push_back({"CPU per delivery, with " + options.compare + " / without",
                                 cpu_ratio(report, "compared", "relay"), 1e9});
  }
  return report;
}

}  // namespace eventrelay::bench
