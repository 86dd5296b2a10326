#include "common/process/shard_loop.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <future>
#include <vector>

#include "common/base/assert.hpp"
#include "common/observe/log.hpp"
#include "common/process/cgroup.hpp"

namespace eventrelay {

namespace {

constexpr unsigned kShardsMax = 256;
constexpr std::chrono::milliseconds kLagInterval{100};
// Two windows together outlast a usual scrape interval, so that no scrape misses the worst.
constexpr std::chrono::seconds kLagWindow{10};
constexpr std::chrono::milliseconds kStoppedCheck{20};

// Cores this process may run on, in ascending order.
std::vector<int> available_cores() {
  std::vector<int> cores;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(static_cast<std::size_t>(core), &set)) cores.push_back(core);
  }
  return cores;
}

unsigned cores_in_mask() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::clamp(static_cast<unsigned>(CPU_COUNT(&set)), 1U, kShardsMax);
}

// A core that cannot be taken costs speed, not correctness: told, then left as it is.
void bind_to_core(unsigned index) {
  const std::vector<int> cores = available_cores();
  if (cores.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  const int core = cores[index % cores.size()];
  CPU_SET(static_cast<std::size_t>(core), &set);
  const int error = pthread_setaffinity_np(pthread_self(), sizeof set, &set);
  if (error != 0) {
    log::warn("shard is not bound to its core",
              {{"shard", index}, {"core", core}, {"errno", error}});
  }
}

void name_thread(unsigned index) {
  const std::string name = "shard-" + std::to_string(index);  // at most 15 characters
  pthread_setname_np(pthread_self(), name.c_str());
}

double seconds(Duration duration) noexcept {
  return std::chrono::duration<double>(duration).count();
}

// One call() in progress: the thread that claims it runs it.
struct PendingCall {
  std::atomic<bool> claimed{false};
  std::promise<void> done;

  void run(const std::function<void()>& work) {
    if (claimed.exchange(true)) return;
    try {
      work();
      done.set_value();
    } catch (...) {
      done.set_exception(std::current_exception());
    }
  }
};

}  // namespace

unsigned shard_count(unsigned configured) noexcept {
  if (configured != 0) return std::min(configured, kShardsMax);
  static const CgroupLimits kLimits = cgroup_limits();
  return std::clamp(usable_cores(cores_in_mask(), kLimits), 1U, kShardsMax);
}

// A quota says how much, not where: shards below it are left to the kernel, or those of several
// containers would meet on the first cores.
Placement placement_of(unsigned shards) noexcept {
  return shards >= cores_in_mask() ? Placement::PerCore : Placement::Free;
}

ShardLoop::ShardLoop(unsigned index, metrics::Slab& slab, Placement placement)
    : index_(index),
      placement_(placement),
      slab_(slab),
      work_(context_.get_executor()),
      lag_timer_(context_.get_executor()) {}

ShardLoop::~ShardLoop() {
  stop();
  join();
}

void ShardLoop::start() {
  EVENTRELAY_ASSERT(!thread_.joinable());
  thread_ = std::thread([this] { run(); });
}

void ShardLoop::post(std::function<void()> work) {
  asio::post(context_, std::move(work));
}

void ShardLoop::call(const std::function<void()>& work) {
  EVENTRELAY_ASSERT(std::this_thread::get_id() != thread_.get_id());
  if (!thread_.joinable()) return work();
  const auto pending = std::make_shared<PendingCall>();
  std::future<void> done = pending->done.get_future();
  // A copy of `work`: the handler may outlive this call if the loop has stopped.
  asio::post(context_, [pending, work] { pending->run(work); });
  while (done.wait_for(kStoppedCheck) != std::future_status::ready) {
    if (!context_.stopped()) continue;
    join();
    pending->run(work);
  }
  done.get();
}

void ShardLoop::stop() {
  context_.stop();
}

void ShardLoop::join() {
  if (thread_.joinable()) thread_.join();
}

Duration ShardLoop::silent_for() const noexcept {
  const std::int64_t turned = turned_ns_.load(std::memory_order_relaxed);
  return turned == 0 ? Duration::zero() : monotonic_now().time_since_epoch() - Duration{turned};
}

void ShardLoop::run() {
  name_thread(index_);
  if (placement_ == Placement::PerCore) bind_to_core(index_);
  turned_ns_ = Duration{monotonic_now().time_since_epoch()}.count();
  lag_due_ = monotonic_now() + kLagInterval;
  lag_window_end_ = monotonic_now() + kLagWindow;
  const auto turn = [this] {
    watch_lag();
    context_.run();
  };
  for (;;) {
    try {
      turn();
      return;
    } catch (const std::exception& error) {
      on_exception(error.what());
    } catch (...) {
      on_exception("not std");
    }
  }
}

// Whatever fails in here, for want of memory too, is tried again at the next exception; a loop that
// can not go on falls silent, and its owner ends the process.
void ShardLoop::on_exception(const char* what) noexcept {
  slab_.event_loop_exceptions_total.add();
  try {
    log::error("exception in a shard's loop", {{"shard", index_}, {"what", what}});
    if (recover_) recover_();
  } catch (...) {
    std::this_thread::yield();
  }
}

void ShardLoop::watch_lag() {
  if (lag_armed_) return;
  lag_timer_.expires_at(lag_due_);
  lag_timer_.async_wait([this](ErrorCode error) {
    lag_armed_ = false;
    if (!error) on_lag_timer();
  });
  lag_armed_ = true;
}

void ShardLoop::on_lag_timer() {
  const TimePoint now = monotonic_now();
  turned_ns_.store(Duration{now.time_since_epoch()}.count(), std::memory_order_relaxed);
  lag_worst_ = std::max(lag_worst_, now - lag_due_);
  if (now >= lag_window_end_) {
    lag_worst_previous_ = lag_worst_;
    lag_worst_ = {};
    lag_window_end_ = now + kLagWindow;
  }
  slab_.event_loop_lag_seconds.set(seconds(std::max(lag_worst_, lag_worst_previous_)));
  lag_due_ = now + kLagInterval;
  watch_lag();
}

}  // namespace eventrelay
