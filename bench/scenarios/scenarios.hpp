// The load tests of the product: each starts the shipped programs, loads them, and reports.
//
// Thread:  blocks its caller.  Bounds: rounds x durations; loopback only.
// Errors:  std::runtime_error with one line.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "bench/scenarios/report.hpp"

namespace eventrelay::bench {

struct BenchOptions {
  std::string kafka;           // HOST:PORT of a real broker on loopback
  unsigned connections = 256;  // relay: 64
  double rate = 0;             // open loop, requests/s; 0 = closed, then half
  Duration warm_up = std::chrono::seconds(2);
  Duration duration = std::chrono::seconds(10);  // of one measured span
  unsigned rounds = 2;                           // product and limit in turn
  std::uint64_t records = 500'000;               // relay: waiting in Kafka before the start
  std::string compare;  // relay: KEY=VALUE of one more run per round, beside that without it
  unsigned subscriptions = 100;  // relay: that the records are for, in turn
  unsigned inflight = 0;         // relay: requests in flight at once; 0 = as many as connections
  Duration endpoint_delay{};     // relay: before the endpoint answers
  int partitions = 12;
  unsigned shards = 1;
  double ratio_max = 0;  // objective; 0 = none stated
  double p99_max_ms = 0;
  std::function<void(const std::string&)> progress;  // one line per step
};

[[nodiscard]] Report bench_ingest(const BenchOptions& options);
[[nodiscard]] Report bench_relay(const BenchOptions& options);
[[nodiscard]] Report bench_e2e(const BenchOptions& options);

}  // namespace eventrelay::bench
