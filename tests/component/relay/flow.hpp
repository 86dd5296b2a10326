// A whole relay on the embedded broker: topics, events, one receiver that counts, services.
//
// Thread:  the test's; the receiver's connections have threads of their own.
// Bounds:  loopback only; every wait ends after kPatience.
#pragma once

#include <openssl/hmac.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "common/base/crypto.hpp"
#include "common/kafka/producer_client.hpp"
#include "common/kafka/tools/mock_cluster.hpp"
#include "common/kafka/topics.hpp"
#include "common/registry/settings.hpp"
#include "relay/service.hpp"
#include "tests/component/relay/peer.hpp"
#include "tests/support/eventually.hpp"

namespace eventrelay::relay::test {

inline constexpr int kPartitions = 4;
inline constexpr std::uint64_t kInstance = 427236;
inline const std::string kKey = "MySecretEventSignatureKey";

// What arrived. Thread: any, one mutex.
class Arrived {
 public:
  // The event id of the request, after counting it.
  std::string take(const std::string& request) {
    std::string id = header(request, "Elements-Webhook-Id");
    const std::lock_guard lock(mutex_);
    ++times_[id];
    requests_.push_back(request);
    return id;
  }
  static std::string header(const std::string& request, const std::string& name) {
    const std::size_t at = request.find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    const std::size_t begin = at + name.size() + 4;
    return request.substr(begin, request.find('\r', begin) - begin);
  }
  static std::string body(const std::string& request) {
    return request.substr(request.find("\r\n\r\n") + 4);
  }

  [[nodiscard]] std::size_t distinct() const {
    const std::lock_guard lock(mutex_);
    return times_.size();
  }
  [[nodiscard]] std::size_t total() const {
    const std::lock_guard lock(mutex_);
    return requests_.size();
  }
  [[nodiscard]] int times(const std::string& id) const {
    const std::lock_guard lock(mutex_);
    const auto it = times_.find(id);
    return it == times_.end() ? 0 : it->second;
  }
  [[nodiscard]] std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  // Ids that came more than once.
  [[nodiscard]] std::set<std::string> repeated() const {
    const std::lock_guard lock(mutex_);
    std::set<std::string> all;
    for (const auto& [id, times] : times_) {
      if (times > 1) all.insert(id);
    }
    return all;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, int> times_;
  std::vector<std::string> requests_;
};

// The embedded broker with every topic, and a way to write events. Thread: the test's.
class Flow {
 public:
  explicit Flow(std::string delays = "100ms, 200ms, 400ms") : delays_(std::move(delays)) {
    const auto settings = load("http://127.0.0.1:1/");
    std::vector<std::pair<std::string, int>> topics;
    for (const auto& topic : kafka::topic_plan(settings->config)) {
      topics.emplace_back(topic.name, kPartitions);
    }
    cluster_.create_topics(topics);
  }

  [[nodiscard]] static std::string url(std::uint16_t port) {
    return "http://127.0.0.1:" + std::to_string(port) + "/events";
  }

  // `delivery` and `more` are YAML in flow style and at the top level.
  [[nodiscard]] std::shared_ptr<const Settings> load(const std::string& url,
                                                     const std::string& delivery = {},
                                                     const std::string& more = {},
                                                     std::uint64_t instance = kInstance) const {
    ConfigInput input;
    input.text = "version: 1\nkafka:\n  bootstrap.servers: " + cluster_.bootstrap_servers() +
                 "\n  session.timeout.ms: 6000\n  heartbeat.interval.ms: 500\n"
                 "topics: {prefix: \"t.\", create: false, partitions: 4}\n"
                 "retry: {delays: [" +
                 delays_ + "], jitter: 0}\n" +
                 (more.empty() ? "relay: {shards: 1, drain_timeout: 5s}\n" : more) +
                 "instances:\n  - id: " + std::to_string(instance) +
                 "\n    name: docs\n    element: box\n    configuration:\n"
                 "      event.notification.enabled: true\n      event.notification.callback.url: " +
                 url + "\n      event.notification.signature.key: " + kKey +
                 "\n    delivery: {allow_http: true, " +
                 (delivery.empty() ? "allow_private_addresses: true" : delivery) + "}\n";
    return load_settings(input);
  }

  struct Fields {
    std::uint64_t instance = kInstance;
    int partition = -1;
    int objects = 1;                // ids of objects taken in turn
    const char* version = nullptr;  // instead of the right one
    std::string provider_id{};      // of an event whose id is derived from it:
    std::string derived_id{};       // instead of id_of()
  };

  // One of 50 is sent in pieces, the others as one.
  [[nodiscard]] static std::string body_of(int number) {
    return "{\"type\":\"webhook_event\",\"id\":\"" + std::to_string(number) + "\",\"pad\":\"" +
           std::string(number % 50 == 7 ? 6000 : 200, 'x') + "\"}";
  }
  [[nodiscard]] static std::string id_of(int number) { return "event-" + std::to_string(number); }

  // Writes events first .. first + count - 1 and waits for the acknowledgements.
  void write(int first, int count, const Fields& fields);
  void write(int first, int count) { write(first, count, Fields{}); }

  [[nodiscard]] kafka::MockCluster& cluster() { return cluster_; }
  [[nodiscard]] KafkaConfig client_config() const {
    KafkaConfig config;
    config.properties["bootstrap.servers"] = cluster_.bootstrap_servers();
    return config;
  }

