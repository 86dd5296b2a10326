#include "relay/subscriptions/subscriptions.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <exception>
#include <unordered_set>
#include <utility>

#include "common/base/assert.hpp"
#include "common/base/prefetch.hpp"
#include "common/base/start_error.hpp"
#include "common/config/endpoint_guard.hpp"
#include "common/observe/log.hpp"
#include "relay/request/objects.hpp"
#include "relay/request/signer.hpp"
#include "relay/subscriptions/queue_room.hpp"

namespace eventrelay::relay {

namespace {

// Of an event of several objects, one that passes is enough.
bool passes(const Subscription& subscription, const Event& event) {
  return subscription.filter == nullptr || lets_through(*subscription.filter, event);
}

QueueConfig queue_config(const DeliveryConfig& delivery, const DetachConfig& detach) {
  QueueConfig config;
  config.ordering = delivery.ordering;
  config.concurrency = delivery.concurrency;
  config.rate = delivery.rate;
  config.jobs_max = std::max(detach.after, delivery.concurrency);
  config.slow_start = delivery.slow_start;
  return config;
}

EndpointKey endpoint_key(const Subscription& subscription, const RelayConfig& relay) {
  const DeliveryConfig& delivery = *subscription.delivery;
  const bool allow_private = relay.allow_private_addresses || delivery.allow_private_addresses;
  const EndpointGuard guard =
      guard_of(*subscription.url, delivery.ports, allow_private ? AnyPort::Yes : AnyPort::No);
  EndpointKey key;
  key.tls = subscription.url->tls;
  key.allow_private = allow_private;
  key.port = subscription.url->port;
  key.port_allowed = guard.allows_port(key.port);
  key.host = subscription.url->host;
  key.ca_file = delivery.ca_file;
  key.client_cert = delivery.client_cert;
  return key;
}

const Subscription* find_subscription(const Instance* instance, std::string_view id) {
  if (instance == nullptr || !instance->events_enabled) return nullptr;
  for (const Subscription& subscription : instance->subscriptions) {
    if (subscription.id == id) return &subscription;
  }
  return nullptr;
}

// Fetches into the cache what subscriptions of `instances` are made of. Each pass follows pointers
// that the pass before has fetched.
void fetch_instances(std::span<const Instance* const> instances) noexcept {
  for (const Instance* const instance : instances) {
    prefetch(instance);
    prefetch(&instance->name);
    prefetch(&instance->hub);
    prefetch(&instance->user);
  }
  for (const Instance* const instance : instances) {
    if (instance->subscriptions.empty()) continue;
    const Subscription& first = instance->subscriptions.front();
    prefetch(&first);
    prefetch(&first.id);
    prefetch(&first.pause);
  }
  for (const Instance* const instance : instances) {
    if (instance->subscriptions.empty()) continue;
    const Subscription& first = instance->subscriptions.front();
    prefetch(first.url.get());
    prefetch(&first.url->target);
    if (!first.keys.empty()) prefetch(&first.keys.front());
  }
  for (const Instance* const instance : instances) {
    if (instance->subscriptions.empty()) continue;
    const Subscription& first = instance->subscriptions.front();
    prefetch(first.url->target.data());
    if (!first.keys.empty()) prefetch(first.keys.front().reveal().data());
  }
}

// Is what every subscription takes from the configuration the same in both?
bool same_rules(const Config& a, const Config& b) {
  return a.retry == b.retry && a.detach == b.detach &&
         a.relay.allow_private_addresses == b.relay.allow_private_addresses;
}

// Tries to make what a subscription needs. A fault of a delivery is the same for all that share it,
// so each delivery is tried once; keys are tried for each where they have a form. Thread: one
// owner.
// Bounds: one entry per delivery that is not shared.
class Checker {
 public:
  explicit Checker(const Config& config) : config_(config) {}

