#include "relay/dispatch/slots.hpp"

#include "common/base/assert.hpp"

namespace eventrelay::relay {

Slots::Slots(std::uint32_t max) : max_(max), eighth_(max / 8), plenty_(max - 4 * eighth_) {
  EVENTRELAY_ASSERT(max >= 1);
}

SlotClaim Slots::claim_of(const Lane& lane) noexcept {
  if (!lane.quiet && lane.behind) return SlotClaim::Behind;
  if (!lane.quiet) return lane.in_flight < kFew ? SlotClaim::Few : SlotClaim::More;
  if (lane.in_flight != 0) return SlotClaim::QuietMore;
  return lane.tried ? SlotClaim::QuietFirst : SlotClaim::NewFirst;
}

bool Slots::has_room(SlotClaim claim) const noexcept {
  if (claim == SlotClaim::Few) return in_flight_ < max_;
  if (claim == SlotClaim::Behind) return in_flight_ < max_ - 2 * eighth_;
  if (in_flight_ >= max_ - eighth_) return false;
  return claim == SlotClaim::More || quiet_ < max_ - static_cast<std::uint32_t>(claim) * eighth_;
}

bool Slots::admits_of_few(Lane& lane) noexcept {
  const SlotClaim claim = claim_of(lane);
  if (has_room(claim)) return true;
  EVENTRELAY_ASSERT(claim != SlotClaim::Few);
  wait(lane, claim);
  return false;
}

void Slots::wait(Lane& lane, SlotClaim claim) noexcept {
  lane.waits = claim;
  waits_[index(claim)].push_back(&lane);
  ++waiting_;
}

void Slots::leave(Lane& lane) noexcept {
  waits_[index(lane.waits)].remove(&lane);
  lane.waits = SlotClaim::Few;
  --waiting_;
}

// An attempt of a quiet lane has ended, or one that was not answered.
void Slots::judge(Lane& lane, std::optional<Answer> answer, TimePoint now) noexcept {
  if (lane.quiet) --quiet_;
  if (!answer) return;
  lane.tried = true;
  if (*answer == Answer::Answered) {
    lane.heard = now;
    lane.quiet = false;
    quiet_ -= lane.in_flight;
    if (lane.in_flight != 0 && !lane.watched) watch(lane, now);
  } else if (!lane.quiet) {
    lane.quiet = true;
    quiet_ += lane.in_flight;
  }
}

Lane* Slots::next_waiting() noexcept {
  for (std::size_t i = 0; i < kClaims; ++i) {
    const std::size_t at = (turn_ + i) % kClaims;
    Lane* const lane = waits_[at].first;
    if (lane == nullptr || !has_room(lane->waits)) continue;
    turn_ = at + 1;
    leave(*lane);
    return lane;
  }
  return nullptr;
}

void Slots::watch(Lane& lane, TimePoint now) noexcept {
  lane.watched = true;
  lane.look_at = now + kSilence / 2;
  watched_.push_back(&lane);
}

void Slots::look_at_first(TimePoint now) noexcept {
  Lane& lane = *watched_.first;
  watched_.remove(&lane);
  lane.watched = false;
  if (lane.quiet || lane.in_flight == 0) return;
  if (now - lane.heard < kSilence) return watch(lane, now);
  lane.quiet = true;
  quiet_ += lane.in_flight;
  if (lane.waits == SlotClaim::Few) return;
  leave(lane);
  wait(lane, claim_of(lane));
}

void Slots::forget(Lane& lane) noexcept {
  EVENTRELAY_ASSERT(lane.in_flight == 0);
  if (lane.waits != SlotClaim::Few) leave(lane);
  if (lane.watched) watched_.remove(&lane);
  lane.watched = false;
}

}  // namespace eventrelay::relay
