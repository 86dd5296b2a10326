#include "ingest/admission.hpp"

#include "common/assert.hpp"

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
  return kafka.oldest_pending && now - *kafka.oldest_pending > limits_.stall_after;
}

Admission::Verdict Admission::admit(const KafkaState& kafka, TimePoint now) noexcept {
  if (!stalled(kafka, now)) {
    last_probe_.reset();
    return Verdict::Admit;
  }
  // The first request that meets the stall is refused as well: its record would only wait.
  if (!last_probe_) {
    last_probe_ = now;
    return Verdict::Reject;
  }
  if (probes_.used() > 0 || now - *last_probe_ < limits_.probe_interval) return Verdict::Reject;
  last_probe_ = now;
  return Verdict::Probe;
}

}  // namespace eventrelay::ingest