  // Throws StartError naming the subscription.
  void check(const Instance& instance, const Subscription& subscription) {
    const DeliveryConfig& delivery = *subscription.delivery;
    try {
      if (!seen_.insert(&delivery).second) return check_keys(subscription);
      const RetryConfig& retry = config_.retry;
      const Target probe(
          instance, subscription,
          std::make_shared<const RetryPolicy>(plan_of(retry, delivery, retry.delays)));
      if (!subscription.url->tls) return;
      if (delivery.ca_file.empty() && delivery.client_cert.empty()) return;
      static_cast<void>(make_client_tls(ClientTlsConfig{delivery.ca_file, delivery.client_cert}));
    } catch (const std::exception& error) {
      throw StartError("subscription " + subscription.id + ": " + error.what());
    }
  }

 private:
  static void check_keys(const Subscription& subscription) {
    const Signature scheme = subscription.delivery->signature;
    const bool plain = std::none_of(
        subscription.keys.begin(), subscription.keys.end(),
        [](const Secret& key) { return key.empty() || key.reveal().starts_with("whsec_"); });
    if (scheme == Signature::None || (scheme == Signature::Elements && plain)) return;
    static_cast<void>(Signer(scheme, subscription.keys));
  }

  const Config& config_;
  std::unordered_set<const DeliveryConfig*> seen_;
};

}  // namespace

void Subscriptions::use(const Update& update, std::vector<Finished>& finished) {
  const std::shared_ptr<const Settings> former = std::exchange(settings_, update.settings);
  many_ = settings_->registry.size() > kKept;
  const bool all = former == nullptr || !same_rules(former->config, settings_->config);
  if (all) {
    common_policy_ = std::make_shared<const RetryPolicy>(
        plan_of(settings_->config.retry, DeliveryConfig{}, steps_));
  }
  if (all) {
    for (auto it = routes_.begin(); it != routes_.end();) refresh(it++, finished);
    return;
  }
  for (const Change& change : update.changes) {
    const auto route = routes_.find(change.id);
    if (route != routes_.end()) refresh(route, finished);
  }
}

// What the arms name of the former registry is still there: its owner keeps it until use() is over.
void Subscriptions::refresh(Routes::iterator route, std::vector<Finished>& finished) {
  Route& known = route->second;
  const Instance* const instance = settings_->registry.find(route->first);
  decltype(known.arms) arms;
  for (const Arm& arm : known.arms) {
    const Subscription* const now = find_subscription(instance, arm.subscription->id);
    if (now == nullptr) {
      retire(*arm.queue, finished);
      continue;
    }
    arms.push_back(Arm{now, arm.queue});
    if (TargetPtr target = make_target(*instance, *now)) {
      scheduler_.configure(*arm.queue, queue_config(*now->delivery, settings_->config.detach));
      set_target(*arm.queue, std::move(target));
    }
  }
  if (arms.empty()) {
    unlist(known);
    routes_.erase(route);
    return;
  }
  for (const Subscription& each : instance->subscriptions) {
    const bool there = std::any_of(arms.begin(), arms.end(),
                                   [&each](const Arm& arm) { return arm.subscription == &each; });
    if (!there) arms.push_back(Arm{&each, &make_queue(*instance, each)});
  }
  known.arms = std::move(arms);
}

void Subscriptions::retire(SubscriptionQueue& queue, std::vector<Finished>& finished) {
  failing_.erase(queue.index);
  health_.forget(queue.index);
  scheduler_.retire(queue, finished);
}

Subscriptions::Match Subscriptions::match(const Event& event,
                                          std::vector<SubscriptionQueue*>& queues) {
  if (too_many()) let_go();
  Route* const route = route_of(event.instance);
  if (route == nullptr) return knows(event.instance);
  for (const Arm& arm : route->arms) {
    if (passes(*arm.subscription, event)) queues.push_back(arm.queue);
  }
  return queues.empty() ? Match::None : Match::Some;
}

void Subscriptions::expect(std::span<const InstanceId> ids) const noexcept {
  constexpr std::size_t kAtOnce = 16;
  if (!many_) return;
  while (!ids.empty()) {
    const auto some = ids.first(std::min(kAtOnce, ids.size()));
    ids = ids.subspan(some.size());
    std::array<const InstancePtr*, kAtOnce> found;
    settings_->registry.find_all(some, {found.data(), some.size()});
    std::array<const Instance*, kAtOnce> instances;
    std::size_t count = 0;
    for (std::size_t i = 0; i < some.size(); ++i) {
      if (found[i] != nullptr) instances[count++] = found[i]->get();
    }
    fetch_instances({instances.data(), count});
  }
}

Subscriptions::Route* Subscriptions::route_of(InstanceId id) {
  const auto known = routes_.find(id);
  if (known != routes_.end()) {
    known->second.used = true;
    return &known->second;
  }
  const Instance* const instance = settings_->registry.find(id);
  if (instance == nullptr || !instance->events_enabled) return nullptr;
  Route& route = routes_[id];
  route.id = id;
  route.stays = !gone_.empty() && gone_at(id) == static_cast<std::uint32_t>(id.value);
  list(route);
  for (const Subscription& subscription : instance->subscriptions) {
    route.arms.push_back(Arm{&subscription, &make_queue(*instance, subscription)});
  }
  return &route;
}

void Subscriptions::list(Route& route) {
  (route.stays ? staying_ : once_).push_back(route);
  if (!route.stays) ++once_count_;
}

void Subscriptions::unlist(Route& route) {
  unlink(route.stays ? staying_ : once_, route);
  if (!route.stays) --once_count_;
}

void Subscriptions::let_go() {
  constexpr int kLooks = 4;
  for (int i = 0; i < kLooks && too_many(); ++i) {
    const bool first = once_count_ > kOnce || staying_.empty();
    look_at(first ? once_.front() : staying_.front());
  }
}

// Second chance: one that was used since it was last looked at goes behind the others (Corbato, "A
// Paging Experiment with the Multics System", 1969).
void Subscriptions::look_at(Route& route) {
  const bool used = std::exchange(route.used, false);
  if (!used && at_rest(route)) return drop(route);
  unlist(route);
  route.stays = route.stays || used;
  list(route);
}

void Subscriptions::drop(Route& route) {
  for (const Arm& arm : route.arms) {
    targets_[arm.queue->index].reset();
    retire(*arm.queue, nothing_);
  }
  if (gone_.empty()) gone_.resize(kGone);
  gone_at(route.id) = static_cast<std::uint32_t>(route.id.value);
  unlist(route);
  routes_.erase(route.id);
}

// Where an instance that is let go leaves its mark.
std::uint32_t& Subscriptions::gone_at(InstanceId id) {
  constexpr std::uint64_t kSpread = 0x9E3779B97F4A7C15ULL;
  static_assert(std::has_single_bit(kGone));
  return gone_[id.value * kSpread >> (64U - std::bit_width(kGone - 1))];
}

bool Subscriptions::at_rest(const Route& route) const {
  return std::all_of(route.arms.begin(), route.arms.end(), [this](const Arm& arm) {
    const std::uint32_t index = arm.queue->index;
    return scheduler_.at_rest(*arm.queue) && failing_.count(index) == 0 && !health_.knows(index);
  });
}

Subscriptions::Match Subscriptions::knows(InstanceId instance) const noexcept {
  const Registry& registry = settings_->registry;
  const Instance* const known = registry.find(instance);
  if (known != nullptr && (known->events_enabled || registry.disabled(instance))) {
    return Match::None;
  }
  return registry.deleted(instance) ? Match::DeletedInstance : Match::UnknownInstance;
}

SubscriptionQueue& Subscriptions::make_queue(const Instance& instance,
                                             const Subscription& subscription) {
  TargetPtr target = make_target(instance, subscription);
  // check_subscriptions() has built the same before these settings were taken.
  EVENTRELAY_ASSERT(target != nullptr);
  SubscriptionQueue& queue =
      scheduler_.add_queue(queue_config(*subscription.delivery, settings_->config.detach));
  set_target(queue, std::move(target));
  return queue;
}

TargetPtr Subscriptions::make_target(const Instance& instance, const Subscription& subscription) {
  try {
    TargetPtr target(new Target(instance, subscription, policy_of(*subscription.delivery)));
    target->endpoint = caller_.endpoint(endpoint_key(subscription, settings_->config.relay));
    return target;
  } catch (const std::exception& error) {
    log::error("subscription can not be used",
               {{"subscription", subscription.id}, {"reason", error.what()}});
    return nullptr;
  }
}

std::shared_ptr<const RetryPolicy> Subscriptions::policy_of(const DeliveryConfig& delivery) const {
  if (delivery.retry_delays.empty()) return common_policy_;
  return std::make_shared<const RetryPolicy>(plan_of(settings_->config.retry, delivery, steps_));
}

SubscriptionQueue* Subscriptions::find(InstanceId id, std::string_view subscription) {
  const Route* const route = route_of(id);
  if (route == nullptr) return nullptr;
  const auto arm = arm_of(*route, subscription);
  return arm == route->arms.end() ? nullptr : arm->queue;
}

std::optional<Subscriptions::Seen> Subscriptions::see(InstanceId id,
                                                      std::string_view subscription) const {
  const auto route = routes_.find(id);
  if (route != routes_.end()) {
    const auto arm = arm_of(route->second, subscription);
    if (arm == route->second.arms.end()) return std::nullopt;
    return Seen{arm->queue->config.ordering, arm->queue};
  }
  const Subscription* const found = find_subscription(settings_->registry.find(id), subscription);
  if (found == nullptr) return std::nullopt;
  return Seen{found->delivery->ordering, nullptr};
}

std::optional<WallTime> Subscriptions::resumed_at(std::string_view subscription) const {
  const auto id = instance_of(subscription);
  const Instance* const instance = id ? settings_->registry.find(*id) : nullptr;
  const Subscription* const found = find_subscription(instance, subscription);
  return found == nullptr ? std::nullopt : resume_time(*instance, *found);
}

void Subscriptions::set_target(const SubscriptionQueue& queue, TargetPtr target) {
  if (targets_.size() <= queue.index) targets_.resize(queue.index + 1U);
  targets_[queue.index] = std::move(target);
}

void Subscriptions::note_recovery(const Job& job) {
  const auto it = failing_.find(job.queue->index);
  if (it != failing_.end() && --it->second.told.waiting == 0) failing_.erase(it);
}

void Subscriptions::note_failure(const Job& job, const Result& result, TimePoint now) {
  const SubscriptionQueue& queue = *job.queue;
  if (queue.retired) return;
  log_change(queue, health_.failed(queue.index, result.outcome, now), result);
  const WallTime received = job.held->event.received;
  const auto [it, fresh] = failing_.try_emplace(queue.index);
  it->second.queue = &queue;
  Failing& failing = it->second.told;
  if (fresh) {
    failing.subscription = targets_[queue.index]->id;
    failing.oldest_pending = received;
  }
  if (fresh || job.attempts_made == 0) ++failing.waiting;
  failing.oldest_pending = std::min(failing.oldest_pending, received);
  failing.last = result.outcome;
  failing.detail = result.detail;
  ++failing.failures;
}

void Subscriptions::note_dead_letter(const Job& job, TimePoint now) {
  if (job.queue->retired) return;
  Result result;
  result.outcome = job.outcome;
  log_change(*job.queue, health_.dead_letter(job.queue->index, now), result);
}

void Subscriptions::note_next(const Job& job, WallTime due, WallTime now) {
  const auto it = failing_.find(job.queue->index);
  if (it == failing_.end()) return;
  WallTime& next = it->second.told.next_attempt;
  if (next <= now || due < next) next = due;
}

void Subscriptions::log_change(const SubscriptionQueue& queue,
                               const std::optional<HealthChange>& change,
                               const Result& result) const {
  if (!change) return;
  const Target& target = *targets_[queue.index];
  const std::string_view outcome = metrics::kOutcomeWords[static_cast<std::size_t>(result.outcome)];
  const auto seconds = std::chrono::duration<double>(change->lasted).count();
  switch (change->kind) {
    case HealthChange::Kind::Fails:
      return log::warn("subscription fails", {{"subscription", target.id},
                                              {"outcome", outcome},
                                              {"status", result.status},
                                              {"reason", result.detail},
                                              {"host", target.endpoint->key.host}});
    case HealthChange::Kind::DeadLetters:
      return log::warn("events of a subscription become dead letters",
                       {{"subscription", target.id},
                        {"outcome", outcome},
                        {"failures", change->failures},
                        {"seconds", seconds}});
    case HealthChange::Kind::AnswersAgain:
      return log::info(
          "subscription answers again",
          {{"subscription", target.id}, {"failures", change->failures}, {"seconds", seconds}});
  }
}

std::vector<Failing> Subscriptions::failing(std::size_t max, const Moment& moment) const {
  std::vector<Failing> all;
  all.reserve(failing_.size());
  for (const auto& [index, each] : failing_) {
    Failing& failing = all.emplace_back(each.told);
    // What is here already waits for its breaker or for the wait its endpoint asked for.
    TimePoint from = each.queue->not_before;
    if (const auto probe = each.queue->breaker.probe_at()) from = std::max(from, *probe);
    const Duration wait = std::max<Duration>(from - moment.now, Duration::zero());
    const WallTime free = moment.wall + std::chrono::duration_cast<milliseconds>(wait);
    failing.next_attempt = each.queue->has_queued() ? free : std::max(free, failing.next_attempt);
  }
  const auto middle = all.begin() + static_cast<std::ptrdiff_t>(std::min(max, all.size()));
  std::partial_sort(all.begin(), middle, all.end(), [](const Failing& a, const Failing& b) {
    return a.oldest_pending < b.oldest_pending;
  });
  all.erase(middle, all.end());
  return all;
}

std::optional<WallTime> resume_time(const Instance& instance, const Subscription& subscription) {
  const PauseSetting& pause = subscription.pause;
  if (instance.disabled || pause.paused || pause.resumed == WallTime{}) return std::nullopt;
  return pause.resumed;
}

void check_subscriptions(const Settings& settings) {
  Checker checker(settings.config);
  settings.registry.for_each([&checker](const Instance& instance) {
    for (const Subscription& each : instance.subscriptions) checker.check(instance, each);
  });
}

std::vector<std::string> subscription_problems(const Settings& settings) {
  Checker checker(settings.config);
  std::vector<std::string> problems;
  settings.registry.for_each([&](const Instance& instance) {
    for (const Subscription& each : instance.subscriptions) {
      try {
        checker.check(instance, each);
      } catch (const StartError& problem) {
        problems.emplace_back(problem.what());
      }
    }
  });
  std::sort(problems.begin(), problems.end());
  return problems;
}

std::vector<std::string> subscription_warnings(const Settings& settings) {
  std::vector<std::string> warnings;
  const bool all = settings.config.relay.allow_private_addresses;
  settings.registry.for_each([&](const Instance& instance) {
    for (const Subscription& subscription : instance.subscriptions) {
      const Judgement judged = judge_host(subscription.url->host);
      const bool allowed = all || subscription.delivery->allow_private_addresses;
      if (judged.zone == Zone::Public || (judged.zone == Zone::Private && allowed)) continue;
      std::string text = "subscription " + subscription.id + ": its host is ";
      text.append(judged.rule);
      text.append(judged.zone == Zone::Never
                      ? ", which is never called: nothing will be delivered, whatever is allowed"
                      : ", which is not public: nothing will be delivered unless "
                        "delivery.allow_private_addresses is true");
      warnings.push_back(std::move(text));
    }
  });
  std::sort(warnings.begin(), warnings.end());
  return warnings;
}

void check_changes(const Update& update) {
  Checker checker(update.settings->config);
  for (const Change& change : update.changes) {
    if (change.instance == nullptr) continue;
    for (const Subscription& each : change.instance->subscriptions) {
      checker.check(*change.instance, each);
    }
  }
}

std::vector<std::string> subscriptions_gone(const Registry& registry, const Changes& changes) {
  std::vector<std::string> gone;
  for (const Change& change : changes) {
    const Instance* const before = registry.find(change.id);
    if (before == nullptr || !before->events_enabled) continue;
    for (const Subscription& subscription : before->subscriptions) {
      if (find_subscription(change.instance.get(), subscription.id) == nullptr) {
        gone.push_back(subscription.id);
      }
    }
  }
  return gone;
}

}  // namespace eventrelay::relay
