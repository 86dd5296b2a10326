#include "ingest/admission.hpp"

#include <algorithm>

#include "common/base/assert.hpp"

namespace eventrelay::ingest {

bool Units::hold(Budget& budget, std::size_t amount) noexcept {
  EVENTRELAY_ASSERT(budget_ == nullptr || budget_ == &budget);
  if (amount > held_) {
    if (!budget.take(amount - held_)) return false;
  } else {
    budget.give(held_ - amount);
  }
  budget_ = &budget;
  held_ = amount;
  return true;
}

void Units::release() noexcept {
  if (budget_ == nullptr) return;
  budget_->give(std::exchange(held_, 0));
  budget_ = nullptr;
}

bool Admission::stalled(const KafkaState& kafka, TimePoint now) const noexcept {
  if (kafka.bytes >= limits_.queue_bytes || kafka.messages >= limits_.queue_messages) return true;
  if (!kafka.still_since) return false;
  const Duration slow = std::min(3 * kafka.took, limits_.stall_max);
  return now - *kafka.still_since > std::max(limits_.stall_after, slow);
}

Admission::Verdict Admission::admit(const KafkaState& kafka, TimePoint now) noexcept {
  std::optional<TimePoint>& last_probe = last_probe_[kafka.bucket];
  if (!stalled(kafka, now)) {
    last_probe.reset();
    return kafka.wait_too_long ? Verdict::Reject : Verdict::Admit;
  }
  // The first request that meets the stall is refused as well: its record would only wait.
  if (!last_probe) {
    last_probe = now;
    return Verdict::Reject;
  }
  if (probes_.used() > 0 || now - *last_probe < limits_.probe_interval) return Verdict::Reject;
  last_probe = now;
  return Verdict::Probe;
}

}  // namespace eventrelay::ingest
