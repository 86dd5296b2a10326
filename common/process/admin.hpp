// The admin listener: probes, metrics, reload, status and what a service adds, on an own port.
//
//   accept -> head -> Router -> body -> handler -> answer -> next request
//
// Why:     probes and scrapes must answer while the public port is closed or full.
// Owner:   ServiceHost.  Thread: control thread.
// Bounds:  AdminLimits; a route bounds its body and the time until its answer.
// Errors:  StartError when the address cannot be taken; later ones end one connection.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/http/router.hpp"
#include "common/http/types.hpp"

namespace eventrelay {

struct AdminLimits {
  std::size_t header_max = 8U * 1024;
  // A further client takes the place of the connection that waits longest for its client, among
  // those of the address that has most.
  std::size_t connections_max = 64;
  std::chrono::milliseconds head_timeout{3'000};  // from the accept to the end of the first head
  std::chrono::milliseconds request_timeout{10'000};  // each later head, each body, each answer
  // So many 401 a minute are answered to an address at once, each further one after `slow_down`.
  std::size_t refusals_per_minute = 10;
  std::chrono::milliseconds slow_down{1'000};
};

// Accepts, reads, routes, answers; keep-alive, pipelining and HEAD included.
// Thread: control.  Bounds: AdminLimits.
class AdminServer {
 public:
  AdminServer(asio::io_context& control, AdminLimits limits = {});
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;
  ~AdminServer();

  // One more row; before or after open().
  void add(Route route);
  // Who may call what; at start and on reload. `loopback` is the listener's affair.
  void set_policy(AccessPolicy policy);
  // Called for each request that is refused for its token.
  void set_on_refused(std::function<void()> count);
  // Begins to serve. Throws StartError.
  void open(std::string_view address);
  // Address with the real port; empty before open().
  [[nodiscard]] std::string address() const;
  // Ends listener and connections.
  void close();

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace eventrelay
