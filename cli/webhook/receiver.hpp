// A callback endpoint on loopback: takes deliveries and reports each one to its owner.
//
// Owner:   `eventrelay listen` and `eventrelay dev`.
// Thread:  one loop, given at construction.
// Bounds:  1024 connections, bodies of 32 MiB.
// Errors:  std::runtime_error if it cannot listen.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/http/types.hpp"

namespace eventrelay::cli {

// One request that came in.
struct Delivery {
  std::string method;
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::uint64_t number = 0;  // 1 for the first
  int answered = 0;          // status it got
};

struct ReceiverOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;  // 0: the kernel chooses
  int status = 200;
  std::chrono::milliseconds delay{0};
  std::uint64_t fail_first = 0;  // that many requests get 503
};

// Thread: its loop.  Bounds: as above.
class Receiver {
 public:
  using OnDelivery = std::function<void(const Delivery&)>;

  Receiver(Executor executor, const ReceiverOptions& options, OnDelivery on_delivery);
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;
  ~Receiver();

  [[nodiscard]] std::uint16_t port() const noexcept;
  // Stops listening and closes every connection.
  void close();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace eventrelay::cli
