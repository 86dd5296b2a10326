// bench e2e: from the request at ingest to the signed callback, through both services, beside the
// limit programs in the same place.
#include <fmt/format.h>

#include <thread>

#include "bench/load/generator.hpp"
#include "bench/load/sink.hpp"
#include "bench/scenarios/fitting.hpp"
#include "bench/scenarios/meter.hpp"
#include "bench/scenarios/scenarios.hpp"
#include "bench/scenarios/stage.hpp"

namespace eventrelay::bench {
namespace {

constexpr Duration kReadyLimit = std::chrono::seconds(30);
constexpr Duration kTailLimit = std::chrono::seconds(20);
constexpr double kDefaultRate = 5000;

double rate_of(const BenchOptions& options) {
  return options.rate > 0 ? options.rate : kDefaultRate;
}

// Requests of a run at most; each has an event of its own, since a repeated one is folded.
std::size_t requests_of(const BenchOptions& options) {
  const Duration span = options.warm_up + options.duration + kCountedSpan;
  return static_cast<std::size_t>(rate_of(options) * std::chrono::duration<double>(span).count() *
                                  1.05) +
         1000;
}

// One run of `bench e2e`. Thread: one owner.
class EndToEndRun {
 public:
  explicit EndToEndRun(const BenchOptions& options)
      : options_(options), arrivals_(requests_of(options)), sink_(0, &arrivals_) {}

  Report go() {
    Report report{"bench e2e", {}, {}, machine_name()};
    report.shape = fmt::format(
        "{:.0f} requests/s over {} connections, {} instances; from when a request was "
        "due to its callback; CPU and memory of both programs",
        rate_of(options_), options_.connections, options_.instances);
    const auto all =
        contenders("e2e", {"ingest_limit", "ingest_lean", "relay_limit", "relay_lean"}, options_);
    for (unsigned round = 1; round <= options_.rounds; ++round) {
      for (const Contender& each : all) {
        report.rows.push_back(play(each, round));
        const Row& row = report.rows.back();
        options_.progress(
            fmt::format("{} round {}: {:.2f} us CPU per event", row.name, round, row.cpu_us()));
      }
    }
    for (const Row& row : report.rows) {
      report.objectives.push_back(
          {fmt::format("events not delivered, {} round {}", row.name, row.round),
           static_cast<double>(row.failed), 0});
    }
    return report;
  }

 private:
  Row play(const Contender& each, unsigned round) {
    StageOptions stage_options;
    stage_options.kafka = options_.kafka;
    stage_options.partitions = options_.partitions;
    stage_options.callback_port = sink_.port();
    stage_options.inflight = options_.inflight;
    stage_options.shards = options_.shards;
    stage_options.instances = options_.instances;
    Stage stage(stage_options);
    for (auto& arrival : arrivals_) arrival.store(0, std::memory_order_relaxed);
    Process relay = start_relay(stage, each);
    Process ingest = start_ingest(stage, each);
    (void)relay.wait_for("ready", kReadyLimit);
    Row row;
    row.name = each.name;
    row.round = round;
    load(stage, ingest, relay, row);
    return row;
  }

  Process start_relay(Stage& stage, const Contender& each) {
    if (each.kind == Contender::Kind::Product) {
      return stage.start("eventrelay-relay", each.folder);
    }
    return stage.start_limit(each.kind == Contender::Kind::Lean ? "relay_lean" : "relay_limit",
                             {options_.kafka, stage.topic(), stage.topic() + "group", kCallbackKey,
                              std::to_string(sink_.port()), std::to_string(options_.inflight)});
  }

  Process start_ingest(Stage& stage, const Contender& each) {
    if (each.kind == Contender::Kind::Product) {
      return stage.start("eventrelay-ingest", each.folder);
    }
    return stage.start_limit(each.kind == Contender::Kind::Lean ? "ingest_lean" : "ingest_limit",
                             {"0", options_.kafka, stage.topic(), kSourceKey});
  }

  void load(const Stage& stage, Process& ingest, const Process& relay, Row& row) {
    RequestOptions request_options;
    request_options.paths = stage.event_paths();
    request_options.key = kSourceKey;
    request_options.count = arrivals_.size();
    request_options.now = wall_now();
    request_options.seed = static_cast<std::uint64_t>(unix_ms(wall_now()) & 0x7fff'ffff);
    request_options.body_size = options_.body_size;
    const Requests requests(request_options);
    const std::uint64_t before = sink_.requests();
    std::vector<TimePoint> due;
    due.reserve(requests.size());
    LoadOptions load;
    load.port = Stage::port_of(ingest);
    load.due = &due;
    load.patience = kTailLimit;
    load.connections = 1;
    load.count = 1;  // delivered once the relay has joined its group
    (void)run_load(requests, load);
    wait_for_tail(before + 1);
    load.first = due.size();
    load.count = 0;
    load.connections = options_.connections;
    load.rate = rate_of(options_);
    load.warm_up = options_.warm_up;
    load.duration = options_.warm_up + options_.duration;
    Meter meter({&ingest, &relay}, [this] { return sink_.requests(); });
    std::size_t first = 0;
    load.on_measure = [&meter, &due, &first] {
      first = due.size();
      meter.begin();
    };
    const LoadResult result = run_load(requests, load);
    wait_for_tail(before + due.size());
    const std::size_t last = due.size();
    load.on_measure = nullptr;
    load.warm_up = {};
    load.duration = kCountedSpan;
    load.first = last;
    meter.count_calls([this, &requests, &load, &due, before] {
      (void)run_load(requests, load);
      wait_for_tail(before + due.size());
    });
    meter.end(row);
    row.seconds = result.seconds;
    for (std::size_t i = first; i < last; ++i) {
      const std::int64_t at = arrivals_[i].load(std::memory_order_relaxed);
      if (at != 0) row.latency.record(Duration{at} - due[i].time_since_epoch());
    }
    row.events = row.latency.count();
    row.failed = last - first - row.events;
  }

  void wait_for_tail(std::uint64_t wanted) const {
    const TimePoint deadline = monotonic_now() + kTailLimit;
    while (sink_.requests() < wanted && monotonic_now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  const BenchOptions& options_;
  Arrivals arrivals_;
  Sink sink_;
};

}  // namespace

Report bench_e2e(const BenchOptions& options) {
  require_programs({"eventrelay-ingest", "eventrelay-relay"});
  refuse_what_does_not_fit(memory_of(options, requests_of(options), requests_of(options)),
                           memory_available());
  require_descriptors(options.connections + options.inflight);
  require_local_broker(options.kafka);
  options.ready();
  Report report = EndToEndRun(options).go();
  report.axes = {{"connections", options.connections},
                 {"instances", options.instances},
                 {"rate", rate_of(options)}};
  add_ratios(report, "e2e", options);
  return report;
}

}  // namespace eventrelay::bench
