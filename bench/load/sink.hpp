// A callback endpoint that answers every request with an empty 200, at once or after a fixed delay,
// in one epoll loop.
//
// Why:     a relay is measured rightly only against an endpoint that is faster than it.
// Thread:  owns its thread; counts may be read from any.
// Bounds:  loopback only; 4096 connections; requests up to 64 KiB.
// Errors:  std::runtime_error if it cannot listen.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "common/base/clock.hpp"

namespace eventrelay::bench {

// When each event of a bench run arrived first, in monotonic ns; 0 = not yet.
// Thread: written by the sink, read by any.  Bounds: fixed at construction.
using Arrivals = std::vector<std::atomic<std::int64_t>>;

// Thread: any for counts and port.  Bounds: as above.
class Sink {
 public:
  // Answers each request after `delay`.
  explicit Sink(std::uint16_t port = 0, Arrivals* arrivals = nullptr, Duration delay = {});
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  ~Sink();

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] std::uint64_t requests() const noexcept {
    return requests_.load(std::memory_order_relaxed);
  }
  // Requests that carried no signature header of ours; must stay 0.
  [[nodiscard]] std::uint64_t unsigned_requests() const noexcept {
    return unsigned_.load(std::memory_order_relaxed);
  }

 private:
  class Loop;
  Arrivals* arrivals_;
  Duration delay_;
  std::atomic<std::uint64_t> requests_{0};
  std::atomic<std::uint64_t> unsigned_{0};
  std::uint16_t port_ = 0;  // before the loop, whose constructor sets it
  std::unique_ptr<Loop> loop_;
  std::thread thread_;
};

}  // namespace eventrelay::bench
