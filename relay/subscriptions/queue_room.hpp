// Tells the cursors, and the reader that dispatches for them, whether a subscription has room now.
//
// Why:     a catch-up read whose events no queue takes reads a partition for nothing; and an
//          endpoint that is probed gets one event, not a queue full.
// Owner:   the catch-up reader.  Thread: shard thread.
// Bounds:  O(1) per call.  Errors: none.
#pragma once

#include "relay/backlog/cursor/cursor_types.hpp"
#include "relay/subscriptions/subscriptions.hpp"

namespace eventrelay::relay {

// Is there room for one more job?
[[nodiscard]] inline bool has_room(const SubscriptionQueue& queue) noexcept {
  if (queue.breaker.state() != CircuitBreaker::State::Closed) return queue.jobs == 0;
  return !queue.full();
}

// Thread: shard thread.  Bounds: O(1) per call.
class QueueRoom final : public ReadinessGate {
 public:
  explicit QueueRoom(Subscriptions& subscriptions) : subscriptions_(subscriptions) {}
  void at(TimePoint now) noexcept { now_ = now; }

  [[nodiscard]] ReadinessGate::Readiness look(std::string_view subscription) override;

 private:
  Subscriptions& subscriptions_;
  TimePoint now_{};
};

// The instance a subscription id begins with; nothing if it is none.
[[nodiscard]] std::optional<InstanceId> instance_of(std::string_view subscription) noexcept;

}  // namespace eventrelay::relay
