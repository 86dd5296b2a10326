#include "common/process/runtime.hpp"

#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "common/config/config_units.hpp"
#include "common/observe/build_info.hpp"
#include "common/observe/log.hpp"
#include "common/process/core_dump.hpp"
#include "common/process/failpoint.hpp"
#include "common/process/notify.hpp"
#include "common/process/service_host.hpp"

namespace eventrelay {

namespace {

enum ExitCode : int { kOk = 0, kRuntime = 1, kUsage = 2, kBadConfiguration = 78 };

using Signals = asio::basic_signal_set<Executor>;

// How much longer than its limit a drain may take, for the shards to end.
constexpr std::chrono::seconds kDrainGrace{1};

// How long an end asked for during the start waits for the start to be over.
constexpr std::chrono::seconds kStartGrace{2};

// Ends the process if it is not disarmed in time, on a thread of its own: the control thread may
// be the one that hangs. Thread: control.  Bounds: one thread.
class Watchdog {
 public:
  Watchdog() = default;
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog() {
    {
      const std::scoped_lock lock(mutex_);
      disarmed_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  void arm(Duration limit) {
    if (!thread_.joinable()) thread_ = std::thread([this, limit] { watch(limit); });
  }

 private:
  void watch(Duration limit) {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, limit, [this] { return disarmed_; })) return;
    // Should even the log line hang, the alarm ends the process.
    ::signal(SIGALRM, SIG_DFL);
    ::alarm(1);
    log::error("drain did not end in time, the process ends now");
    ::_exit(kRuntime);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool disarmed_ = false;
  std::thread thread_;
};

// Async-signal-safe: the only thing a second SIGTERM or SIGINT does.
void end_at_once(int) {
  constexpr char kLine[] = "{\"level\":\"warn\",\"msg\":\"second signal, the process ends now\"}\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kLine, sizeof kLine - 1);
  ::_exit(kRuntime);
}

// From here on no signal can be lost in a control thread that hangs. Asio's own handler is
// replaced without a gap.
void let_next_signal_end_at_once() {
  struct sigaction action = {};
  action.sa_handler = end_at_once;
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
}

// `program: line` for each line of `text`.
void complain(std::string_view program, std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) out.append(program).append(": ").append(text.substr(0, end)).append("\n");
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  std::fwrite(out.data(), 1, out.size(), stderr);
}

// Flags and environment.
struct Invocation {
  ConfigInput input;
  bool watch = false;
  std::optional<int> exit;  // set: nothing to run
};

// The first long flag that there is none of, with the nearest that there is.
std::string unknown_flag(const CLI::App& app, int argc, char** argv) {
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  }
  for (int i = 1; i < argc; ++i) {
    const std::string word(argv[i]);
    const std::string name = word.substr(0, word.find('='));
    if (word.rfind("--", 0) != 0 || std::count(known.begin(), known.end(), name) > 0) continue;
    const std::string nearest = config::nearest_word(name, known);
    return "no flag `" + name + "`" + (nearest.empty() ? "" : "; did you mean `" + nearest + "`?");
  }
  return {};
}

Invocation parse_flags(int argc, char** argv, const std::string& program) {
  Invocation invocation;
  ConfigInput& input = invocation.input;
  input.environment = process_environment();
  CLI::App app{"Runs one service of eventrelay until SIGTERM or SIGINT; SIGHUP reloads.", program};
  app.add_option("-c,--config", input.path, "Configuration file (or EVENTRELAY_CONFIG)");
  app.add_option("--set", input.overrides, "key=value over the file; may be repeated")
      ->allow_extra_args(false);
  app.add_flag("--watch", invocation.watch, "Reload when the file or a file it names changes");
  app.set_version_flag("--version", version_line(program));
  app.footer(
      "Exit codes: 0 drained, 1 runtime, 2 usage, 78 bad configuration. A second signal\n"
      "ends the process at once with 1.\n\nConfiguration keys:\n" +
      describe_keys());
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      invocation.exit = app.exit(error);
      return invocation;
    }
    const std::string flag = unknown_flag(app, argc, argv);
    complain(program, (flag.empty() ? std::string{error.what()} : flag) + "; see --help");
    invocation.exit = kUsage;
    return invocation;
  }
  if (input.path.empty()) {
    const auto from = input.environment.find("EVENTRELAY_CONFIG");
    if (from != input.environment.end()) input.path = from->second;
  }
  if (input.path.empty()) {
    complain(program, "no configuration; give -c FILE or set EVENTRELAY_CONFIG");
    invocation.exit = kUsage;
  }
  return invocation;
}

