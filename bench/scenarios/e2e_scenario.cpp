// bench e2e: from the request at ingest to the signed callback, through both services.
#include <fmt/format.h>

#include <thread>

#include "bench/load/generator.hpp"
#include "bench/load/sink.hpp"
#include "bench/scenarios/scenarios.hpp"
#include "bench/scenarios/stage.hpp"

namespace eventrelay::bench {
namespace {

constexpr Duration kTailLimit = std::chrono::seconds(20);
constexpr double kDefaultRate = 5000;

// From the moment a request was due to the moment its event reached the callback.
Histogram latencies(const std::vector<TimePoint>& due, const Arrivals& arrivals,
                    std::uint64_t first) {
  Histogram histogram;
  for (std::size_t i = first; i < due.size(); ++i) {
    const std::int64_t at = arrivals[i].load(std::memory_order_relaxed);
    if (at != 0) histogram.record(Duration{at} - due[i].time_since_epoch());
  }
  return histogram;
}

}  // namespace

Report bench_e2e(const BenchOptions& options) {
  const double rate = options.rate > 0 ? options.rate : kDefaultRate;
  const Duration span = options.warm_up + options.duration;
  const auto total =
      static_cast<std::size_t>(rate * std::chrono::duration<double>(span).count() * 1.05) + 1000;
  Arrivals arrivals(total);
  Sink sink(0, &arrivals);
  Stage stage(
      {options.kafka, options.partitions, sink.port(), options.connections, options.shards});
  Process relay = stage.start("eventrelay-relay");
  Process ingest = stage.start("eventrelay-ingest");
  (void)relay.wait_for("ready", std::chrono::seconds(30));
  RequestOptions request_options;
  request_options.paths = stage.event_paths();
  request_options.key = kSourceKey;
  request_options.count = total;
  request_options.now = wall_now();
  request_options.seed = static_cast<std::uint64_t>(unix_ms(wall_now()) & 0x7fff'ffff);
  const Requests requests(request_options);
  std::vector<TimePoint> due;
  due.reserve(total);
  LoadOptions load;
  load.port = Stage::port_of(ingest);
  load.connections = options.connections;
  load.rate = rate;
  load.warm_up = options.warm_up;
  load.duration = span;
  load.due = &due;
  std::size_t first = 0;
  Usage before;
  load.on_measure = [&] {
    first = due.size();
    before = relay.usage();
  };
  const LoadResult result = run_load(requests, load);
  const TimePoint deadline = monotonic_now() + kTailLimit;
  while (sink.requests() < due.size() && monotonic_now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  Row row;
  row.name = fmt::format("e2e {:.0f}/s", rate);
  row.round = 1;
  row.latency = latencies(due, arrivals, first);
  row.events = row.latency.count();
  row.failed = due.size() - first - row.events;
  row.seconds = result.seconds;
  const Usage after = relay.usage();
  row.cpu_seconds = after.cpu_seconds - before.cpu_seconds;
  row.resident_start = before.resident;
  row.resident_end = after.resident;
  Report report{
      "bench e2e (request due to callback in; CPU and RSS of the relay)", {}, {}, machine_name()};
  report.rows.push_back(row);
  if (options.p99_max_ms > 0) {
    report.objectives.push_back({"p99 ms",
                                 static_cast<double>(row.latency.percentile(0.99).count()) / 1e6,
                                 options.p99_max_ms});
  }
  report.objectives.push_back({"events not delivered", static_cast<double>(row.failed), 0});
  return report;
}

}  // namespace eventrelay::bench
