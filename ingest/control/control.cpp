#include "ingest/control/control.hpp"

#include <array>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <optional>
#include <utility>

#include "common/base/crypto.hpp"
#include "common/kafka/topics.hpp"
#include "common/observe/log.hpp"
#include "common/process/admin.hpp"
#include "common/registry/feed.hpp"
#include "common/text/json_text.hpp"
#include "ingest/console/console.hpp"
#include "ingest/control/console_api.hpp"
#include "ingest/control/control_api.hpp"
#include "ingest/control/openapi.hpp"
#include "ingest/history/history.hpp"
#include "ingest/replay/replays.hpp"

namespace eventrelay::control {
namespace {

// Unlike that of any other process: it stands in the role record.
std::string process_id() {
  std::array<char, 8> bytes{};
  crypto::random_bytes(bytes.data(), bytes.size());
  return crypto::hex({bytes.data(), bytes.size()});
}

// Thread: control.
class Control final : public HostExtension {
 public:
  ~Control() override { stop(); }

  void start(Executor control, std::shared_ptr<const Settings> settings, AdminServer& admin,
             metrics::Slab& slab) override {
    const Config& config = settings->config;
    if (!config.control.enabled) return;
    slab_ = &slab;
    kafka_ = config.kafka;
    events_ = kafka::topic_name(config.topics, "events");
    WriterOptions options;
    options.kafka = config.kafka;
    options.topic = registry_topic(config);
    options.transactional_id = kafka::topic_name(config.topics, "control");
    options.process = process_id();
    options.position = [this] { return position_.load(std::memory_order_acquire); };
    writer_.emplace(std::move(options));
    documents_.emplace(control, *writer_);
    box_.emplace(*documents_, slab);
    console_.emplace(control, settings);
    history_.emplace(control, config);
    replays_.emplace(control, config, [this](const std::string& id, replay::Progress progress) {
      if (!documents_->stopped()) api_->replay_ended(id, std::move(progress));
    });
    api_.emplace(settings, *documents_, *box_, *console_, *history_, *replays_, slab);
    on_settings(std::move(settings));
    api_->mount(admin);
    console_->mount(admin);
    console::mount_files(admin);
    admin.add({"GET", "/openapi.json", Access::Open,
               at_once([](const HttpRequest&) { return json_response(200, openapi_document()); })});
    asio::co_spawn(control, box_->housekeeping(), asio::detached);
    asio::co_spawn(control, box_->take_notices(), asio::detached);
    asio::co_spawn(control, api_->keep_replays(), asio::detached);
  }

  void on_settings(std::shared_ptr<const Settings> settings) override {
    if (!api_) return;
    documents_->use(std::make_shared<const Keyring>(keyring_of(settings->config.seal)));
    box_->use(settings->config.providers.box);
    console_->use(settings);
    api_->use(std::move(settings));
  }

  void on_records(std::vector<RegistryRecord> records, std::int64_t position) override {
    if (!api_) return;
    documents_->on_records(std::move(records), position);
    position_.store(position, std::memory_order_release);
    if (!std::exchange(writing_, true)) {
      writer_->start();  // the topic is read to its end
      notices_.emplace(kafka_, events_, [this](BoxNotice notice) {
        asio::post(documents_->executor(), [this, notice = std::move(notice)]() mutable {
          if (!documents_->stopped()) box_->note(std::move(notice));
        });
      });
    }
    slab_->control_role.set(writer_->holds() ? 1 : 0);
  }

  [[nodiscard]] std::vector<std::string> not_ready() const override {
    // Another process may hold the role; this one serves reads then.
    if (slab_ != nullptr) slab_->control_role.set(writer_->holds() ? 1 : 0);
    return {};
  }

  [[nodiscard]] std::string status() const override {
    if (!api_) return {};
    const InstanceStore& store = documents_->store();
    JsonObject out;
    out.flag("role", writer_->holds())
        .number("instances", std::uint64_t{store.all().size()})
        .number("cleanups", std::uint64_t{store.cleanups().size()})
        .number("last_id", store.last_id());
    return std::move(out).finish();
  }

  void stop() override {
    if (documents_) documents_->stop();
    if (notices_) notices_->stop();
    if (history_) history_->stop();
    if (replays_) replays_->stop_all();
    if (writer_) writer_->stop();
  }

 private:
  std::optional<RegistryWriter> writer_;
  std::optional<Documents> documents_;
  std::optional<BoxGateway> box_;
  std::optional<ConsoleApi> console_;
  std::optional<history::History> history_;
  std::optional<replay::Replays> replays_;
  std::optional<ControlApi> api_;
  std::optional<BoxNotices> notices_;
  KafkaConfig kafka_;
  std::string events_;
  metrics::Slab* slab_ = nullptr;
  std::atomic<std::int64_t> position_{0};
  bool writing_ = false;
};

}  // namespace

std::unique_ptr<HostExtension> make_control() {
  return std::make_unique<Control>();
}

}  // namespace eventrelay::control
