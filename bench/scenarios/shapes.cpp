#include "bench/scenarios/shapes.hpp"

namespace eventrelay::bench {
namespace {

constexpr std::chrono::seconds kWarmUp{1};
constexpr std::chrono::seconds kSpan{3};
constexpr std::uint64_t kBacklog = 200'000;

BenchOptions timed(BenchOptions options) {
  options.warm_up = kWarmUp;
  options.duration = kSpan;
  return options;
}

Shape relay(BenchOptions options, unsigned subscriptions, std::uint64_t records) {
  options = timed(std::move(options));
  options.connections = 0;
  options.subscriptions = subscriptions;
  options.records = records;
  return {bench_relay, std::move(options)};
}

Shape relay_in_flight(const BenchOptions& base, unsigned inflight) {
  Shape shape = relay(base, 100, kBacklog);
  shape.options.inflight = inflight;
  return shape;
}

// A slow endpoint takes as many a second as are in flight, whoever calls it: fewer records do.
Shape relay_slow(const BenchOptions& base, std::chrono::milliseconds delay, unsigned inflight,
                 std::uint64_t records) {
  Shape shape = relay(base, 100, records);
  shape.options.endpoint_delay = delay;
  shape.options.inflight = inflight;
  return shape;
}

Shape relay_bodies(const BenchOptions& base, std::size_t bytes, std::uint64_t records) {
  Shape shape = relay(base, 100, records);
  shape.options.body_size = bytes;
  return shape;
}

Shape ingest(BenchOptions options, unsigned connections, unsigned instances = 100,
             std::size_t body_size = 0) {
  options = timed(std::move(options));
  options.connections = connections;
  options.instances = instances;
  options.body_size = body_size;
  return {bench_ingest, std::move(options)};
}

Shape e2e(BenchOptions options, double rate) {
  options = timed(std::move(options));
  options.connections = 64;
  options.rate = rate;
  return {bench_e2e, std::move(options)};
}

}  // namespace

std::vector<Shape> all_shapes(const BenchOptions& base) {
  std::vector<Shape> shapes;
  for (const unsigned subscriptions : {1U, 12U, 50U, 100U, 1000U, 100'000U}) {
    shapes.push_back(relay(base, subscriptions, kBacklog));
  }
  for (const unsigned inflight : {256U, 1024U}) shapes.push_back(relay_in_flight(base, inflight));
  shapes.push_back(relay_slow(base, std::chrono::milliseconds(20), 256, 50'000));
  shapes.push_back(relay_slow(base, std::chrono::milliseconds(200), 1024, 20'000));
  shapes.push_back(relay_bodies(base, 256, kBacklog));
  shapes.push_back(relay_bodies(base, 16U << 10U, 20'000));
  shapes.push_back(relay(base, 100, 0));
  for (const unsigned connections : {1U, 16U, 64U, 256U, 1000U}) {
    shapes.push_back(ingest(base, connections));
  }
  shapes.push_back(ingest(base, 256, 100, 256));
  shapes.push_back(ingest(base, 256, 100, 16U << 10U));
  shapes.push_back(ingest(base, 256, 100'000));
  for (const double rate : {1000.0, 5000.0}) shapes.push_back(e2e(base, rate));
  return shapes;
}

std::vector<Shape> short_shapes(const BenchOptions& base) {
  return {relay(base, 1, 50'000), relay(base, 100, 50'000), ingest(base, 64), e2e(base, 2000)};
}

}  // namespace eventrelay::bench
