// The stand-in Box on a socket: serves its world over HTTP and calls its webhooks.
//
// Owner:   `eventrelay provider box` and `dev`.  Thread: its loop.
// Bounds:  256 connections, bodies of 1 MiB.
// Errors:  std::runtime_error if it can not listen.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cli/provider/box_world.hpp"
#include "common/http/types.hpp"

namespace eventrelay::cli {

// Thread: its loop.
class BoxServer {
 public:
  // `listen` is host:port; port 0 lets the kernel choose.
  BoxServer(Executor executor, const std::string& listen, BoxOptions options);
  BoxServer(const BoxServer&) = delete;
  BoxServer& operator=(const BoxServer&) = delete;
  ~BoxServer();

  // host:port
  [[nodiscard]] std::string address() const;
  void close();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace eventrelay::cli
