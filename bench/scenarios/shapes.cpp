#include "bench/scenarios/shapes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace eventrelay::bench {
namespace {

constexpr std::chrono::seconds kWarmUp{1};
constexpr std::chrono::seconds kSpan{3};
constexpr std::uint64_t kBacklog = 200'000;
constexpr unsigned kWarmUpRounds = 4;  // later ones were no faster
constexpr unsigned kWarmUpInFlight = 64;

// For a guess of what a shape takes: product and two limit programs run in turn.
constexpr double kProgramsInTurn = 3;
constexpr double kStartSeconds = 1.5;
constexpr double kDeliveriesASecond = 40'000;
constexpr double kSpanSeconds = 5;  // warm-up, what is measured, and the span of system calls

BenchOptions timed(BenchOptions options) {
  options.warm_up = kWarmUp;
  options.duration = kSpan;
  return options;
}

// What an endpoint that takes `delay` allows, with so many requests at once.
double pace_of(const BenchOptions& options) {
  const double delay = std::chrono::duration<double>(options.endpoint_delay).count();
  return delay > 0 ? std::min(kDeliveriesASecond, options.inflight / delay) : kDeliveriesASecond;
}

Shape relay_as(BenchOptions options) {
  Shape shape{bench_relay, std::move(options), {}, 0};
  const BenchOptions& chosen = shape.options;
  const auto records = static_cast<double>(chosen.records);
  const double delivering = chosen.records > 0 ? records / pace_of(chosen) : 2 * kSpanSeconds;
  shape.name = fmt::format("relay, {} subscriptions, {} in flight, {} waiting",
                           chosen.subscriptions, chosen.inflight, chosen.records);
  shape.seconds = kStartSeconds + records / kDeliveriesASecond +
                  chosen.rounds * kProgramsInTurn * (kStartSeconds + delivering) +
                  chosen.subscriptions / 10'000.0;
  return shape;
}

BenchOptions backlog(BenchOptions options, unsigned subscriptions, std::uint64_t records) {
  options = timed(std::move(options));
  options.connections = 0;
  options.subscriptions = subscriptions;
  options.records = records;
  return options;
}

Shape relay(const BenchOptions& base, unsigned subscriptions, std::uint64_t records) {
  return relay_as(backlog(base, subscriptions, records));
}

Shape relay_in_flight(const BenchOptions& base, unsigned inflight) {
  BenchOptions options = backlog(base, 100, kBacklog);
  options.inflight = inflight;
  return relay_as(std::move(options));
}

// A slow endpoint takes as many a second as are in flight, whoever calls it: fewer records do.
Shape relay_slow(const BenchOptions& base, std::chrono::milliseconds delay, unsigned inflight,
                 std::uint64_t records) {
  BenchOptions options = backlog(base, 100, records);
  options.endpoint_delay = delay;
  options.inflight = inflight;
  return relay_as(std::move(options));
}

Shape relay_bodies(const BenchOptions& base, std::size_t bytes, std::uint64_t records) {
  BenchOptions options = backlog(base, 100, records);
  options.body_size = bytes;
  return relay_as(std::move(options));
}

Shape ingest(BenchOptions options, unsigned connections, unsigned instances = 100,
             std::size_t body_size = 0) {
  options = timed(std::move(options));
  options.connections = connections;
  options.instances = instances;
  options.body_size = body_size;
  const double round = kSpanSeconds + kProgramsInTurn * (1 + 2 * kSpanSeconds);
  const double seconds = kStartSeconds + options.rounds * round + instances / 10'000.0;
  std::string name = fmt::format("ingest, {} connections, {} instances", connections, instances);
  return {bench_ingest, std::move(options), std::move(name), seconds};
}

Shape e2e(BenchOptions options, double rate) {
  options = timed(std::move(options));
  options.connections = 64;
  options.rate = rate;
  const double seconds = options.rounds * kProgramsInTurn * (2 * kStartSeconds + kSpanSeconds);
  return {bench_e2e, std::move(options), fmt::format("e2e, {:.0f} requests/s", rate), seconds};
}

std::string minutes(double seconds) {
  return fmt::format("{:.0f} min", std::ceil(seconds / 60));
}

}  // namespace

std::vector<Shape> all_shapes(const BenchOptions& base) {
  std::vector<Shape> shapes;
  for (const unsigned subscriptions : {1U, 12U, 50U, 100U, 1000U, 100'000U}) {
    shapes.push_back(relay(base, subscriptions, kBacklog));
  }
  for (const unsigned inflight : {256U, 1024U}) shapes.push_back(relay_in_flight(base, inflight));
  shapes.push_back(relay_slow(base, std::chrono::milliseconds(20), 256, 50'000));
  shapes.push_back(relay_slow(base, std::chrono::milliseconds(200), 1024, 50'000));
  shapes.push_back(relay_bodies(base, 256, kBacklog));
  shapes.push_back(relay_bodies(base, 16U << 10U, 20'000));
  shapes.push_back(relay(base, 100, 0));
  for (const unsigned connections : {1U, 16U, 64U, 256U, 1000U}) {
    shapes.push_back(ingest(base, connections));
  }
  shapes.push_back(ingest(base, 256, 100, 256));
  shapes.push_back(ingest(base, 256, 100, 16U << 10U));
  for (const unsigned instances : {1U, 100'000U}) shapes.push_back(ingest(base, 256, instances));
  for (const double rate : {1000.0, 5000.0}) shapes.push_back(e2e(base, rate));
  return shapes;
}

std::vector<Shape> short_shapes(const BenchOptions& base) {
  return {relay(base, 1, 50'000), relay(base, 100, 50'000), ingest(base, 64), e2e(base, 2000)};
}

std::vector<Shape> warm_up(const BenchOptions& base, Scenario scenario) {
  BenchOptions options = base;
  options.ready = [] {};
  options.limits = false;
  options.builds = {{}};
  options.compare.clear();
  options.endpoint_delay = {};
  options.body_size = 0;
  options.inflight = kWarmUpInFlight;
  options.rate = 0;
  options.rounds = kWarmUpRounds;
  const Shape reads = relay(options, 100, kBacklog);
  options.rounds = 1;
  const Shape writes = ingest(options, 256);
  if (scenario == bench_relay) return {reads};
  if (scenario == bench_ingest) return {writes};
  return {reads, writes};
}

std::string progress_words(const std::vector<Shape>& shapes, std::size_t next, Duration so_far) {
  double said_before = 0;
  double said_after = 0;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    (i < next ? said_before : said_after) += shapes[i].seconds;
  }
  const double took = std::chrono::duration<double>(so_far).count();
  // One short shape says little about the rest.
  const double slower = said_before > 60 ? took / said_before : 1;
  return fmt::format("shape {} of {}, {} so far, about {} left: {}", next + 1, shapes.size(),
                     next == 0 ? "0 min" : minutes(took), minutes(said_after * slower),
                     shapes[next].name);
}

}  // namespace eventrelay::bench