// One service on one control loop, from start to exit code. Thread: main.  Bounds: one service.
class Program {
 public:
  Program(std::string_view name, const ServiceFactory& factory, const ExtensionFactory& extension,
          const Invocation& invocation)
      : name_(name),
        extension_(extension ? extension() : nullptr),
        service_(factory()),
        host_(control_, *service_, host_options(invocation)),
        signals_(control_.get_executor(), SIGTERM, SIGINT, SIGHUP) {
    service_->set_failed([this](std::string reason) {
      asio::post(control_, [this, reason = std::move(reason)] { fail(reason); });
    });
  }

  int run(std::shared_ptr<const Settings> settings) {
    await_signal();
    host_.start(std::move(settings));
    if (end_wanted_) begin_drain();
    while (!ended_) {
      try {
        control_.run();
        break;
      } catch (const std::exception& error) {
        log::error("exception in the control loop", {{"what", error.what()}});
      }
    }
    host_.stop();
    return exit_;
  }

 private:
  HostOptions host_options(const Invocation& invocation) {
    HostOptions options;
    options.input = invocation.input;
    options.watch = invocation.watch;
    options.on_ready = [this] {
      notify_.ready();
      feed_watchdog();
    };
    options.on_reload_begin = [this] { notify_.reloading(); };
    options.on_reload_end = [this] { notify_.ready(); };
    options.on_stuck = [this](const std::string& reason) { fail(reason); };
    options.admin_default = service_->name() == "relay" ? "127.0.0.1:9465" : "127.0.0.1:9464";
    options.serve_while_starting = true;
    options.extension = extension_.get();
    options.on_settings = [this](const Settings& settings) {
      log::configure(settings.config.log, service_->name(), count_log_line);
    };
    return options;
  }

  // A manager that hears nothing ends the process, so nothing is said while a shard stands still.
  void feed_watchdog() {
    const std::optional<Duration> interval = notify_.watchdog_interval();
    if (!interval) return;
    if (host_.is_alive()) notify_.alive();
    watchdog_timer_.expires_after(*interval);
    watchdog_timer_.async_wait([this](ErrorCode error) {
      if (!error) feed_watchdog();
    });
  }

  void await_signal() {
    signals_.async_wait([this](ErrorCode error, int number) {
      if (error) return;
      await_signal();
      if (number == SIGHUP) {
        (void)host_.reload();  // logs and counts by itself
      } else {
        end();
      }
    });
  }

  void end() {
    let_next_signal_end_at_once();
    if (host_.started()) return begin_drain();
    // Nothing has been accepted yet, so nothing is lost if the start does not come to an end.
    end_wanted_ = true;
    start_timer_.expires_after(kStartGrace);
    start_timer_.async_wait([this](ErrorCode error) {
      if (error || host_.started()) return;
      log::info("ended while starting", {{"service", service_->name()}});
      ::_exit(kOk);
    });
  }

  // What is still in order is finished, but the process does not call this a good end.
  void fail(const std::string& reason) {
    if (std::exchange(failed_, true)) return;
    log::error("the service can not go on, the process ends",
               {{"service", service_->name()}, {"reason", reason}});
    if (!std::exchange(draining_, true)) end();
  }

  void begin_drain() {
    draining_ = true;
    notify_.stopping();
    start_timer_.cancel();
    watchdog_.arm(service_->drain_limit() + host_.flush_limit() + kDrainGrace);
    host_.drain([this](Drained how) {
      exit_ = how == Drained::Complete && !failed_ ? kOk : kRuntime;
      ended_ = true;
      control_.stop();
    });
  }

  std::string name_;
  Watchdog watchdog_;  // the last to go: it guards the end of all others
  Notify notify_;
  asio::io_context control_{1};
  std::unique_ptr<HostExtension> extension_;
  std::unique_ptr<Service> service_;
  ServiceHost host_;
  Signals signals_;
  Timer start_timer_{control_.get_executor()};
  Timer watchdog_timer_{control_.get_executor()};
  bool end_wanted_ = false;
  bool draining_ = false;
  bool failed_ = false;
  int exit_ = kOk;
  bool ended_ = false;
};

}  // namespace

int run_service(int argc, char** argv, std::string_view program, const ServiceFactory& factory,
                const ExtensionFactory& extension) {
  forbid_core_dumps();
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);  // until there is something to reload; its default is to end
  const std::string name{program};
  try {
    const Invocation invocation = parse_flags(argc, argv, name);
    if (invocation.exit) return *invocation.exit;
    std::shared_ptr<const Settings> settings = load_settings(invocation.input);
    failpoint::arm_from_environment();
    Program running(name, factory, extension, invocation);
    return running.run(std::move(settings));
  } catch (const ConfigError& error) {
    complain(program, error.what());
    return kBadConfiguration;
  } catch (const std::exception& error) {
    complain(program, error.what());
    return kRuntime;
  }
}

}  // namespace eventrelay
