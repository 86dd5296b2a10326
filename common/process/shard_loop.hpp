// One shard's thread and loop.
//
// Why:     a shard owns everything it touches, so nothing on the data plane is locked.
// Thread:  stated per member.
// Bounds:  one thread; 256 shards.
// Errors:  a throw out of a handler is a bug: counted, logged, and the loop goes on.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <functional>
#include <thread>

#include "common/http/types.hpp"
#include "common/observe/metrics.hpp"

namespace eventrelay {

// Whether a shard's thread is bound to one core. `PerCore` binds shard i to the i-th core this
// process may use: right when there is one shard per core, wrong when few shards of several
// processes would meet on the first core.
enum class Placement : std::uint8_t { Free, PerCore };

// Shards to run: `configured`, or one per available core when it is 0.
[[nodiscard]] unsigned shard_count(unsigned configured) noexcept;
// PerCore if `shards` is at least the number of available cores.
[[nodiscard]] Placement placement_of(unsigned shards) noexcept;

// One thread and its io_context(1). Threads made by a bound thread are bound too: make Kafka
// handles on the control thread.
// Thread: post() and stop() from any, the rest from the owner.  Bounds: one thread.
class ShardLoop {
 public:
  ShardLoop(unsigned index, metrics::Slab& slab, Placement placement = Placement::Free);
  ShardLoop(const ShardLoop&) = delete;
  ShardLoop& operator=(const ShardLoop&) = delete;
  ~ShardLoop();

  [[nodiscard]] asio::io_context& context() noexcept { return context_; }
  [[nodiscard]] Executor executor() noexcept { return context_.get_executor(); }
  [[nodiscard]] metrics::Slab& slab() noexcept { return slab_; }
  [[nodiscard]] unsigned index() const noexcept { return index_; }

  void start();
  // Runs `work` on the shard's thread, later. Any thread.
  void post(std::function<void()> work);
  // Runs `work` on the shard's thread and waits for it; what it throws is thrown here. Must not be
  // called from a shard. On a loop that does not run, `work` runs on the caller's thread.
  void call(const std::function<void()>& work);
  // Lets the loop return once its current handler ends.
  void stop();
  void join();

 private:
  void run();
  void watch_lag();

  unsigned index_;
  Placement placement_;
  metrics::Slab& slab_;
  asio::io_context context_{1};
  asio::executor_work_guard<Executor> work_;
  Timer lag_timer_;
  TimePoint lag_due_{};
  TimePoint lag_window_end_{};
  Duration lag_worst_{};           // of the current window
  Duration lag_worst_previous_{};  // of the window before it
  std::thread thread_;
};

}  // namespace eventrelay
