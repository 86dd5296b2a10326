// Accepts clients on the shard's own SO_REUSEPORT socket.
//
// Why:     the kernel spreads connections over the shards, so nothing is handed between threads.
// Owner:   the shard, one listener per address.  Thread: shard-local, but open() runs before the
//          loop does.
// Bounds:  accepts while the pool has room; a queue of kBacklog waits in the kernel.
// Errors:  StartError from open(); out of descriptors pauses for kAcceptPause and is counted; what
//          is thrown while a client is adopted costs that client and is counted.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/http/types.hpp"
#include "common/observe/metrics.hpp"
#include "ingest/session_pool.hpp"

namespace eventrelay::ingest {

// Shards of one process share a port; two processes never do: the first shard binds alone, and only
// when it listens does it let the others of the same process join.
enum class Port : std::uint8_t { Take, Join };

inline constexpr int kBacklog = 4096;
inline constexpr std::chrono::milliseconds kAcceptPause{50};

// Thread: shard-local.  Bounds: see above.
class Listener {
 public:
  Listener(Executor executor, SessionPool& pool, metrics::Counter& accepted);

  // Binds and listens. Port 0 takes any; `endpoint()` tells which.
  void open(const Tcp::endpoint& endpoint, Port port);
  [[nodiscard]] Tcp::endpoint endpoint() const;
  void start() { resume(); }
  // Accepts again if an exception has ended that; does nothing while it goes on.
  void resume();
  // Takes the clients that wait in the queue already, then closes.
  void stop();
  // How often accepting or adopting failed, e.g. for want of descriptors or memory.
  [[nodiscard]] std::uint64_t failures() const noexcept { return failures_; }

 private:
  void accept();
  void on_accepted(ErrorCode error, Socket socket);
  void pause();
  void fail(std::string_view reason) noexcept;
  void adopt(Socket socket);

  SessionPool& pool_;
  metrics::Counter& accepted_;
  Acceptor acceptor_;
  Timer pause_;
  bool armed_ = false;  // accepting, or pausing before it
  std::uint64_t failures_ = 0;
};

}  // namespace eventrelay::ingest
