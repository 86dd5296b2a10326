// eventrelay dev: ingest, relay, a receiver and an embedded broker in one process.
//
// Thread:  the services' own shards; everything else on the main loop.
#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <exception>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.hpp"
#include "cli/delivery_print.hpp"
#include "cli/demo.hpp"
#include "cli/http_client.hpp"
#include "cli/receiver.hpp"
#include "common/kafka/tools/mock_cluster.hpp"
#include "common/kafka/topics.hpp"
#include "common/observe/log.hpp"
#include "common/process/service_host.hpp"
#include "common/process/volatile_budget.hpp"
#include "ingest/service.hpp"
#include "relay/service.hpp"

namespace eventrelay::cli {
namespace {

constexpr std::chrono::seconds kOnceLimit{60};

// Everything `dev` runs, on one control loop. Thread: main.
class Dev {
 public:
  explicit Dev(DevFlags flags) : flags_(std::move(flags)) {}

  Exit run() {
    signals_.async_wait([this](ErrorCode error, int) {
      if (!error) end(Exit::Ok);
    });
    open_receiver();
    HostOptions options;
    options.input = demo_input(flags_, receiver_->port(), bootstrap());
    settings_ = load_settings(options.input);
    log::configure(settings_->config.log, "dev", count_log_line);
    start_hosts(std::move(options));
    loop_.run();
    return exit_;
  }

 private:
  // Returns the given broker, or starts the embedded one and creates every topic.
  std::string bootstrap() {
    if (!flags_.kafka.empty()) return flags_.kafka;
    cluster_.emplace(1);
    ConfigInput input = demo_input(flags_, receiver_->port(), cluster_->bootstrap_servers());
    std::vector<std::pair<std::string, int>> topics;
    for (const auto& topic : kafka::topic_plan(load_settings(input)->config)) {
      topics.emplace_back(topic.name, topic.partitions);
    }
    cluster_->create_topics(topics);
    return cluster_->bootstrap_servers();
  }

  void open_receiver() {
    ReceiverOptions options;
    options.port = flags_.callback_port;
    printer_.emplace(scheme_named("elements"), keys_from({std::string(kDemoCallbackKey)}), false);
    receiver_.emplace(loop_.get_executor(), options,
                      [this](const Delivery& delivery) { delivered(delivery); });
  }

  void start_hosts(HostOptions options) {
    VolatileBudget* budget = cluster_ ? &budget_ : nullptr;
    relay_ = relay::make_service(budget);
    ingest_ = ingest::make_service(budget);
    options.on_ready = [this] { host_ready(); };
    options.admin_default = next_address(flags_.admin);
    relay_host_.emplace(loop_, *relay_, relay_options(options));
    options.admin_default = flags_.admin;
    ingest_host_.emplace(loop_, *ingest_, options);
    relay_host_->start(settings_);
    ingest_host_->start(settings_);
  }

  // The relay's admin listener takes the port after that of ingest.
  HostOptions relay_options(HostOptions options) const {
    options.input.overrides.push_back("admin.listen=" + options.admin_default);
    return options;
  }

  void host_ready() {
    if (++ready_ < 2) return;
    print_guide({flags_, ingest_->listen(), ingest_host_->admin_address(),
                 relay_host_->admin_address(), receiver_->port(),
                 cluster_ ? std::string() : flags_.kafka});
    asio::co_spawn(loop_.get_executor(), push(), [this](std::exception_ptr thrown) {
      if (thrown) failed(thrown);
    });
    if (flags_.once) limit_once();
  }

  Task<void> push() {
    const ClientRequest request = demo_request(wall_now());
    HttpClient client(loop_.get_executor(), parse_target("http://" + ingest_->listen()));
    const ClientResponse response = co_await client.exchange(request);
    fmt::print("sent     one signed Box event: {} {}\n", response.status, response.body);
    std::fflush(stdout);
    if (response.status != 202 && flags_.once) end(Exit::Failed);
  }

  void failed(const std::exception_ptr& thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
      fmt::print(stderr, "eventrelay: {}\n", error.what());
    }
    end(Exit::Failed);
  }

  void limit_once() {
    once_timer_.expires_after(kOnceLimit);
    once_timer_.async_wait([this](ErrorCode error) {
      if (error) return;
      fmt::print(stderr, "eventrelay: no delivery within {} s\n", kOnceLimit.count());
      end(Exit::Failed);
    });
  }

  void delivered(const Delivery& delivery) {
    fmt::print("received ");
    const bool genuine = printer_->show(delivery);
    if (flags_.once) end(genuine ? Exit::Ok : Exit::Failed);
  }

  // Drains ingest, then the relay, then ends the loop.
  void end(Exit exit) {
    if (ending_) return;
    ending_ = true;
    exit_ = exit;
    once_timer_.cancel();
    signals_.cancel();
    if (!ingest_host_) return loop_.stop();
    ingest_host_->drain([this](Drained) {
      relay_host_->drain([this](Drained) {
        ingest_host_->stop();
        relay_host_->stop();
        receiver_->close();
        loop_.stop();
      });
    });
  }

  DevFlags flags_;
  asio::io_context loop_{1};
  asio::signal_set signals_{loop_, SIGINT, SIGTERM};
  Timer once_timer_{loop_};
  VolatileBudget budget_{kafka::kMockPartitionBytesMax * 4 / 5};
  std::optional<kafka::MockCluster> cluster_;
  std::optional<DeliveryPrinter> printer_;
  std::optional<Receiver> receiver_;
  std::shared_ptr<const Settings> settings_;
  std::unique_ptr<Service> relay_;
  std::unique_ptr<Service> ingest_;
  std::optional<ServiceHost> relay_host_;
  std::optional<ServiceHost> ingest_host_;
  unsigned ready_ = 0;
  bool ending_ = false;
  Exit exit_ = Exit::Ok;
};

}  // namespace

void add_dev(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "dev", "Ingest, relay, a receiver and an embedded broker in one process, to try things");
  auto flags = std::make_shared<DevFlags>();
  command->add_option("--listen", flags->listen, "Public address of ingest")->capture_default_str();
  command
      ->add_option("--admin", flags->admin,
                   "Admin address of ingest; the relay takes the next port")
      ->capture_default_str();
  command->add_option("--callback-port", flags->callback_port, "Port of the receiver; 0: any")
      ->capture_default_str();
  command->add_option("--kafka", flags->kafka,
                      "HOST:PORT of a real broker instead of the embedded one");
  command->add_option("-c,--config", flags->config,
                      "Your configuration; the demo instance is added");
  command->add_flag("--once", flags->once, "End with 0 after the first verified delivery");
  command->callback([flags, &run] { run = [flags] { return Dev(*flags).run(); }; });
}

}  // namespace eventrelay::cli
