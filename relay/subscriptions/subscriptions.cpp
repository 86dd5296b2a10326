#include "relay/subscriptions/subscriptions.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "common/base/assert.hpp"
#include "common/base/start_error.hpp"
#include "common/observe/log.hpp"
#include "relay/http/endpoint_guard.hpp"

namespace eventrelay::relay {

namespace {

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
  const DeliveryConfig& delivery = subscription.delivery;
  const bool allow_private = relay.allow_private_addresses || delivery.allow_private_addresses;
  const EndpointGuard guard(GuardConfig{allow_private, delivery.allow_http, delivery.ports});
  EndpointKey key;
  key.tls = subscription.url.tls;
  key.allow_private = allow_private;
  key.port = subscription.url.port;
  key.port_allowed = guard.allows_port(key.port);
  key.host = subscription.url.host;
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

}  // namespace

void Subscriptions::use(std::shared_ptr<const Settings> settings, std::vector<Finished>& finished) {
  routes_.clear();  // they point into the old registry
  settings_ = std::move(settings);
  common_policy_ = std::make_shared<const RetryPolicy>(
      plan_of(settings_->config.retry, DeliveryConfig{}, steps_));
  for (auto it = queues_.begin(); it != queues_.end();) {
    SubscriptionQueue& queue = *it->second.queue;
    const Instance* const instance = settings_->registry.find(it->second.instance);
    const Subscription* const subscription = find_subscription(instance, it->first);
    if (subscription == nullptr) {
      failing_.erase(queue.index);
      health_.forget(queue.index);
      scheduler_.retire(queue, finished);
      it = queues_.erase(it);
      continue;
    }
    if (TargetPtr target = make_target(*instance, *subscription)) {
      scheduler_.configure(queue, queue_config(subscription->delivery, settings_->config.detach));
      set_target(queue, std::move(target));
    }
    ++it;
  }
}

Subscriptions::Match Subscriptions::match(const Event& event,
                                          std::vector<SubscriptionQueue*>& queues) {
  auto it = routes_.find(event.instance);
  if (it == routes_.end()) {
    const Instance* const instance = settings_->registry.find(event.instance);
    if (instance == nullptr) return Match::UnknownInstance;
    it = routes_.emplace(event.instance, make_route(*instance)).first;
  }
  for (const Arm& arm : it->second.arms) {
    if (arm.subscription->wants(event.event_type, event.object_type)) queues.push_back(arm.queue);
  }
  return queues.empty() ? Match::None : Match::Some;
}

Subscriptions::Route Subscriptions::make_route(const Instance& instance) {
  Route route{&instance, {}};
  if (!instance.events_enabled) return route;
  for (const Subscription& subscription : instance.subscriptions) {
    route.arms.push_back(Arm{&subscription, &queue_of(instance, subscription)});
  }
  return route;
}

SubscriptionQueue& Subscriptions::queue_of(const Instance& instance,
                                           const Subscription& subscription) {
  const auto known = queues_.find(subscription.id);
  if (known != queues_.end()) return *known->second.queue;
  TargetPtr target = make_target(instance, subscription);
  // check_subscriptions() has built the same before these settings were taken.
  EVENTRELAY_ASSERT(target != nullptr);
  SubscriptionQueue& queue =
      scheduler_.add_queue(queue_config(subscription.delivery, settings_->config.detach));
  queues_.emplace(subscription.id, Known{&queue, instance.id});
  set_target(queue, std::move(target));
  return queue;
}

TargetPtr Subscriptions::make_target(const Instance& instance, const Subscription& subscription) {
  try {
    TargetPtr target(new Target(instance, subscription, policy_of(subscription.delivery)));
    target->endpoint = pool_.endpoint(endpoint_key(subscription, settings_->config.relay));
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
  const auto known = queues_.find(subscription);
  if (known != queues_.end() && known->second.instance == id) return known->second.queue;
  const Instance* const instance = settings_->registry.find(id);
  const Subscription* const found = find_subscription(instance, subscription);
  return found == nullptr ? nullptr : &queue_of(*instance, *found);
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

void Subscriptions::note_next(const Job& job, WallTime due) {
  const auto it = failing_.find(job.queue->index);
  if (it == failing_.end()) return;
  WallTime& next = it->second.told.next_attempt;
  if (next <= wall_now() || due < next) next = due;
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

std::vector<Failing> Subscriptions::failing(std::size_t max, TimePoint now) const {
  std::vector<Failing> all;
  all.reserve(failing_.size());
  const WallTime wall = wall_now();
  for (const auto& [index, each] : failing_) {
    Failing& failing = all.emplace_back(each.told);
    // What is here already waits for its breaker or for the wait its endpoint asked for.
    TimePoint from = each.queue->not_before;
    if (const auto probe = each.queue->breaker.probe_at()) from = std::max(from, *probe);
    const WallTime free = wall + std::chrono::duration_cast<std::chrono::milliseconds>(
                                     std::max<Duration>(from - now, Duration::zero()));
    failing.next_attempt = each.queue->has_queued() ? free : std::max(free, failing.next_attempt);
  }
  const auto middle = all.begin() + static_cast<std::ptrdiff_t>(std::min(max, all.size()));
  std::partial_sort(all.begin(), middle, all.end(), [](const Failing& a, const Failing& b) {
    return a.oldest_pending < b.oldest_pending;
  });
  all.erase(middle, all.end());
  return all;
}

void check_subscriptions(const Settings& settings) {
  for (const auto& instance : settings.registry.instances()) {
    for (const Subscription& subscription : instance->subscriptions) {
      try {
        const RetryConfig& retry = settings.config.retry;
        const Target probe(*instance, subscription,
                           std::make_shared<const RetryPolicy>(
                               plan_of(retry, subscription.delivery, retry.delays)));
        if (!subscription.url.tls) continue;
        const DeliveryConfig& delivery = subscription.delivery;
        if (delivery.ca_file.empty() && delivery.client_cert.empty()) continue;
        static_cast<void>(make_client_tls(ClientTlsConfig{delivery.ca_file, delivery.client_cert}));
      } catch (const std::exception& error) {
        throw StartError("subscription " + subscription.id + ": " + error.what());
      }
    }
  }
}

}  // namespace eventrelay::relay
