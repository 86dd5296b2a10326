#include "relay/dispatch/concurrency_limiter.hpp"

#include "common/base/assert.hpp"

namespace eventrelay::relay {

ConcurrencyLimiter::ConcurrencyLimiter(std::uint32_t max)
    : max_(max), eighth_(max / 8), plenty_(max - 4 * eighth_) {
  EVENTRELAY_ASSERT(max >= 1);
}

SlotClaim ConcurrencyLimiter::claim_of(const SubscriptionQueue& queue) noexcept {
  if (!queue.unresponsive && queue.behind) return SlotClaim::Behind;
  if (!queue.unresponsive) return queue.in_flight < kFew ? SlotClaim::Few : SlotClaim::More;
  if (queue.in_flight != 0) return SlotClaim::UnresponsiveMore;
  return queue.tried ? SlotClaim::UnresponsiveFirst : SlotClaim::NewFirst;
}

bool ConcurrencyLimiter::has_room(SlotClaim claim) const noexcept {
  if (claim == SlotClaim::Few) return in_flight_ < max_;
  if (claim == SlotClaim::Behind) return in_flight_ < max_ - 2 * eighth_;
  if (in_flight_ >= max_ - eighth_) return false;
  return claim == SlotClaim::More ||
         unresponsive_ < max_ - static_cast<std::uint32_t>(claim) * eighth_;
}

bool ConcurrencyLimiter::admits_of_few(SubscriptionQueue& queue) noexcept {
  const SlotClaim claim = claim_of(queue);
  if (has_room(claim)) return true;
  EVENTRELAY_ASSERT(claim != SlotClaim::Few);
  wait(queue, claim);
  return false;
}

void ConcurrencyLimiter::wait(SubscriptionQueue& queue, SlotClaim claim) noexcept {
  queue.waits = claim;
  waits_[index(claim)].push_back(queue);
  ++waiting_;
}

void ConcurrencyLimiter::leave(SubscriptionQueue& queue) noexcept {
  unlink(waits_[index(queue.waits)], queue);
  queue.waits = SlotClaim::Few;
  --waiting_;
}

// An attempt of an unresponsive queue has ended, or one that was not answered.
void ConcurrencyLimiter::judge(SubscriptionQueue& queue, std::optional<Answer> answer,
                               TimePoint now) noexcept {
  if (queue.unresponsive) --unresponsive_;
  if (!queue.tried) --new_;
  if (!answer) return;
  if (!queue.tried) {
    queue.tried = true;
    new_ -= queue.in_flight;
    if (*answer == Answer::Answered) {
      new_heard_ = now;
      new_answer_ = true;
    }
  }
  if (*answer == Answer::Answered) {
    queue.heard = now;
    queue.unresponsive = false;
    unresponsive_ -= queue.in_flight;
    if (queue.in_flight != 0 && !queue.watched) watch(queue, now);
  } else if (!queue.unresponsive) {
    queue.unresponsive = true;
    unresponsive_ += queue.in_flight;
  }
}

SubscriptionQueue* ConcurrencyLimiter::next_waiting() noexcept {
  for (std::size_t i = 0; i < kClaims; ++i) {
    const std::size_t at = (turn_ + i) % kClaims;
    if (waits_[at].empty()) continue;
    SubscriptionQueue& queue = waits_[at].front();
    if (!has_room(queue.waits)) continue;
    turn_ = at + 1;
    leave(queue);
    return &queue;
  }
  return nullptr;
}

void ConcurrencyLimiter::watch(SubscriptionQueue& queue, TimePoint now) noexcept {
  queue.watched = true;
  queue.look_at = now + kSilence / 2;
  watched_.push_back(queue);
}

void ConcurrencyLimiter::look_at_first(TimePoint now) noexcept {
  SubscriptionQueue& queue = take_first(watched_);
  queue.watched = false;
  if (queue.unresponsive || queue.in_flight == 0) return;
  if (now - queue.heard < kSilence) return watch(queue, now);
  queue.unresponsive = true;
  unresponsive_ += queue.in_flight;
  if (queue.waits == SlotClaim::Few) return;
  leave(queue);
  wait(queue, claim_of(queue));
}

void ConcurrencyLimiter::forget(SubscriptionQueue& queue) noexcept {
  EVENTRELAY_ASSERT(queue.in_flight == 0);
  if (queue.waits != SlotClaim::Few) leave(queue);
  if (queue.watched) unlink(watched_, queue);
  queue.watched = false;
}

}  // namespace eventrelay::relay
