#include "ingest/service.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "common/http/listen_address.hpp"
#include "common/http/server_tls.hpp"
#include "common/kafka/topic_limits.hpp"
#include "common/kafka/topic_watch.hpp"
#include "common/kafka/topics.hpp"
#include "common/observe/log.hpp"
#include "common/text/json_text.hpp"
#include "ingest/shard.hpp"
#include "ingest/source_meter.hpp"
#include "ingest/sources.hpp"

namespace eventrelay::ingest {

namespace {

constexpr std::size_t kConnectionsMax = 65'536;
// Descriptors that clients never get: brokers, the admin listener, files, pollers.
constexpr std::size_t kDescriptorReserve = 64;
constexpr std::size_t kFewConnections = 16;

// Descriptors of this process, raised to their hard limit as far as `wanted` needs it.
[[nodiscard]] std::size_t descriptor_limit(std::size_t wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  if (limit.rlim_cur < limit.rlim_max) {
    rlimit raised = limit;
    raised.rlim_cur = std::min<rlim_t>(limit.rlim_max, wanted);
    if (raised.rlim_cur > limit.rlim_cur && setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return limit.rlim_cur;
}

// Clients at once: as configured, as far as descriptors allow it beside the reserve.
[[nodiscard]] std::size_t connection_limit(const IngestConfig& config) {
  const std::size_t wanted = config.connections_max != 0 ? config.connections_max : kConnectionsMax;
  const std::size_t descriptors = descriptor_limit(wanted + kDescriptorReserve);
  const std::size_t left = descriptors > kDescriptorReserve ? descriptors - kDescriptorReserve : 0;
  const std::size_t allowed = std::min(wanted, std::max(left, kFewConnections));
  if (allowed < config.connections_max) {
    log::warn("ingest.connections_max is more than descriptors allow",
              {{"connections_max", config.connections_max},
               {"allowed", allowed},
               {"descriptors", descriptors},
               {"reserve", kDescriptorReserve}});
  }
  return allowed;
}

[[nodiscard]] std::vector<Tcp::endpoint> addresses(const IngestConfig& config) {
  std::vector<Tcp::endpoint> endpoints;
  for (const std::string& text : config.listen) endpoints.push_back(listen_endpoint(text));
  return endpoints;
}

[[nodiscard]] std::shared_ptr<TlsContext> tls_of(const Settings& settings) {
  const auto& tls = settings.config.ingest.tls;
  return tls ? make_server_tls(*tls) : nullptr;
}

// One shard and its thread.
struct ShardThread {
  std::unique_ptr<ShardLoop> loop;
  std::unique_ptr<Shard> shard;  // behind the loop: goes first
};

// Thread: as Service.  Bounds: 256 shards.
class IngestService final : public Service {
 public:
  explicit IngestService(VolatileBudget* budget) : budget_(budget) {
    exporter_.show("ingest_");
    exporter_.add_gauges(source_gauges);
  }
  ~IngestService() override { stop(); }

  [[nodiscard]] std::string_view name() const noexcept override { return "ingest"; }
  [[nodiscard]] std::string listen() const override { return listen_; }
  [[nodiscard]] metrics::Exporter& exporter() noexcept override { return exporter_; }

  void set_tracing(trace::TracingPtr tracing) override { tracing_ = std::move(tracing); }
  void start(std::shared_ptr<const Settings> settings) override;
  [[nodiscard]] std::vector<std::string> not_ready() const override;
  void use(const UpdatePtr& update) override;
  void drain(std::function<void()> done) override;
  [[nodiscard]] Duration drain_limit() const override;
  void stop() override;
  [[nodiscard]] std::string status() const override;
  [[nodiscard]] unsigned shards() const noexcept override {
    return started_ ? static_cast<unsigned>(threads_.size()) : 0U;
  }
  [[nodiscard]] Duration silent_for() const noexcept override;
  [[nodiscard]] std::uint64_t memory_wanted(const Settings& settings) const override;

 private:
  VolatileBudget* budget_;
  metrics::Exporter exporter_;
  trace::TracingPtr tracing_;  // may be null
  std::shared_ptr<const Settings> settings_;
  std::unique_ptr<kafka::TopicWatch> watch_;  // null on the embedded broker; outlives the shards
  std::vector<ShardThread> threads_;
  std::string listen_;
  int partitions_ = 0;  // of the event topics
  std::atomic<bool> started_{false};
  std::atomic<bool> draining_{false};
  std::atomic<std::size_t> draining_shards_{0};
};

// Bodies, the producer's queue, and as much again for the batches that the client library makes of
// what is queued.
std::uint64_t IngestService::memory_wanted(const Settings& settings) const {
  const unsigned shards = shard_count(settings.config.ingest.shards);
  return kProgramBytes + std::uint64_t{shards} * 3 * memory_share(settings.config, shards);
}

void IngestService::start(std::shared_ptr<const Settings> settings) {
  settings_ = std::move(settings);
  const Config& config = settings_->config;
  std::vector<Tcp::endpoint> endpoints = addresses(config.ingest);
  const auto create = config.topics.create ? kafka::Create::Yes : kafka::Create::No;
  const auto plan = kafka::topic_plan(config);
  partitions_ = kafka::ensure_topics(config.kafka, plan, create);
  std::optional<std::size_t> record_bytes_max;
  // The embedded broker has no such question, and would be asked for seconds.
  if (budget_ == nullptr) {
    record_bytes_max = kafka::accepted_by_topics(
        kafka::message_bytes_of(kafka::properties_of(config.kafka, plan), plan), config);
    kafka::WatchOptions watched;
    watched.grow = config.topics.create;
    watch_ = std::make_unique<kafka::TopicWatch>(config.kafka, plan, watched, nullptr);
  }

  const unsigned shards = shard_count(config.ingest.shards);
  const std::size_t connections_max = connection_limit(config.ingest);
  const auto connections = std::make_shared<std::atomic<std::size_t>>(0);
  for (unsigned i = 0; i < shards; ++i) {
    ShardThread thread;
    thread.loop = std::make_unique<ShardLoop>(i, exporter_.add_slab(), placement_of(shards));
    thread.shard = std::make_unique<Shard>(
        *thread.loop, ShardOptions{.settings = settings_,
                                   .tls = tls_of(*settings_),
                                   .shards = shards,
                                   .connections_max = connections_max,
                                   .handshakes_max = config.ingest.handshakes_max,
                                   .connections = connections,
                                   .record_bytes_max = record_bytes_max,
                                   .topics = watch_.get(),
                                   .limits = {},
                                   .budget = budget_,
                                   .tracing = tracing_});
    thread.shard->listen(endpoints, i == 0 ? Port::Take : Port::Join);
    endpoints =
        thread.shard->endpoints();  // a port the kernel chose is taken by the others as well
    threads_.push_back(std::move(thread));
  }
  for (const Tcp::endpoint& endpoint : endpoints) {
    if (!listen_.empty()) listen_ += ',';
    listen_ += print_endpoint(endpoint);
  }
  for (ShardThread& thread : threads_) {
    thread.loop->start();
    thread.loop->post([&shard = *thread.shard] { shard.start(); });
  }
  started_ = true;
}

Duration IngestService::silent_for() const noexcept {
  Duration longest = Duration::zero();
  if (!started_) return longest;
  for (const ShardThread& thread : threads_) {
    longest = std::max(longest, thread.loop->silent_for());
  }
  return longest;
}

std::vector<std::string> IngestService::not_ready() const {
  if (!started_) return {"starting"};
  std::vector<std::string> reasons;
  if (draining_) reasons.emplace_back("draining");
  const auto any = [this](auto test) {
    return std::any_of(threads_.begin(), threads_.end(), test);
  };
  if (any([](const ShardThread& thread) { return !thread.shard->ready(); })) {
    reasons.emplace_back("kafka: the brokers have not told the partitions of the topic yet");
  }
  if (any([](const ShardThread& thread) { return thread.shard->figures().stalled; })) {
    reasons.emplace_back("kafka: records are not acknowledged");
  }
  if (watch_ != nullptr) {
    for (std::string& reason : watch_->reasons()) reasons.push_back(std::move(reason));
  }
  return reasons;
}

void IngestService::use(const UpdatePtr& update) {
  const std::shared_ptr<const Settings>& settings = update->settings;
  const bool sources = update->configuration && !same_sources(*settings_, *settings);
  // Everything that can fail is made before the first shard is touched.
  std::vector<std::shared_ptr<Receiver>> receivers(threads_.size());
  std::vector<std::shared_ptr<TlsContext>> contexts(threads_.size());
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    if (sources) receivers[i] = std::make_shared<Receiver>(settings);
    if (update->configuration) contexts[i] = tls_of(*settings);
  }
  settings_ = settings;
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    threads_[i].loop->call([&, i] {
      Shard& shard = *threads_[i].shard;
      if (sources) return shard.reload(std::move(receivers[i]), std::move(contexts[i]));
      shard.use(settings);
      if (update->configuration) shard.use_tls(std::move(contexts[i]));
    });
  }
}

void IngestService::drain(std::function<void()> done) {
  if (draining_.exchange(true)) return;
  if (threads_.empty()) return done();
  draining_shards_ = threads_.size();
  const Duration delay = settings_->config.ingest.drain_delay;
  for (ShardThread& thread : threads_) {
    thread.loop->post([this, &shard = *thread.shard, delay, done] {
      shard.drain(delay, [this, done] {
        if (--draining_shards_ == 0) done();
      });
    });
  }
}

Duration IngestService::drain_limit() const {
  if (!settings_) return Duration::zero();
  return settings_->config.ingest.drain_delay + shard_drain_limit(*settings_);
}

void IngestService::stop() {
  for (ShardThread& thread : threads_) thread.loop->stop();
  for (ShardThread& thread : threads_) thread.loop->join();
  started_ = false;
  for (ShardThread& thread : threads_) thread.shard.reset();
  threads_.clear();
}

// Where a provider sends the events of an instance; the first ones by their number.
std::string print_instances(const Settings& settings, std::string_view listen) {
  constexpr std::size_t kShownMax = 20;
  std::vector<const Instance*> all;
  settings.registry.for_each([&all](const Instance& instance) { all.push_back(&instance); });
  const std::size_t shown = std::min(kShownMax, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(shown), all.end(),
                    [](const Instance* a, const Instance* b) { return a->id < b->id; });
  const std::string scheme = settings.config.ingest.tls ? "https://" : "http://";
  const std::string base = scheme + std::string(listen.substr(0, listen.find(',')));
  std::string list = "[";
  for (std::size_t i = 0; i < shown; ++i) {
    const Instance& instance = *all[i];
    if (i > 0) list += ',';
    list += std::move(JsonObject{}
                          .number("id", instance.id.value)
                          .text("name", instance.name)
                          .text("event_url",
                                base + event_path(settings.config.ingest.base_path, instance)))
                .finish();
  }
  return list += ']';
}

std::string IngestService::status() const {
  std::string shards = "[";
  std::uint64_t connections = 0;
  std::uint64_t inflight = 0;
  for (std::size_t i = 0; started_ && i < threads_.size(); ++i) {
    const ShardFigures figures = threads_[i].shard->figures();
    connections += figures.connections;
    inflight += figures.inflight;
    JsonObject shard;
    shard.number("shard", std::uint64_t{i})
        .number("connections", figures.connections)
        .number("inflight", figures.inflight)
        .number("queue_messages", figures.queue_messages)
        .number("queue_bytes", figures.queue_bytes)
        .number("oldest_unacknowledged_ms", figures.oldest_unacknowledged_ms)
        .number("accept_failures", figures.accept_failures)
        .number("handshakes", figures.handshakes)
        .number("handshakes_cut", figures.handshakes_cut)
        .flag("stalled", figures.stalled);
    if (i > 0) shards += ',';
    shards += std::move(shard).finish();
  }
  shards += ']';
  JsonObject all;
  all.text("service", "ingest")
      .text("listen", listen_)
      .flag("draining", draining_)
      .number("connections", connections)
      .number("inflight", inflight)
      .number("partitions", std::int64_t{partitions_})
      .raw("shards", shards);
  if (settings_) {
    all.number("instances", static_cast<std::uint64_t>(settings_->registry.size()))
        .raw("event_urls", print_instances(*settings_, listen_));
  }
  return std::move(all).finish();
}

}  // namespace

std::vector<std::string> settings_problems(const Settings& settings) {
  std::vector<std::string> problems;
  const auto attempt = [&problems](const auto& make) {
    try {
      make();
    } catch (const std::exception& problem) {
      problems.emplace_back(problem.what());
    }
  };
  attempt([&] { static_cast<void>(Sources(settings)); });
  attempt([&] { static_cast<void>(tls_of(settings)); });
  return problems;
}

std::unique_ptr<Service> make_service(VolatileBudget* budget) {
  return std::make_unique<IngestService>(budget);
}

}  // namespace eventrelay::ingest
