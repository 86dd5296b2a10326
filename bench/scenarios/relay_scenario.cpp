// bench relay: cost of a delivery with a backlog waiting, beside the limit program.
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <thread>

#include "bench/load/scrape.hpp"
#include "bench/load/sink.hpp"
#include "bench/scenarios/scenarios.hpp"
#include "bench/scenarios/stage.hpp"
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

kafka::Queued write_one(kafka::ProducerClient& producer, std::size_t topic, std::uint64_t i,
                        unsigned subscriptions) {
  const std::uint64_t instance = kFirstInstance + i % subscriptions;
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
           write_one(producer, topic, next, options.subscriptions) == kafka::Queued::Queued) {
      ++next;
    }
    loop.run_for(std::chrono::milliseconds(5));
  }
}

// Waits until the sink has `wanted` requests, and notes the most memory meanwhile.
void wait_until(std::uint64_t wanted, const Process& process, const Sink& sink, Row& row) {
  const TimePoint deadline = monotonic_now() + kDeliverLimit;
  while (sink.requests() < wanted) {
    if (monotonic_now() > deadline) {
      throw std::runtime_error(
          fmt::format("{} stopped with {} records to deliver", row.name, wanted - sink.requests()));
    }
    row.resident_peak = std::max(row.resident_peak, process.usage().resident);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

// From the first delivery to the last: what a backlog costs near its end counts.
Row measure(Process& process, const Sink& sink, const BenchOptions& options, std::string name) {
  const std::uint64_t start = sink.requests();
  Row row;
  row.name = std::move(name);
  wait_until(start + 1, process, sink, row);
  const Usage before = process.usage();
  const std::uint64_t from = sink.requests();
  const TimePoint begin = monotonic_now();
  wait_until(start + options.records, process, sink, row);
  const Usage after = process.usage();
  row.events = sink.requests() - from;
  row.seconds = std::chrono::duration<double>(monotonic_now() - begin).count();
  row.cpu_seconds = after.cpu_seconds - before.cpu_seconds;
  row.resident_start = before.resident;
  row.resident_end = after.resident;
  row.failed = sink.unsigned_requests();
  if (options.progress) {
    options.progress(
        fmt::format("{}: {:.0f} deliveries/s, {:.2f} us CPU per delivery, done in {:.1f} s",
                    row.name, row.per_second(), row.cpu_us(), row.seconds));
  }
  return row;
}

Row measure_relay(Process& relay, const Sink& sink, const BenchOptions& options, std::string name) {
  const std::uint16_t admin = Stage::admin_port_of(relay);
  Row row = measure(relay, sink, options, std::move(name));
  row.detached = counter_of(admin, "eventrelay_relay_detaches_total");
  row.read_again = counter_of(admin, "eventrelay_relay_swept_records_total");
  return row;
}

StageOptions stage_of(const BenchOptions& options, const Sink& sink) {
  StageOptions stage;
  stage.kafka = options.kafka;
  stage.partitions = options.partitions;
  stage.callback_port = sink.port();
  stage.inflight = options.inflight > 0 ? options.inflight : options.connections;
  stage.shards = options.shards;
  stage.instances = options.subscriptions;
  return stage;
}

}  // namespace

Report bench_relay(const BenchOptions& options) {
  const bool limits = have_limits({"relay_limit"}, options.ratio_max > 0, options.progress);
  Sink sink(0, nullptr, options.endpoint_delay);
  Stage stage(stage_of(options, sink));
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
      Row row = measure_relay(relay, sink, options, "relay");
      row.round = round;
      report.rows.push_back(row);
    }
    if (options.compare.empty()) continue;
    Process changed = stage.start("eventrelay-relay", {group + "-compared", options.compare});
    Row row = measure_relay(changed, sink, options, "compared");
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
