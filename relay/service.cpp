#include "relay/service.hpp"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/kafka/topic_retention.hpp"
#include "common/kafka/topic_watch.hpp"
#include "common/kafka/topics.hpp"
#include "common/observe/log.hpp"
#include "common/process/shard_loop.hpp"
#include "relay/http/resolver.hpp"
#include "relay/pause_routes.hpp"
#include "relay/real_io.hpp"
#include "relay/shard.hpp"
#include "relay/subscriptions/queue_room.hpp"

namespace eventrelay::relay {

namespace {

constexpr Duration kLeaveGroup = std::chrono::seconds(5);  // last commit and leaving, after a drain

// Thread: control thread, except where Service says any.  Bounds: 256 shards.
class RelayService final : public Service {
 public:
  explicit RelayService(VolatileBudget* budget) : budget_(budget) { exporter_.show("relay_"); }
  ~RelayService() override { stop(); }

  [[nodiscard]] std::string_view name() const noexcept override { return "relay"; }
  [[nodiscard]] std::string listen() const override { return {}; }
  [[nodiscard]] metrics::Exporter& exporter() noexcept override { return exporter_; }
  void set_failed(std::function<void(std::string)> failed) override { failed_ = std::move(failed); }

  void set_tracing(trace::TracingPtr tracing) override { tracing_ = std::move(tracing); }
  void start(std::shared_ptr<const Settings> settings) override;
  [[nodiscard]] std::vector<std::string> not_ready() const override;
  void use(const UpdatePtr& update) override;
  void drain(std::function<void()> done) override;
  [[nodiscard]] Duration drain_limit() const override;
  void stop() override;
  [[nodiscard]] std::string status() const override;
  [[nodiscard]] unsigned shards() const noexcept override;
  [[nodiscard]] Duration silent_for() const noexcept override;
  [[nodiscard]] std::uint64_t memory_wanted(const Settings& settings) const override;
  void mount(AdminServer& server) override;
  void on_second() override;

 private:
  // Keeps note of the subscriptions that the control API has paused, alone or with their instance.
  void follow_disabled(InstanceId id, const Instance* instance);
  void make_shards();
  void watch_topics();
  [[nodiscard]] std::map<kafka::LogPlace, kafka::LogMark> logs_read(
      const std::string& events) const;
  void on_topic_change(const kafka::TopicChange& change);
  [[nodiscard]] PauseChange change_pause(PauseState to, std::string_view subscription);
  [[nodiscard]] std::vector<ShardStatus> shard_status() const;