 private:
  std::string delays_;
  kafka::MockCluster cluster_{1};
};

class Reports final : public kafka::ReportSink {
 public:
  void on_stored(std::uint64_t, kafka::Stored stored) override {
    ok += stored == kafka::Stored::Persisted ? 1 : 0;
  }
  int ok = 0;
};

inline void Flow::write(int first, int count, const Fields& fields) {
  asio::io_context loop(1);
  metrics::Slab slab;
  Reports reports;
  kafka::ProducerClient producer(loop.get_executor(), client_config(), {}, reports, slab);
  const std::size_t topic = producer.add_topic("t.events");
  const TimePoint end = monotonic_now() + kPatience;
  while (!producer.ready() && monotonic_now() < end) loop.run_for(std::chrono::milliseconds(5));
  for (int number = first; number < first + count; ++number) {
    const std::string id = fields.derived_id.empty() ? id_of(number) : fields.derived_id;
    const std::string body = body_of(number);
    Event event;
    event.id = id;
    event.provider_id = fields.provider_id;
    event.element = "box";
    event.instance = InstanceId{fields.instance};
    event.event_type = "CREATED";
    event.object_type = "file";
    const std::string object = std::to_string(7 + number % fields.objects);
    event.object_id = object;
    event.date = "2026-01-01T00:00:00Z";
    event.received = wall_now();
    event.content_type = "application/json";
    RecordHeaders headers(event);
    if (fields.version != nullptr) {
      auto* field = const_cast<HeaderField*>(headers.begin());
      while (field->name != header::kVersion) ++field;
      field->value = fields.version;
    }
    const std::string key = std::to_string(fields.instance);
    const int partition = fields.partition >= 0 ? fields.partition : number % kPartitions;
    const kafka::ProduceRecord record{key, body, &headers, partition};
    if (producer.produce(topic, record, 1) != kafka::Queued::Queued) return;
  }
  while (reports.ok < count && monotonic_now() < end) loop.run_for(std::chrono::milliseconds(5));
}

// One running relay. Thread: the test's.
class Relay {
 public:
  // With a budget, as `dev` has one: the embedded broker is not asked for what it does not know.
  explicit Relay(std::shared_ptr<const Settings> settings)
      : service_(make_service(&budget_)), settings_(std::move(settings)) {
    service_->set_failed([this](const std::string& reason) { failure_ = reason; });
    service_->start(settings_);
  }
  ~Relay() { service_->stop(); }

  [[nodiscard]] Service& service() { return *service_; }
  // As a reload that leads to `settings`.
  void reload(std::shared_ptr<const Settings> settings) {
    use(update_between(*settings_, std::move(settings)));
  }
  // As changes of single instances that come in.
  void apply(Changes changes) { use(update_settings(*settings_, std::move(changes))); }
  [[nodiscard]] bool ready() const { return service_->not_ready().empty(); }
  // True if the drain ended by itself. `begun` is called when the relay begins nothing more.
  bool drain(const std::function<void()>& begun = {}) {
    std::atomic<bool> done{false};
    service_->drain([&] { done = true; });
    if (begun) begun();
    const TimePoint end = monotonic_now() + service_->drain_limit() + std::chrono::seconds(2);
    while (!done && monotonic_now() < end) pause();
    return done;
  }
  // Partitions it owns.
  [[nodiscard]] int owned() const {
    const std::string status = service_->status();
    int count = 0;
    const std::string mark = "\"partition\":";
    for (std::size_t at = status.find(mark); at != std::string::npos;
         at = status.find(mark, at + 1)) {
      ++count;
    }
    return count;
  }
  // The value behind `"name":` in the status of `partition`.
  [[nodiscard]] std::int64_t of_partition(int partition, const std::string& name) const {
    const std::string status = service_->status();
    std::size_t at = status.find("\"partition\":" + std::to_string(partition) + ",");
    if (at == std::string::npos) return -2;
    at = status.find('"' + name + "\":", at) + name.size() + 3;
    return std::stoll(status.substr(at, 24));
  }
  static void pause() { eventrelay::test::be_slow(std::chrono::milliseconds(5)); }

 private:
  void use(const UpdatePtr& update) {
    service_->use(update);
    settings_ = update->settings;
  }

  VolatileBudget budget_{std::size_t{1} << 30};
  std::unique_ptr<Service> service_;
  std::shared_ptr<const Settings> settings_;
  std::string failure_;
};

// False: it was not so within `limit`.
inline bool eventually(const std::function<bool()>& so, Duration limit = std::chrono::seconds(30)) {
  const TimePoint end = monotonic_now() + limit;
  while (!so()) {
    if (monotonic_now() > end) return false;
    Relay::pause();
  }
  return true;
}

// HMAC-SHA256 by OpenSSL's own one-shot function, in base64.
inline std::string expected_signature(const std::string& body) {
  std::array<unsigned char, 32> mac{};
  unsigned size = 0;
  HMAC(EVP_sha256(), kKey.data(), static_cast<int>(kKey.size()),
       reinterpret_cast<const unsigned char*>(body.data()), body.size(), mac.data(), &size);
  std::array<unsigned char, 48> text{};
  EVP_EncodeBlock(text.data(), mac.data(), static_cast<int>(mac.size()));
  return "sha256=" + std::string(reinterpret_cast<const char*>(text.data()));
}

}  // namespace eventrelay::relay::test
