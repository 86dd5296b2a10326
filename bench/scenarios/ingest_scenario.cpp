// bench ingest: cost and latency of an accepted event, beside the limit program.
#include <fmt/format.h>

#include "bench/load/generator.hpp"
#include "bench/scenarios/scenarios.hpp"
#include "bench/scenarios/stage.hpp"

namespace eventrelay::bench {
namespace {

constexpr std::size_t kDistinctRequests = 8192;

// Everything one measured span needs.
struct Span {
  const BenchOptions& options;
  const Stage& stage;
  std::string name;
  unsigned round;
  double rate;
};

Row measure(Process& process, std::uint16_t port, const Span& span) {
  RequestOptions request_options;
  request_options.paths = span.stage.event_paths();
  request_options.key = kSourceKey;
  request_options.count = kDistinctRequests;
  request_options.now = wall_now();
  request_options.seed = static_cast<std::uint64_t>(unix_ms(wall_now()));
  const Requests requests(request_options);
  Row row;
  row.name = span.name;
  row.round = span.round;
  Usage before;
  LoadOptions load;
  load.port = port;
  load.connections = span.options.connections;
  load.rate = span.rate;
  load.warm_up = span.options.warm_up;
  load.duration = span.options.warm_up + span.options.duration;
  load.on_measure = [&] { before = process.usage(); };
  const LoadResult result = run_load(requests, load);
  const Usage after = process.usage();
  row.events = result.accepted;
  row.failed = result.broken + result.late;
  for (const auto& [status, count] : result.by_status) row.failed += status / 100 == 2 ? 0 : count;
  row.seconds = result.seconds;
  row.cpu_seconds = after.cpu_seconds - before.cpu_seconds;
  row.resident_start = before.resident;
  row.resident_end = after.resident;
  row.latency = result.latency;
  if (span.options.progress) {
    span.options.progress(fmt::format("{} round {}: {:.0f} events/s, {:.2f} us CPU per event",
                                      row.name, row.round, row.per_second(), row.cpu_us()));
  }
  return row;
}

double best_rate(const Report& report, const std::string& name) {
  double best = 0;
  for (const Row& row : report.rows) {
    if (row.name == name) best = std::max(best, row.per_second());
  }
  return best;
}

}  // namespace

Report bench_ingest(const BenchOptions& options) {
  const bool limits =
      have_limits({"answer_loop", "ingest_limit"}, options.ratio_max > 0, options.progress);
  Stage stage({options.kafka, options.partitions, 0, 64, options.shards});
  Report report{"bench ingest", {}, {}, machine_name()};
  for (unsigned round = 1; round <= options.rounds; ++round) {
    if (limits) {
      Process bare = stage.start_limit("answer_loop", {"0"});
      const std::uint16_t port = Stage::port_of(bare);
      report.rows.push_back(
          measure(bare, port, {options, stage, "bare loop", round, options.rate}));
    }
    if (limits) {
      Process limit =
          stage.start_limit("ingest_limit", {"0", options.kafka, stage.topic(), kSourceKey});
      const std::uint16_t port = Stage::port_of(limit);
      report.rows.push_back(measure(limit, port, {options, stage, "limit", round, options.rate}));
    }
    Process ingest = stage.start("eventrelay-ingest");
    const std::uint16_t port = Stage::port_of(ingest);
    report.rows.push_back(measure(ingest, port, {options, stage, "ingest", round, options.rate}));
    if (options.rate <= 0 && round == options.rounds) {
      const double half = best_rate(report, "ingest") / 2;
      report.rows.push_back(measure(ingest, port, {options, stage, "ingest half", round, half}));
    }
  }
  if (limits) {
    report.objectives.push_back({"CPU per event, ingest / limit",
                                 cpu_ratio(report, "ingest", "limit"),
                                 options.ratio_max > 0 ? options.ratio_max : 1e9});
  }
  const Duration p99 = report.rows.back().latency.percentile(0.99);
  if (options.p99_max_ms > 0) {
    report.objectives.push_back({"p99 ms, " + report.rows.back().name,
                                 static_cast<double>(p99.count()) / 1e6, options.p99_max_ms});
  }
  return report;
}

}  // namespace eventrelay::bench
