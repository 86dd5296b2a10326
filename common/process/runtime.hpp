// Threads and lives: one loop per shard, one control thread, signals, and one drain deadline.
//
//   control thread: signals, admin listener, reload      shard threads: everything per event
//
// Why:     shards share immutable settings and nothing else; whatever is shared lives here.
// Thread:  stated per member.
// Bounds:  256 shards; drain ends at its deadline whatever happens.
// Errors:  StartError before the first accept; after it, none.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/start_error.hpp"
#include "common/observe/metrics.hpp"
#include "common/process/shard_loop.hpp"
#include "common/registry/settings.hpp"
#include "common/trace/tracing.hpp"

namespace eventrelay {

class AdminServer;
class HostExtension;

// What a program runs: ingest, relay, or both side by side in `eventrelay dev`.
// Thread: control thread, except not_ready(), status() and exporter(), which any thread may call.
class Service {
 public:
  virtual ~Service() = default;

  [[nodiscard]] virtual std::string_view name() const noexcept = 0;  // ingest or relay
  // False: it starts whether brokers answer or not.
  [[nodiscard]] virtual bool needs_brokers() const { return true; }
  // Throws StartError. Returns once the service has begun to work; readiness may come later.
  virtual void start(std::shared_ptr<const Settings> settings) = 0;
  // Address that serves the public port, with the real port; empty for the relay.
  [[nodiscard]] virtual std::string listen() const = 0;
  // Reasons why the service is not ready; empty = ready. Any thread.
  [[nodiscard]] virtual std::vector<std::string> not_ready() const = 0;
  // Bytes that `settings` let it take: events, the buffers of the Kafka client, and itself. Any
  // thread.
  [[nodiscard]] virtual std::uint64_t memory_wanted(const Settings& settings) const {
    static_cast<void>(settings);
    return kProgramBytes;
  }
  // What a service takes beside its events: program, libraries, threads; measured 20 to 40 MiB.
  static constexpr std::uint64_t kProgramBytes = 48U << 20;
  // Threads that serve; 0 before start(). Any thread.
  [[nodiscard]] virtual unsigned shards() const noexcept { return 0; }
  // How long the slowest shard's loop has not come round. Any thread.
  [[nodiscard]] virtual Duration silent_for() const noexcept { return Duration::zero(); }
  // Takes new settings in every shard, touching what changed and nothing else. Throws, with the
  // reason, before anything has changed.
  virtual void use(const UpdatePtr& update) = 0;
  // Begins an orderly end; `done` runs on any thread when nothing is left to do.
  virtual void drain(std::function<void()> done) = 0;
  // The longest a drain may take; after it the process ends anyway.
  [[nodiscard]] virtual Duration drain_limit() const = 0;
  // Ends the shards; after drain or at its deadline.
  virtual void stop() = 0;
  // One JSON object. Any thread.
  [[nodiscard]] virtual std::string status() const = 0;
  [[nodiscard]] virtual metrics::Exporter& exporter() noexcept = 0;
  // What to call, from any thread, when the service can not go on: the process logs the reason,
  // drains, and ends with 1. Given before start().
  virtual void set_failed(std::function<void(std::string)>) {}
  // Where its threads put spans; null: tracing is off. Given before start().
  virtual void set_tracing(trace::TracingPtr) {}
  // Now and then on the control thread, about once a second: what has to be tried again.
  virtual void on_second() {}
  // Adds the service's own paths to the admin listener; called before start().
  virtual void mount(AdminServer&) {}
};

using ServiceFactory = std::function<std::unique_ptr<Service>()>;

// A whole program: flags, configuration, logs, signals, admin listener, drain. Returns the exit
// code: 0 ok, 1 runtime, 2 usage, 78 bad configuration. A second SIGTERM or SIGINT ends the process
// at once with 1; a drain that passes drain_limit() ends it with 1 as well.
// `extension` makes what runs beside the service; empty: nothing.
[[nodiscard]] int run_service(
    int argc, char** argv, std::string_view program, const ServiceFactory& factory,
    const std::function<std::unique_ptr<HostExtension>()>& extension = {});

}  // namespace eventrelay
