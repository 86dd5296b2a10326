// The load tests of the product: each starts the shipped programs and their limits in turn, loads
// them, and reports.
//
// Thread:  blocks its caller.  Bounds: rounds x durations; loopback only; what does not fit the
//          memory that is free is refused.
// Errors:  std::runtime_error with one line.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/scenarios/report.hpp"

namespace eventrelay::bench {

// A build of the product: what its rows are called beside, and the folder of its programs.
struct Build {
  std::string name;    // empty: this one
  std::string folder;  // empty: beside this program
};

struct BenchOptions {
  std::string kafka;  // HOST:PORT of a real broker on loopback
  // Of clients; relay: of the limit programs, 0 = as many as the relay may use.
  unsigned connections = 256;
  double rate = 0;  // open loop, requests/s; 0 = closed, then half
  Duration warm_up = std::chrono::seconds(2);
  Duration duration = std::chrono::seconds(10);  // of one measured span
  unsigned rounds = 2;                           // product and limits in turn
  std::uint64_t records = 500'000;  // relay: waiting in Kafka before the start; 0 = they come at
                                    // `rate` while it runs
  std::string compare;  // relay: KEY=VALUE of one more run per round, beside that without it
  unsigned subscriptions = 100;  // relay: that the records are for, in turn
  unsigned instances = 100;      // ingest, e2e: that the requests are for, in turn
  unsigned inflight = 64;        // relay: requests in flight at once
  Duration endpoint_delay{};     // relay: before the endpoint answers
  std::size_t body_size = 0;     // bytes; 0: the provider's example
  int partitions = 12;
  unsigned shards = 1;
  double ratio_max = 0;  // objective; 0 = none stated
  double p99_max_ms = 0;
  bool limits = true;  // run the limit programs as well
  std::vector<Build> builds{{}};
  std::function<void(const std::string&)> progress = [](const std::string&) {};
  // Called when nothing of the run is refused, before its first round.
  std::function<void()> ready = [] {};
};

[[nodiscard]] Report bench_ingest(const BenchOptions& options);
[[nodiscard]] Report bench_relay(const BenchOptions& options);
[[nodiscard]] Report bench_e2e(const BenchOptions& options);

using Scenario = Report (*)(const BenchOptions&);

}  // namespace eventrelay::bench
