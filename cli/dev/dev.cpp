// eventrelay dev: ingest, relay, a receiver and an embedded broker in one process.
//
// Thread:  the services' own shards; everything else on the main loop.
#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/parse.hpp>
#include <exception>
#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cli/command/command.hpp"
#include "cli/dev/demo.hpp"
#include "cli/dev/dev_files.hpp"
#include "cli/http/http_client.hpp"
#include "cli/provider/box_server.hpp"
#include "cli/webhook/delivery_print.hpp"
#include "cli/webhook/receiver.hpp"
#include "common/kafka/tools/mock_cluster.hpp"
#include "common/kafka/topics.hpp"
#include "common/observe/log.hpp"
#include "common/process/service_host.hpp"
#include "common/process/volatile_budget.hpp"
#include "ingest/control/control.hpp"
#include "ingest/service.hpp"
#include "relay/service.hpp"

namespace eventrelay::cli {
namespace {

constexpr std::chrono::seconds kOnceLimit{60};
constexpr std::chrono::seconds kGuideLimit{20};  // for the demo's callback

// Everything `dev` runs, on one control loop. Thread: main.
class Dev {
 public:
  explicit Dev(DevFlags flags) : flags_(std::move(flags)), files_(flags_.files) {}

  Exit run() {
    signals_.async_wait([this](ErrorCode error, int) {
      if (!error) end(Exit::Ok);
    });
    open_receiver();
    if (flags_.config.empty()) {
      flags_.listen = with_port(flags_.listen);  // event URLs are made of it
      box_.emplace(loop_.get_executor(), "127.0.0.1:0", BoxOptions());
    }
    HostOptions options;
    options.input = demo_input(flags_, receiver_->port(), bootstrap(), box_address());
    settings_ = load_settings(options.input);
    log::configure(settings_->config.log, "dev", count_log_line);
    start_hosts(std::move(options));
    loop_.run();
    if (flags_.once && exit_ == Exit::Ok) files_.remove();
    return exit_;
  }

 private:
  // Returns the given broker, or starts the embedded one and creates every topic.
  std::string bootstrap() {
    if (!flags_.kafka.empty()) return flags_.kafka;
    cluster_.emplace(1);
    ConfigInput input =
        demo_input(flags_, receiver_->port(), cluster_->bootstrap_servers(), box_address());
    std::vector<std::pair<std::string, int>> topics;
    for (const auto& topic : kafka::topic_plan(load_settings(input)->config)) {
      topics.emplace_back(topic.name, topic.partitions);
    }
    cluster_->create_topics(topics);
    return cluster_->bootstrap_servers();
  }

  [[nodiscard]] std::string box_address() const { return box_ ? box_->address() : std::string(); }

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
    control_ = control::make_control();
    options.extension = control_.get();
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
    asio::co_spawn(loop_.get_executor(), tour(), [this](std::exception_ptr thrown) {
      if (thrown) failed(thrown);
    });
    if (flags_.once) limit_once();
  }

  [[nodiscard]] Guide guide() const {
    return {flags_,
            ingest_->listen(),
            ingest_host_->admin_address(),
            relay_host_->admin_address(),
            receiver_->port(),
            cluster_ ? std::string() : flags_.kafka,
            box_address(),
            instance_,
            token_,
            files_.has_folder() ? files_.path("") : std::string()};
  }

  // Once: the demo's callback has come, or there is no demo, or it did not come in time.
  void show_guide() {
    if (std::exchange(guided_, true)) return;
    guide_timer_.cancel();
    if (flags_.once) return;
    const Guide all = guide();
    if (box_) {
      files_.write("tour.txt", tour_text(all));
      files_.write("event.sh", event_script(all));
    }
    fmt::print("{}", guide_text(all));
    std::fflush(stdout);
  }

  // The way of the page: a grant, an instance by API, its webhook, and an upload at the stand-in.
  Task<void> tour() {
    if (!box_) {
      show_guide();
      co_return;
    }
    guide_timer_.expires_after(kGuideLimit);
    guide_timer_.async_wait([this](ErrorCode error) {
      if (error) return;
      fmt::print("no callback within {} s; the logs say why\n", kGuideLimit.count());
      show_guide();
    });
    HttpClient box(loop_.get_executor(), parse_target("http://" + box_->address()));
    HttpClient api(loop_.get_executor(), parse_target("http://" + ingest_host_->admin_address()));
    const std::string code = co_await granted(box);
    ClientResponse made;
    for (int tries = 0; tries < 100; ++tries) {
      const ClientRequest create = demo_instance(code, receiver_->port());
      made = co_await api.exchange(create);
      if (made.status != 503) break;  // the control role is being taken
      co_await pause();
    }
    const boost::json::value instance = parsed(made, "the instance");
    const std::string id = std::to_string(instance.at("id").to_number<std::uint64_t>());
    const std::string token(instance.at("token").get_string());
    instance_ = id;
    token_ = token;
    const ClientRequest hook = demo_webhook(token, "1000");
    const ClientResponse hooked = co_await api.exchange(hook);
    (void)parsed(hooked, "the webhook");
    ClientRequest upload;
    upload.method = "POST";
    upload.path = "/standin/upload";
    upload.body = R"({"name":"a.txt","parent":"1000"})";
    (void)co_await box.exchange(upload);
  }

