// Threads and lives: one loop per shard, one control thread, signals, and one drain deadline.
//
//   control thread: signals, admin listener, reload      shard threads: everything per event
//
// Why:     shards share immutable settings and nothing else; whatever is shared lives here.
// Thread:  stated per member.
// Bounds:  256 shards; drain ends at its deadline whatever happens.
// Errors:  StartError before the first accept; after it, none.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "common/config_load.hpp"
#include "common/http/types.hpp"
#include "common/metrics.hpp"

namespace eventrelay {

// A program could not start; what() is one line that names what, where and the way out.
// Thread: any.  Bounds: one line.
class StartError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// One pinned thread and its io_context(1). A throw out of a handler is counted and logged, and
// the loop goes on. Thread: post() and stop() from any, the rest from the owner.
// Bounds: one thread.
class ShardLoop {
 public:
  ShardLoop(unsigned index, metrics::Slab& slab);
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
  // Runs `work` on the shard's thread and waits for it; must not be called from a shard.
  void call(const std::function<void()>& work);
  // Lets the loop return once its current handler ends.
  void stop();
  void join();

 private:
  void run();

  unsigned index_;
  metrics::Slab& slab_;
  asio::io_context context_{1};
  asio::executor_work_guard<Executor> work_;
  Timer lag_timer_;
  TimePoint lag_due_{};
  std::thread thread_;
};

// Shards to run: `configured`, or one per available core when it is 0.
[[nodiscard]] unsigned shard_count(unsigned configured) noexcept;

// What a program runs: ingest, relay, or both side by side in `eventrelay dev`.
// Thread: control thread, except not_ready(), status() and exporter(), which any thread may call.
class Service {
 public:
  virtual ~Service() = default;

  [[nodiscard]] virtual std::string_view name() const noexcept = 0;  // ingest or relay
  // Throws StartError. Returns once the service has begun to work; readiness may come later.
  virtual void start(std::shared_ptr<const Settings> settings) = 0;
  // Address that serves the public port, with the real port; empty for the relay.
  [[nodiscard]] virtual std::string listen() const = 0;
  // Reasons why the service is not ready; empty = ready. Any thread.
  [[nodiscard]] virtual std::vector<std::string> not_ready() const = 0;
  // Swaps the settings in every shard; nothing is half applied.
  virtual void reload(std::shared_ptr<const Settings> settings) = 0;
  // Begins an orderly end; `done` runs on any thread when nothing is left to do.
  virtual void drain(std::function<void()> done) = 0;
  // The longest a drain may take; after it the process ends anyway.
  [[nodiscard]] virtual Duration drain_limit() const = 0;
  // Ends the shards; after drain or at its deadline.
  virtual void stop() = 0;
  // One JSON object. Any thread.
  [[nodiscard]] virtual std::string status() const = 0;
  [[nodiscard]] virtual metrics::Exporter& exporter() noexcept = 0;
};

using ServiceFactory = std::function<std::unique_ptr<Service>()>;

// A whole program: flags, configuration, logs, signals, admin listener, drain. Returns the exit
// code: 0 ok, 1 runtime, 2 usage, 78 bad configuration.
[[nodiscard]] int run_service(int argc, char** argv, std::string_view program,
                              const ServiceFactory& factory);

}  // namespace eventrelay
