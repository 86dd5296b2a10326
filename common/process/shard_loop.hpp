// One shard's thread and loop.
//
// Why:     a shard owns everything it touches, so nothing on the data plane is locked.
// Thread:  stated per member.
// Bounds:  one thread; 256 shards.
// Errors:  a throw out of a handler is counted and logged, and the loop goes on; silent_for() tells
//          when it does not.
#pragma once

#include <atomic>
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

// Shards to run: `configured`, or when it is 0 one per core of the affinity mask, at most the CPU
// quota of the control group rounded up.
[[nodiscard]] unsigned shard_count(unsigned configured) noexcept;
// PerCore if `shards` is at least the number of cores in the affinity mask.
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
  // Runs on the shard's thread after each exception, to begin anew what that may have ended (a
  // timer, an accept). Called from the shard's thread.
  void set_on_exception(std::function<void()> recover) { recover_ = std::move(recover); }
  // How long ago the loop has last come round, as its timer of 100 ms tells; zero before start().
  // Any thread.
  [[nodiscard]] Duration silent_for() const noexcept;
  // Lets the loop return once its current handler ends.
  void stop();
  void join();

 private:
  void run();
  void watch_lag();
  void on_lag_timer();
  void on_exception(const char* what) noexcept;

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
  bool lag_armed_ = false;
  std::function<void()> recover_;
  std::atomic<std::int64_t> turned_ns_{0};  // when the loop last came round; 0: not started
  std::thread thread_;
};

}  // namespace eventrelay
