// Keep-alive connections per endpoint, newest first, and the one timer for all deadlines of the
// shard.
//
// Why:     a handshake costs more than a delivery; the connection used last is the warmest and
//          the surplus ages out. One look at all deadlines replaces a timer per operation. Requests
//          that are ready together leave together: waking the other side costs about as much as a
//          write.
// Owner:   the shard.  Thread: shard thread.
// Bounds:  PoolOptions; a connection over the idle bound is closed instead of kept.
// Errors:  every exchange gets exactly one on_done(), never inside start().
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "common/http/client_tls.hpp"
#include "common/http/types.hpp"
#include "relay/http/address_order.hpp"
#include "relay/http/connection.hpp"
#include "relay/http/pool_slot.hpp"
#include "relay/http/resolver.hpp"

namespace eventrelay::relay {

// Two requests may share a connection only if all of this is equal. Bounds: as a callback URL.
struct EndpointKey {
  bool tls = true;
  bool allow_private = false;  // addresses that are not public may be dialled
  bool port_allowed = true;
  std::uint16_t port = 0;
  std::string host;  // ASCII lower case, no brackets
  std::string ca_file;
  std::string client_cert;

  friend auto operator<=>(const EndpointKey&, const EndpointKey&) = default;
};

// One endpoint and its idle connections. Bounds: idle_per_endpoint.
struct Endpoint {
  EndpointKey key;
  std::shared_ptr<TlsContext> tls;  // null for http, or if its files can not be used
  std::vector<Connection*> idle;    // last used at the back
  AddressMemory memory;

  // False if a single one of them may not be dialled.
  [[nodiscard]] bool allows(const Addresses& addresses) const;
};

struct PoolOptions {
  Duration lookup_timeout = std::chrono::seconds(30);      // not the endpoint's time
  Duration connect_timeout = std::chrono::seconds(5);      // TCP, each address
  Duration next_address = std::chrono::milliseconds(250);  // RFC 8305 5: then one more is dialled
  Duration tls_timeout = std::chrono::seconds(5);
  Duration deadline_check = std::chrono::milliseconds(50);  // how late one may be noticed
  std::uint32_t idle_per_endpoint = 256;
  std::size_t idle_in_all = 2048;  // 16 KiB of address space each, one page of it touched
  PoolConfig slot;
};

// What the pool has seen since start.
struct PoolStats {
  std::uint64_t dials = 0;
  std::uint64_t stale = 0;  // requests sent again because a kept connection turned out closed
};

// Thread: shard thread.  Bounds: see the head of this file.
class HttpPool {
 public:
  HttpPool(const Executor& executor, Resolver& resolver, const PoolOptions& options);
  HttpPool(const HttpPool&) = delete;
  HttpPool& operator=(const HttpPool&) = delete;
  ~HttpPool();

  // Blocks on the CA and certificate files if they are new. Files that can not be used are
  // logged, and every attempt then ends as `tls`.
  [[nodiscard]] std::shared_ptr<Endpoint> endpoint(const EndpointKey& key);
  // Composes and sends `exchange` behind what is ready now; its deadline and delivery must be set.
  void start(const std::shared_ptr<Endpoint>& endpoint, Exchange& exchange);
  // Closes the connection it is on; it ends without on_done(). Pre: it is under way.
  void cancel(const Exchange& exchange);
  // Closes every connection. Exchanges under way end without on_done().
  void shutdown();

  [[nodiscard]] const PoolStats& stats() const noexcept { return stats_; }
  [[nodiscard]] std::size_t connections() const noexcept { return connections_.size(); }
  [[nodiscard]] std::size_t idle() const noexcept { return idle_; }

 private:
  friend class Connection;

  [[nodiscard]] const PoolOptions& options() const noexcept { return options_; }
  [[nodiscard]] const Executor& executor() const noexcept { return executor_; }
  // As of the last look at the deadlines, or dial: good enough for a date in whole seconds.
  [[nodiscard]] WallTime wall() const noexcept { return wall_; }
  [[nodiscard]] std::shared_ptr<TlsContext> tls_for(const EndpointKey& key);
  void open(const std::shared_ptr<Endpoint>& endpoint, Exchange& exchange);

  // From connections:
  // Leads to resolved(), maybe at once.
  void look_up(Connection& connection);
  // An exchange ended. True: it waits for the next one; false: close it.
  [[nodiscard]] bool keep(Connection& connection, PoolSlot& slot, bool reusable);
  // Writes after what is ready now has been handled, together with what others write until then.
  void write_later(Connection& connection);
  // Arms its read a round after what is written then.
  void arm_later(Connection& connection);
  void post_round();
  void round();
  void forget_idle(Connection& connection);
  void remove(Connection& connection);
  // The kept connection was dead, and is closed.
  void dial_again(const std::shared_ptr<Endpoint>& endpoint, Exchange& exchange);

  // One is due then.
  void look_at(TimePoint due) noexcept { look_due_ = std::min(look_due_, due); }
  void arm_deadline_check();
  void check_deadlines(TimePoint now);

  Executor executor_;
  Resolver& resolver_;
  PoolOptions options_;
  std::map<EndpointKey, std::weak_ptr<Endpoint>> endpoints_;
  std::map<std::pair<std::string, std::string>, std::weak_ptr<TlsContext>> contexts_;
  std::vector<boost::intrusive_ptr<Connection>> connections_;
  // Of the next round: those to write, those to read from, and those of the round behind it.
  std::vector<boost::intrusive_ptr<Connection>> to_write_;
  std::vector<boost::intrusive_ptr<Connection>> to_arm_;
  std::vector<boost::intrusive_ptr<Connection>> to_arm_then_;
  std::vector<boost::intrusive_ptr<Connection>> taken_;  // scratch
  bool round_posted_ = false;
  std::size_t idle_ = 0;
  PoolStats stats_;
  Timer timer_;
  TimePoint now_{};                        // as of the last look at the deadlines, or dial
  WallTime wall_{};                        // likewise
  TimePoint look_due_ = TimePoint::max();  // no connection is overdue before
  TimePoint purge_due_{};
  std::uint64_t numbers_ = 0;
  bool check_armed_ = false;
  bool shut_ = false;
};

}  // namespace eventrelay::relay