  VolatileBudget* budget_;
  metrics::Exporter exporter_;
  std::function<void(std::string)> failed_;
  trace::TracingPtr tracing_;  // may be null
  std::shared_ptr<const Settings> settings_;
  std::unique_ptr<Resolver> resolver_;
  std::unique_ptr<kafka::TopicWatch> watch_;  // null on the embedded broker
  std::vector<std::unique_ptr<ShardLoop>> loops_;
  std::vector<std::unique_ptr<RealIo>> ios_;
  mutable std::mutex shards_mutex_;  // guards the vector, for not_ready() and status()
  std::vector<std::unique_ptr<Shard>> shards_;
  int partitions_ = 1;
  std::optional<Duration> retention_;
  std::atomic<unsigned> draining_{0};
  bool stopped_ = false;
  // Subscriptions of disabled instances, and of those that were enabled again, for which no shard
  // here owned the partition yet. The owner writes the pause down, so that it stays over restarts.
  struct Unsettled {
    PauseState to = PauseState::Paused;
    unsigned rounds = 0;  // tried so often; an instance that is enabled again is given up at last
  };
  std::map<std::string, Unsettled> unsettled_;
  std::map<InstanceId, std::set<std::string>> disabled_;  // subscriptions of disabled instances
  unsigned seconds_ = 0;
};

void warn_of_private_addresses(const Config& config) {
  if (!config.relay.allow_private_addresses) return;
  log::warn(
      "relay.allow_private_addresses is on: callbacks may reach loopback and private "
      "networks; for development only");
}

// As check-config tells it; the first ones only, a log is not the place for all.
void log_warnings(const Settings& settings) {
  constexpr std::size_t kLoggedMax = 10;
  std::size_t logged = 0;
  for (const std::string& each : subscription_warnings(settings)) {
    if (++logged > kLoggedMax) break;
    log::warn(each);
  }
}

// Three quarters of memory_max are events and what is fetched ahead of them. Besides: the queues of
// the producers with the batches made of them, and what is fetched ahead of the delay topics, of
// which a byte costs the client library up to 1.6.
std::uint64_t RelayService::memory_wanted(const Settings& settings) const {
  const Config& config = settings.config;
  const unsigned shards = shard_count(config.relay.shards);
  const std::uint64_t delays = std::uint64_t{config.retry.delays.size()} * kDelayPrefetch *
                               static_cast<std::uint64_t>(std::max(config.topics.partitions, 1)) *
                               8 / 5;
  return kProgramBytes + config.relay.memory_max / 4 * 3 +
         std::uint64_t{shards} * 2 * outbox_bytes(config, shards) + delays;
}

void RelayService::start(std::shared_ptr<const Settings> settings) {
  settings_ = std::move(settings);
  const Config& config = settings_->config;
  check_subscriptions(*settings_);
  settings_->registry.for_each([this](const Instance& each) { follow_disabled(each.id, &each); });
  warn_of_private_addresses(config);
  log_warnings(*settings_);
  const auto create = config.topics.create ? kafka::Create::Yes : kafka::Create::No;
  partitions_ = kafka::ensure_topics(config.kafka, kafka::topic_plan(config), create);
  // The embedded broker has no such question, and would be asked for seconds.
  if (budget_ == nullptr) {
    retention_ = kafka::retention_of(config.kafka, kafka::topic_name(config.topics, "events"));
  }
  resolver_ = std::make_unique<Resolver>(ResolverOptions{});
  make_shards();
  exporter_.add_gauges([this, delays = config.retry.delays] {
    const std::vector<ShardStatus> shards = shard_status();
    std::vector<metrics::ScrapedGauge> gauges = backlog_gauges(shards, wall_now());
    gauges.push_back(lag_gauge(shards, delays));
    return gauges;
  });
  if (budget_ == nullptr) watch_topics();
}

void RelayService::watch_topics() {
  const Config& config = settings_->config;
  kafka::WatchOptions options;
  options.ends = true;
  options.grow = config.topics.create;
  options.read = [this, events = kafka::topic_name(config.topics, "events")] {
    return logs_read(events);
  };
  watch_ = std::make_unique<kafka::TopicWatch>(
      config.kafka, kafka::topic_plan(config), options,
      [this](const kafka::TopicChange& change) { on_topic_change(change); });
  exporter_.add_gauges([this] {
    const bool troubled = watch_ != nullptr && watch_->troubled();
    return std::vector<metrics::ScrapedGauge>{
        metrics::scraped("relay_kafka_available", {{"", troubled ? 0.0 : 1.0}})};
  });
}

// In the thread of the watch. A log of which something was read has begun before these.
std::map<kafka::LogPlace, kafka::LogMark> RelayService::logs_read(const std::string& events) const {
  std::map<kafka::LogPlace, kafka::LogMark> marks;
  for (const ShardStatus& shard : shard_status()) {
    for (const PartitionStatus& each : shard.partitions) {
      if (each.position <= 0 || !each.begun) continue;
      marks[{events, each.partition}] = {unix_ms(*each.begun) + 1, each.position};
    }
  }
  return marks;
}

// In the thread of the watch.
void RelayService::on_topic_change(const kafka::TopicChange& change) {
  if (change.kind != kafka::TopicChange::Kind::Anew) return;
  for (std::size_t i = 0; i < loops_.size(); ++i) {
    loops_[i]->post([shard = shards_[i].get(), change] {
      shard->on_log_anew(change.topic, change.partition, change.end);
    });
  }
}

void RelayService::make_shards() {
  const unsigned count = shard_count(settings_->config.relay.shards);
  ShardParts parts;
  parts.settings = settings_;
  parts.budget = budget_;
  parts.shards = count;
  parts.partitions = partitions_;
  parts.retention = retention_;
  parts.limits = limits_of(settings_->config, count);
  parts.on_fatal = [this](std::string reason) {
    if (failed_) failed_(std::move(reason));
  };
  std::vector<std::unique_ptr<Shard>> shards;
  for (unsigned i = 0; i < count; ++i) {
    loops_.push_back(std::make_unique<ShardLoop>(i, exporter_.add_slab(), placement_of(count)));
    ShardLoop& loop = *loops_.back();
    RealIo* const leader = ios_.empty() ? nullptr : ios_.front().get();
    ios_.push_back(std::make_unique<RealIo>(loop.executor(), settings_, loop.slab(),
                                            resolver_.get(), tracing_, leader));
    shards.push_back(std::make_unique<Shard>(*ios_.back(), i, loop.slab(), parts));
  }
  {
    const std::lock_guard lock(shards_mutex_);
    shards_ = std::move(shards);
  }
  for (unsigned i = 0; i < count; ++i) {
    loops_[i]->start();
    loops_[i]->post([shard = shards_[i].get()] { shard->start(); });
  }
}

std::vector<ShardStatus> RelayService::shard_status() const {
  std::vector<ShardStatus> all;
  const std::lock_guard lock(shards_mutex_);
  for (const auto& shard : shards_) all.push_back(shard->status());
  return all;
}

unsigned RelayService::shards() const noexcept {
  const std::lock_guard lock(shards_mutex_);
  return static_cast<unsigned>(shards_.size());
}

Duration RelayService::silent_for() const noexcept {
  Duration longest = Duration::zero();
  const std::lock_guard lock(shards_mutex_);
  if (shards_.empty()) return longest;  // the loops are still being made
  for (const auto& loop : loops_) longest = std::max(longest, loop->silent_for());
  return longest;
}

std::vector<std::string> RelayService::not_ready() const {
  std::vector<std::string> reasons;
  const std::vector<ShardStatus> all = shard_status();
  if (all.empty()) reasons.emplace_back("shards are not running");
  for (const ShardStatus& shard : all) append_reasons(shard, reasons);
  if (watch_ != nullptr) {
    for (std::string& reason : watch_->reasons()) reasons.push_back(std::move(reason));
  }
  return reasons;
}

std::string RelayService::status() const {
  return print_status(shard_status());
}

void RelayService::mount(AdminServer& server) {
  mount_pause_routes(server, [this](PauseState to, std::string_view subscription) {
    return change_pause(to, subscription);
  });
}

PauseChange RelayService::change_pause(PauseState to, std::string_view subscription) {
  const auto instance = instance_of(subscription);
  if (!instance || stopped_) return PauseChange::NotHere;
  const int seen = watch_ != nullptr ? watch_->event_partitions() : 0;
  const int partitions = seen > 0 ? seen : partitions_;
  const Partition partition{kafka::partition_of(std::to_string(instance->value), partitions)};
  PauseChange done = PauseChange::NotHere;
  for (std::size_t i = 0; i < shards_.size() && done == PauseChange::NotHere; ++i) {
    loops_[i]->call([&] { done = shards_[i]->change_pause(to, subscription, partition); });
  }
  return done;
}

// Events of what the API has paused wait in the log, as after a pause by hand. `instance` is null
// once it is deleted.
void RelayService::follow_disabled(InstanceId id, const Instance* instance) {
  std::set<std::string> disabled;
  if (instance != nullptr) {
    for (const Subscription& each : instance->subscriptions) {
      if (instance->disabled || each.pause.paused) disabled.insert(each.id);
    }
  }
  const auto known = disabled_.find(id);
  if (known != disabled_.end()) {
    for (const std::string& each : known->second) {
      if (!disabled.contains(each)) unsettled_[each] = {PauseState::Resumed, 0};
    }
  } else if (disabled.empty()) {
    return;
  }
  for (const std::string& each : disabled) {
    const bool fresh = known == disabled_.end() || !known->second.contains(each);
    if (fresh) unsettled_[each] = {PauseState::Paused, 0};
  }
  if (disabled.empty()) {
    disabled_.erase(known);
  } else {
    disabled_[id] = std::move(disabled);
  }
}

void RelayService::on_second() {
  constexpr unsigned kRounds = 5;
  if (unsettled_.empty() || ++seconds_ % kRounds != 1) return;
  constexpr unsigned kResumeRounds = 24;
  for (auto each = unsettled_.begin(); each != unsettled_.end();) {
    const PauseState to = each->second.to;
    const bool last = ++each->second.rounds > kResumeRounds && to == PauseState::Resumed;
    const bool done = change_pause(to, each->first) != PauseChange::NotHere;
    each = done || last ? unsettled_.erase(each) : std::next(each);
  }
}

void RelayService::use(const UpdatePtr& update) {
  check_changes(*update);
  settings_ = update->settings;
  if (update->configuration) warn_of_private_addresses(settings_->config);
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    loops_[i]->post([shard = shards_[i].get(), update] { shard->use(update); });
  }
  // Behind the shards' new settings, since a new instance has no subscription to pause before.
  for (const Change& each : update->changes) follow_disabled(each.id, each.instance.get());
  seconds_ = 0;
  on_second();
}

void RelayService::drain(std::function<void()> done) {
  if (shards_.empty()) return done();
  draining_ = static_cast<unsigned>(shards_.size());
  const TimePoint deadline = monotonic_now() + settings_->config.relay.drain_timeout;
  const auto all_done = std::make_shared<std::function<void()>>(std::move(done));
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    loops_[i]->post([this, shard = shards_[i].get(), deadline, all_done] {
      shard->drain(deadline, [this, all_done] {
        if (--draining_ == 0) (*all_done)();
      });
    });
  }
}

Duration RelayService::drain_limit() const {
  return settings_->config.relay.drain_timeout + kLeaveGroup;
}

void RelayService::stop() {
  if (std::exchange(stopped_, true)) return;
  watch_.reset();
  if (resolver_ != nullptr) resolver_->stop();
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    loops_[i]->call([shard = shards_[i].get()] { shard->shutdown(); });
    loops_[i]->stop();
  }
  for (const auto& loop : loops_) loop->join();
  const std::lock_guard lock(shards_mutex_);
  shards_.clear();  // before the loops whose sockets they hold
}

}  // namespace

std::vector<std::string> settings_problems(const Settings& settings) {
  return subscription_problems(settings);
}

std::vector<std::string> settings_warnings(const Settings& settings) {
  return subscription_warnings(settings);
}

std::unique_ptr<Service> make_service(VolatileBudget* budget) {
  return std::make_unique<RelayService>(budget);
}

}  // namespace eventrelay::relay
