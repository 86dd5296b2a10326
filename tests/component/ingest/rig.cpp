#include "tests/component/ingest/rig.hpp"

#include <sys/resource.h>

#include <csignal>
#include <stdexcept>

#include "common/http/server_tls.hpp"
#include "common/kafka/tools/topic_reader.hpp"
#include "common/registry/settings.hpp"
#include "tests/component/ingest/self_signed.hpp"

namespace eventrelay::ingest::test {

namespace {

constexpr int kPartitions = 3;

void raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Rig::Rig(RigOptions options)
    : options_(std::move(options)),
      cluster_(options_.brokers),
      slab_(exporter_.add_slab()),
      loop_(0, slab_) {
  raise_descriptor_limit();
  ::signal(SIGPIPE, SIG_IGN);  // as the programs do: a client that was let go is written to
  if (options_.bootstrap.empty()) {
    const std::string topic = options_.prefix + "events";
    cluster_.create_topic(topic, kPartitions);
    for (int p = 0; p < kPartitions; ++p) {
      cluster_.set_leader(topic, p, p + 1 < kPartitions ? 1 : options_.brokers);
    }
  }
  ShardOptions shard{.settings = settings(options_.primary_key),
                     .tls = nullptr,
                     .shards = 1,
                     .connections_max = options_.connections_max,
                     .handshakes_max = options_.handshakes_max,
                     .connections = nullptr,
                     .limits = options_.limits,
                     .budget = nullptr};
  if (options_.wire == Wire::Tls) shard.tls = make_server_tls(self_signed());
  shard_ = std::make_unique<Shard>(loop_, shard);
  shard_->listen({Tcp::endpoint(asio::ip::address_v4::loopback(), options_.port)}, options_.share);
  port_ = shard_->endpoints().front().port();
  loop_.start();
  loop_.post([this] { shard_->start(); });
  if (!eventually([this] { return shard_->ready(); })) throw std::runtime_error("never ready");
}

Rig::~Rig() {
  loop_.stop();
  loop_.join();
}

std::string Rig::bootstrap() const {
  return options_.bootstrap.empty() ? cluster_.bootstrap_servers() : options_.bootstrap;
}

std::shared_ptr<const Settings> Rig::settings(const std::string& primary_key) const {
  ConfigInput input;
  input.text = "version: 1\nkafka:\n  bootstrap.servers: " + bootstrap() + "\n" + options_.kafka +
               "topics:\n  prefix: " + options_.prefix + "\n" + "ingest:\n  listen: 127.0.0.1:0\n" +
               options_.ingest + "sources:\n  box:\n    keys: [" + primary_key +
               ", secondary-key]\n" + options_.sources +
               "instances:\n"
               "  - id: 427236\n    name: docs\n    element: box\n    configuration:\n"
               "      event.notification.enabled: true\n"
               "      event.notification.callback.url: https://mycoolapp.com/events\n"
               "  - id: 7\n    name: off\n    element: box\n    configuration:\n"
               "      event.notification.enabled: false\n"
               "      event.notification.callback.url: https://mycoolapp.com/events\n";
  for (const std::uint64_t id : options_.instances) {
    *input.text += "  - id: " + std::to_string(id) + "\n    name: i" + std::to_string(id) +
                   "\n    element: box\n    configuration:\n"
                   "      event.notification.enabled: true\n"
                   "      event.notification.callback.url: https://mycoolapp.com/events\n";
  }
  return load_settings(input);
}

void Rig::reload(const std::string& primary_key) {
  auto receiver = std::make_shared<Receiver>(settings(primary_key));
  loop_.call([&] { shard_->reload(std::move(receiver), nullptr); });
}

void Rig::begin_drain(Duration delay, std::function<void()> done) {
  loop_.post([this, delay, done = std::move(done)] { shard_->drain(delay, done); });
}

std::vector<StoredRecord> Rig::records(std::size_t count) {
  KafkaConfig config;
  config.properties["bootstrap.servers"] = bootstrap();
  kafka::TopicReader reader(config, options_.prefix + "events", kafka::From::Beginning);
  std::vector<StoredRecord> records;
  const TimePoint end = monotonic_now() + kPatience;
  while (records.size() < count && monotonic_now() < end) {
    const auto message = reader.next(std::chrono::milliseconds{200});
    if (!message) continue;
    const auto event = message->event();
    if (!event) throw std::runtime_error("a record that cannot be read");
    records.push_back({.key = std::string(message->key()),
                       .value = std::string(message->value()),
                       .id = std::string(event->id),
                       .provider_id = std::string(event->provider_id),
                       .element = std::string(event->element),
                       .content_type = std::string(event->content_type)});
  }
  return records;
}

}  // namespace eventrelay::ingest::test
