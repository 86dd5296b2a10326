// A callback that takes everything at once: one thread, one epoll loop, 200 with no body.
//
// Why:     a relay can only be measured against an endpoint that is never the limit.
// Thread:  owns its thread; counts may be read from any.
// Bounds:  loopback only; 4096 connections; requests up to 64 KiB.
// Errors:  std::runtime_error if it cannot listen.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

namespace eventrelay::bench {

// Thread: any for counts and port.  Bounds: as above.
class Sink {
 public:
  explicit Sink(std::uint16_t port = 0);
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
  std::atomic<std::uint64_t> requests_{0};
  std::atomic<std::uint64_t> unsigned_{0};
  std::unique_ptr<Loop> loop_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace eventrelay::bench
