// bench ingest: cost and latency of an accepted event, beside the limit programs.
#include <fmt/format.h>

#include <algorithm>

#include "bench/load/generator.hpp"
#include "bench/scenarios/fitting.hpp"
#include "bench/scenarios/meter.hpp"
#include "bench/scenarios/scenarios.hpp"
#include "bench/scenarios/stage.hpp"

namespace eventrelay::bench {
namespace {

constexpr std::size_t kDistinctRequests = 8192;
constexpr std::size_t kRequestBytesMax = 256U << 20;
// Nobody reads the topic: what it kept beyond that would only fill the broker's memory or disk.
constexpr std::size_t kKeptBytes = 1U << 30;

std::size_t distinct_requests(const BenchOptions& options) {
  const std::size_t wanted = std::max<std::size_t>(kDistinctRequests, options.instances);
  return std::min(wanted, kRequestBytesMax / (options.body_size + 1000));
}

// One run of `bench ingest`. Thread: one owner.
class IngestRun {
 public:
  explicit IngestRun(const BenchOptions& options)
      : options_(options), stage_(stage_of(options)), requests_(requests_of(options, stage_)) {}

  Report go() {
    Report report{"bench ingest", {}, {}, machine_name()};
    report.shape = fmt::format("{} connections, {} instances, bodies of {}", options_.connections,
                               options_.instances, body_words(options_.body_size));
    std::vector<Contender> all =
        contenders("ingest", {"answer_loop", "ingest_limit", "ingest_lean"}, options_);
    if (all.front().kind == Contender::Kind::Plain) {
      all.insert(all.begin(), {"bare loop", Contender::Kind::Bare, {}});
    }
    for (unsigned round = 1; round <= options_.rounds; ++round) {
      for (const Contender& each : all) play(each, round, report);
    }
    return report;
  }

 private:
  static StageOptions stage_of(const BenchOptions& options) {
    StageOptions stage;
    stage.kafka = options.kafka;
    stage.partitions = options.partitions;
    stage.shards = options.shards;
    stage.instances = options.instances;
    stage.kept_bytes = kKeptBytes;
    return stage;
  }

  static Requests requests_of(const BenchOptions& options, const Stage& stage) {
    RequestOptions requests;
    requests.paths = stage.event_paths();
    requests.key = kSourceKey;
    requests.count = distinct_requests(options);
    requests.now = wall_now();
    requests.seed = static_cast<std::uint64_t>(unix_ms(wall_now()));
    requests.body_size = options.body_size;
    return Requests(requests);
  }

  // Closed loop, as fast as it goes; then by the clock, at half of what the first one of the run
  // could do, so that all wait under the same load.
  void play(const Contender& each, unsigned round, Report& report) {
    Process process = start(each);
    const std::uint16_t port = Stage::port_of(process);
    Row row = measure(process, port, options_.rate);
    row.name = each.name;
    row.round = round;
    options_.progress(fmt::format("{} round {}: {:.0f} events/s, {:.2f} us CPU per event", row.name,
                                  round, row.per_second(), row.cpu_us()));
    report.rows.push_back(row);
    if (options_.rate > 0 || each.kind == Contender::Kind::Bare) return;
    if (half_ == 0) half_ = row.per_second() / 2;
    row = measure(process, port, half_);
    row.name = each.name + " half";
    row.round = round;
    report.rows.push_back(row);
  }

  Process start(const Contender& each) {
    switch (each.kind) {
      case Contender::Kind::Bare:
        return stage_.start_limit("answer_loop", {"0"});
      case Contender::Kind::Plain:
      case Contender::Kind::Lean:
        return stage_.start_limit(
            each.kind == Contender::Kind::Lean ? "ingest_lean" : "ingest_limit",
            {"0", options_.kafka, stage_.topic(), kSourceKey});
      case Contender::Kind::Product:
        break;
    }
    return stage_.start("eventrelay-ingest", each.folder);
  }

  Row measure(const Process& process, std::uint16_t port, double rate) {
    std::uint64_t accepted = 0;
    Meter meter({&process}, [&accepted] { return accepted; });
    LoadOptions load;
    load.port = port;
    load.connections = options_.connections;
    load.rate = rate;
    load.warm_up = options_.warm_up;
    load.duration = options_.warm_up + options_.duration;
    load.accepted = &accepted;
    load.on_measure = [&meter] { meter.begin(); };
    const LoadResult result = run_load(requests_, load);
    load.on_measure = nullptr;
    load.warm_up = {};
    load.duration = std::min(kCountedSpan, options_.duration);
    meter.count_calls([this, &load] { (void)run_load(requests_, load); });
    Row row;
    meter.end(row);
    row.seconds = result.seconds;
    row.events = result.accepted;
    row.failed = result.broken + result.late;
    for (const auto& [status, count] : result.by_status) {
      row.failed += status / 100 == 2 ? 0 : count;
    }
    row.latency = rate > 0 ? result.latency : result.latency.corrected(interval(row));
    return row;
  }

  // Between two requests of one connection.
  [[nodiscard]] Duration interval(const Row& row) const {
    if (row.events == 0) return Duration::zero();
    return Duration{static_cast<std::int64_t>(options_.connections / row.per_second() * 1e9)};
  }

  const BenchOptions& options_;
  Stage stage_;
  Requests requests_;
  double half_ = 0;  // requests/s of the open loop
};

}  // namespace

Report bench_ingest(const BenchOptions& options) {
  require_programs({"eventrelay-ingest"});
  refuse_what_does_not_fit(memory_of(options, distinct_requests(options), 0), memory_available());
  require_descriptors(options.connections);
  require_local_broker(options.kafka);
  options.ready();
  Report report = IngestRun(options).go();
  report.axes = {{"connections", options.connections},
                 {"instances", options.instances},
                 {"body_size", options.body_size}};
  add_ratios(report, "ingest", options);
  return report;
}

}  // namespace eventrelay::bench
