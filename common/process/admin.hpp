// The admin listener: health, readiness, metrics, version, reload and status, on a port of its own.
//
//   /healthz /readyz                       open to all
//   /metrics /version /-/reload /api/v1/.. need the bearer token, if one is configured
//   what a service mounts                  as the mount says
//
// Why:     probes and scrapes must answer while the public port is closed or full.
// Owner:   ServiceHost.  Thread: control thread.
// Bounds:  64 connections, 8 KiB of header, 64 KiB of body, 10 s per request.
// Errors:  StartError when the address cannot be taken; later ones end one connection.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/secret.hpp"
#include "common/http/types.hpp"

namespace eventrelay {

// One request, whole. Thread: control.  Bounds: AdminLimits; the views live
// until the answer is complete.
struct AdminRequest {
  std::string_view method;         // HEAD is handed on as GET
  std::string_view path;           // target up to `?`
  std::string_view query;          // after `?`
  std::string_view authorization;  // the header as sent
  std::string_view content_type;
  std::string_view accept;
  std::string_view body;
  std::string_view peer;  // address of the caller, without its port
};

// Its answer. Thread: control.  Bounds: set by who makes it.
struct AdminResponse {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // Allow, WWW-Authenticate, ...
};

using AdminHandler = std::function<Task<AdminResponse>(const AdminRequest&)>;

// Who may call a mounted path: `Token` as /metrics; `Own`: the handler judges by itself.
enum class AdminAccess : std::uint8_t { Token, Own };

// Thread: immutable.  Bounds: these are they.
struct AdminLimits {
  std::size_t header_max = 8U * 1024;
  std::size_t body_max = 64U * 1024;
  std::size_t connections_max = 64;
  std::chrono::milliseconds request_timeout{10'000};
};

// Accepts, reads, dispatches by path, answers; keep-alive, pipelining and HEAD included.
// Thread: control.  Bounds: AdminLimits.
class AdminServer {
 public:
  AdminServer(asio::io_context& control, AdminLimits limits = {});
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;
  ~AdminServer();

  // The handler answers `prefix` and all below it (`/console` also `/console/x`); the longest
  // prefix wins. Its own methods, 404 and 405 are its affair. Before or after open().
  void mount(std::string prefix, AdminAccess access, AdminHandler handler);
  // Replaces the token; at start and on reload.
  void set_token(std::optional<Secret> token);
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

// {"message": ...} with `status`.
[[nodiscard]] AdminResponse admin_error(unsigned status, std::string_view message);

}  // namespace eventrelay
