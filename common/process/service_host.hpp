// Everything around one service in a process: admin listener, readiness, reload, drain.
//
//   run_service() = flags + signals + one host;  `eventrelay dev` = several hosts on one loop
//
// Why:     the life of a service is the same whether it is alone in its process or not.
// Owner:   main or dev.  Thread: control thread, all members.
// Bounds:  one listener, three timers; a drain ends at the service's limit whatever happens.
// Errors:  StartError from start(); reload() returns what is wrong and keeps the old settings.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/process/admin.hpp"
#include "common/process/file_watch.hpp"
#include "common/process/host_extension.hpp"
#include "common/process/runtime.hpp"
#include "common/registry/feed.hpp"

namespace eventrelay {

// How a drain ended. Thread: value.
enum class Drained : std::uint8_t { Complete, LimitReached };

// What differs between hosts.
struct HostOptions {
  ConfigInput input;          // read again on reload
  std::string admin_default;  // where to listen when admin.listen is empty
  // Runs at start and after each reload that took effect; e.g. sets the log level.
  std::function<void(const Settings&)> on_settings;
  // Answers admin requests (and signals) while the service starts, on a thread of its own:
  // while no broker answers the process must not look as if it hung.
  bool serve_while_starting = false;
  // What runs beside the service; may be null. Outlives the host.
  HostExtension* extension = nullptr;
  // Runs once, when the service has first become ready; the line `ready` is already written.
  std::function<void()> on_ready;
  // Runs around each reload; e.g. tells the service manager.
  std::function<void()> on_reload_begin;
  std::function<void()> on_reload_end;
  // Runs once when a shard has not come round for kStuckLimit: the process can not go on.
  std::function<void(std::string)> on_stuck;
  // Reload when the configuration or a file it names has changed.
  bool watch = false;
};

// One service with its surroundings. Thread: control.  Bounds: one service.
class ServiceHost {
 public:
  // `service` outlives the host. Throws ConfigError for a wrong variable of tracing.
  ServiceHost(asio::io_context& control, Service& service, HostOptions options);
  ServiceHost(const ServiceHost&) = delete;
  ServiceHost& operator=(const ServiceHost&) = delete;
  ~ServiceHost();

  // Opens the admin listener, then starts the service. Throws StartError.
  void start(std::shared_ptr<const Settings> settings);
  // Loads the configuration anew. Nothing: it took effect; else why not, and nothing has changed.
  [[nodiscard]] std::optional<std::string> reload();
  // Instances that came, changed or went, under the same configuration. As reload().
  [[nodiscard]] std::optional<std::string> apply(Changes changes);
  // Not ready from here on. `done` runs once on the control loop, at the latest at drain_limit().
  void drain(std::function<void(Drained)> done);
  // Ends the service's shards and the admin listener.
  void stop();

  [[nodiscard]] AdminServer& admin() noexcept { return admin_; }
  [[nodiscard]] std::string admin_address() const { return admin_.address(); }
  [[nodiscard]] bool started() const noexcept { return started_; }
  [[nodiscard]] bool ready() const noexcept { return ready_; }
  // Why the service, or this host, is not ready.
  [[nodiscard]] std::vector<std::string> reasons() const;
  // The exporter's text after the control thread's own cells are brought up to date.
  [[nodiscard]] std::string metrics();
  // The service's status, with the registry's and the extension's beside it.
  [[nodiscard]] std::string status() const;
  // Whether every shard's loop comes round; what a watchdog wants to know.
  [[nodiscard]] bool is_alive() const;
  // How long stop() may wait for the collector of spans.
  [[nodiscard]] Duration flush_limit() const noexcept;

  // A shard that has not come round for so long makes the service not ready, and ends it.
  static constexpr std::chrono::seconds kSilentLimit{5};
  static constexpr std::chrono::seconds kStuckLimit{30};

 private:
  void mount_routes();
  [[nodiscard]] AccessPolicy access_policy() const;
  void start_service();
  void await_brokers();
  [[nodiscard]] std::shared_ptr<const Settings> load_registry();
  void follow_registry();
  void take_records(const std::vector<RegistryRecord>& records, std::int64_t position);
  void take_changes(const Changes& changes);
  void poll_readiness();
  void on_first_ready();
  void report_not_ready(const std::vector<std::string>& reasons);
  void finish_drain(Drained how);
  void mark_reload(bool took_effect);
  void watch_files();
  void check_alive();
  void warn_of_memory() const;
  [[nodiscard]] std::optional<std::string> take_settings();
  void note_settings();
  [[nodiscard]] std::vector<metrics::ScrapedGauge> gauges() const;

  asio::io_context& control_;
  Service& service_;
  HostOptions options_;
  metrics::Slab& slab_;
  trace::TracingPtr tracing_;  // null: off
  AdminServer admin_;
  Timer readiness_timer_;
  Timer drain_timer_;
  std::optional<FileWatch> file_watch_;
  std::string config_hash_;
  std::map<std::string, WallTime> certificate_ends_;  // by file; at most kCertificatesMax
  int silent_polls_ = 0;  // readiness polls in a row that found a silent shard
  std::shared_ptr<const Settings> settings_;
  std::unique_ptr<RegistryFeed> feed_;  // with registry: topic
  std::vector<RegistryRecord> loaded_;  // until the extension has them
  std::int64_t registry_position_ = 0;  // behind the records that were taken here
  std::function<void(Drained)> drained_;
  TimePoint reported_{};
  std::string reported_reasons_;
  mutable std::mutex waiting_mutex_;  // guards waiting_: the starting thread writes it
  std::string waiting_;               // why no broker answers, while the service starts
  bool started_ = false;
  bool draining_ = false;
  bool ready_ = false;
  bool was_ready_ = false;
  std::array<std::uint64_t, 4> lines_seen_{};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // guards posts from other threads
};

// Log lines of the whole process by level, for log::configure's `on_line`. Any thread.
void count_log_line(LogLevel level) noexcept;

}  // namespace eventrelay
