// A bounded HTTP load on a loopback address: closed loop, or open loop at a fixed rate.
//
// Why:     a closed loop hides queueing: it sends less while the server is late. The open loop
//          sends by the clock and counts latency from the moment at which a request was due.
// Thread:  run_load() blocks its caller; one epoll loop, no other thread.
// Bounds:  ends at `duration` or `count`; refuses any address outside 127.0.0.0/8.
// Errors:  std::runtime_error for an unusable target; answers other than 2xx are counted.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "bench/load/histogram.hpp"
#include "bench/load/requests.hpp"

namespace eventrelay::bench {

struct LoadOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;
  unsigned connections = 64;
  double rate = 0;     // requests/s over all connections; 0 = closed loop
  Duration warm_up{};  // not counted, part of `duration`
  Duration duration = std::chrono::seconds(10);
  Duration patience{};                    // with what is under way when the time is up
  std::size_t first = 0;                  // of the requests, that the run begins with
  std::uint64_t count = 0;                // 0 = until the time is up
  std::function<void()> on_measure;       // called once when the warm-up is over
  std::vector<TimePoint>* due = nullptr;  // when request i was due, for latencies beyond the answer
  std::uint64_t* accepted = nullptr;      // added to with each 2xx, in the warm-up as well
};

struct LoadResult {
  std::uint64_t sent = 0;
  std::uint64_t accepted = 0;  // 2xx
  std::map<int, std::uint64_t> by_status;
  std::uint64_t broken = 0;  // connections that ended in mid-request
  std::uint64_t late = 0;    // due requests that found no free connection in time
  double seconds = 0;        // measured span
  Histogram latency;
};

[[nodiscard]] LoadResult run_load(const Requests& requests, const LoadOptions& options);

}  // namespace eventrelay::bench
