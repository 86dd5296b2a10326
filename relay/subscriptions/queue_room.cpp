#include "relay/subscriptions/queue_room.hpp"

#include <charconv>

namespace eventrelay::relay {

std::optional<InstanceId> instance_of(std::string_view subscription) noexcept {
  InstanceId id;
  const std::string_view digits = subscription.substr(0, subscription.find('/'));
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id.value);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return id;
}

ReadinessGate::Readiness QueueRoom::look(std::string_view subscription) {
  ReadinessGate::Readiness view;
  const auto instance = instance_of(subscription);
  const auto seen = instance ? subscriptions_.see(*instance, subscription) : std::nullopt;
  if (!seen) return view;
  view.ordering = seen->ordering;
  const SubscriptionQueue* const queue = seen->queue;
  if (queue == nullptr) {
    view.open = view.replay_open = true;
    return view;
  }
  const auto probe_at = queue->breaker.probe_at();
  const bool closed = queue->breaker.state() == CircuitBreaker::State::Closed;
  const bool due = probe_at.has_value() && *probe_at <= now_ && queue->jobs == 0;
  // A quarter must be free before it is worth reading for, or each end would start a catch-up read.
  const std::uint32_t most = queue->config.jobs_max;
  view.open = closed ? queue->jobs <= most - (most + 3) / 4 : due;
  view.replay_open = view.open;
  return view;
}

}  // namespace eventrelay::relay
