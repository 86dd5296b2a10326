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

LaneConfig lane_config(const DeliveryConfig& delivery, const DetachConfig& detach) {
  LaneConfig config;
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
  for (auto it = lanes_.begin(); it != lanes_.end();) {
    Lane& lane = *it->second.lane;
    const Instance* const instance = settings_->registry.find(it->second.instance);
    const Subscription* const subscription = find_subscription(instance, it->first);
    if (subscription == nullptr) {
      failing_.erase(lane.index);
      scheduler_.retire(lane, finished);
      it = lanes_.erase(it);
      continue;
    }
    if (TargetPtr target = make_target(*instance, *subscription)) {
      scheduler_.configure(lane, lane_config(subscription->delivery, settings_->config.detach));
      set_target(lane, std::move(target));
    }
    ++it;
  }
}

Subscriptions::Match Subscriptions::match(const Event& event, std::vector<Lane*>& lanes) {
  auto it = routes_.find(event.instance);
  if (it == routes_.end()) {
    const Instance* const instance = settings_->registry.find(event.instance);
    if (instance == nullptr) return Match::UnknownInstance;
    it = routes_.emplace(event.instance, make_route(*instance)).first;
  }
  for (const Arm& arm : it->second.arms) {
    if (arm.subscription->wants(event.event_type, event.object_type)) lanes.push_back(arm.lane);
  }
  return lanes.empty() ? Match::None : Match::Some;
}

Subscriptions::Route Subscriptions::make_route(const Instance& instance) {
  Route route{&instance, {}};
  if (!instance.events_enabled) return route;
  for (const Subscription& subscription : instance.subscriptions) {
    route.arms.push_back(Arm{&subscription, &lane_of(instance, subscription)});
  }
  return route;
}

Lane& Subscriptions::lane_of(const Instance& instance, const Subscription& subscription) {
  const auto known = lanes_.find(subscription.id);
  if (known != lanes_.end()) return *known->second.lane;
  TargetPtr target = make_target(instance, subscription);
  // check_subscriptions() has built the same before these settings were taken.
  EVENTRELAY_ASSERT(target != nullptr);
  Lane& lane = scheduler_.add_lane(lane_config(subscription.delivery, settings_->config.detach));
  lanes_.emplace(subscription.id, Known{&lane, instance.id});
  set_target(lane, std::move(target));
  return lane;
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

Lane* Subscriptions::find(InstanceId id, std::string_view subscription) {
  const auto known = lanes_.find(subscription);
  if (known != lanes_.end() && known->second.instance == id) return known->second.lane;
  const Instance* const instance = settings_->registry.find(id);
  const Subscription* const found = find_subscription(instance, subscription);
  return found == nullptr ? nullptr : &lane_of(*instance, *found);
}

void Subscriptions::set_target(const Lane& lane, TargetPtr target) {
  if (targets_.size() <= lane.index) targets_.resize(lane.index + 1U);
  targets_[lane.index] = std::move(target);
}

void Subscriptions::note_recovery(const Job& job) {
  const auto it = failing_.find(job.lane->index);
  if (it != failing_.end() && --it->second.waiting == 0) failing_.erase(it);
}

void Subscriptions::note_failure(const Job& job, metrics::Outcome outcome) {
  const Lane& lane = *job.lane;
  if (lane.retired) return;
  const WallTime received = job.held->event.received;
  const auto [it, fresh] = failing_.try_emplace(lane.index);
  Failing& entry = it->second;
  if (fresh) {
    entry.subscription = targets_[lane.index]->id;
    entry.oldest_pending = received;
  }
  if (fresh || job.attempts_made == 0) ++entry.waiting;
  entry.oldest_pending = std::min(entry.oldest_pending, received);
  entry.last = outcome;
  ++entry.failures;
}

std::vector<Failing> Subscriptions::failing(std::size_t max) const {
  std::vector<Failing> all;
  all.reserve(failing_.size());
  for (const auto& [index, entry] : failing_) all.push_back(entry);
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