  static boost::json::value parsed(const ClientResponse& response, const char* what) {
    if (response.status == 200) return boost::json::parse(response.body);
    throw std::runtime_error(
        fmt::format("{} was not made: {} {}", what, response.status, response.body));
  }

  static Task<std::string> granted(HttpClient& box) {
    ClientRequest grant;
    grant.method = "POST";
    grant.path = "/standin/grant";
    const ClientResponse answer = co_await box.exchange(grant);
    const boost::json::value body = boost::json::parse(answer.body);
    co_return std::string(body.at("code").get_string());
  }

  Task<void> pause() {
    Timer timer(loop_.get_executor());
    timer.expires_after(std::chrono::milliseconds(100));
    co_await timer.async_wait(asio::use_awaitable_t<Executor>());
  }

  void failed(const std::exception_ptr& thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
      fail(error.what());
    }
  }

  void fail(const std::string& reason) {
    files_.say("eventrelay: " + reason +
               (files_.has_folder() ? "; the logs are in " + files_.path("services.log") : ""));
    end(Exit::Failed);
  }

  void limit_once() {
    once_timer_.expires_after(kOnceLimit);
    once_timer_.async_wait([this](ErrorCode error) {
      if (error) return;
      fail(fmt::format("no delivery within {} s", kOnceLimit.count()));
    });
  }

  void delivered(const Delivery& delivery) {
    const bool first = delivery.number == 1 && box_;
    bool genuine = true;
    if (first) {
      const std::string problem = printer_->problem(delivery);
      genuine = problem.empty();
      fmt::print("{}", story(guide(), delivery, problem));
      std::fflush(stdout);
      show_guide();
    } else {
      fmt::print("received ");
      genuine = printer_->show(delivery);
    }
    if (flags_.once) end(genuine ? Exit::Ok : Exit::Failed);
  }

  // Drains ingest, then the relay, then ends the loop.
  void end(Exit exit) {
    if (ending_) return;
    ending_ = true;
    exit_ = exit;
    once_timer_.cancel();
    guide_timer_.cancel();
    signals_.cancel();
    if (!ingest_host_) return loop_.stop();
    ingest_host_->drain([this](Drained) {
      relay_host_->drain([this](Drained) {
        ingest_host_->stop();
        relay_host_->stop();
        receiver_->close();
        if (box_) box_->close();
        loop_.stop();
      });
    });
  }

  DevFlags flags_;
  DevFiles files_;
  asio::io_context loop_{1};
  asio::signal_set signals_{loop_, SIGINT, SIGTERM};
  Timer once_timer_{loop_};
  Timer guide_timer_{loop_};
  VolatileBudget budget_{kafka::kMockPartitionBytesMax * 4 / 5};
  std::optional<kafka::MockCluster> cluster_;
  std::optional<DeliveryPrinter> printer_;
  std::optional<Receiver> receiver_;
  std::optional<BoxServer> box_;
  std::shared_ptr<const Settings> settings_;
  std::unique_ptr<Service> relay_;
  std::unique_ptr<Service> ingest_;
  std::unique_ptr<HostExtension> control_;
  std::optional<ServiceHost> relay_host_;
  std::optional<ServiceHost> ingest_host_;
  unsigned ready_ = 0;
  std::string instance_;  // of the demo: its id
  std::string token_;     // and its token
  bool guided_ = false;
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
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command->add_option("--kafka", flags->kafka,
                      "HOST:PORT of a real broker instead of the embedded one");
  command->add_option("-c,--config", flags->config,
                      "Your configuration; the demo instance is added");
  command->add_option("--files", flags->files,
                      "Folder for the logs of the services and for what to try; - : logs on "
                      "stderr; default: a new one among the temporary files");
  command->add_flag("--once", flags->once, "End with 0 after the first verified delivery");
  command->callback([flags, &run] { run = [flags] { return Dev(*flags).run(); }; });
}

}  // namespace eventrelay::cli
