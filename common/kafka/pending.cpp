#include "common/kafka/pending.hpp"

namespace eventrelay::kafka {

PendingRecords::Slot* PendingRecords::add(std::uint64_t token, std::size_t bytes, TimePoint now,
                                          std::size_t lane) {
  EVENTRELAY_ASSERT(lane < kLanes);
  Slot* slot = free_;
  if (slot != nullptr) {
    free_ = slot->newer;
  } else {
    slot = &slots_.emplace_back();
  }
  Lane& in = lanes_[lane];
  *slot = {token, bytes, now, in.newest, nullptr, static_cast<std::uint8_t>(lane), true};
  (in.newest != nullptr ? in.newest->newer : in.oldest) = slot;
  in.newest = slot;
  ++in.count;
  ++count_;
  bytes_ += bytes;
  return slot;
}

void PendingRecords::acknowledge(const Slot& slot, TimePoint now) noexcept {
  Lane& in = lanes_[slot.lane];
  in.acknowledged = now;
  in.took = now - slot.since;
  pace_.on_acknowledged(now, in.took, count_);
}

void PendingRecords::remove(Slot* slot) noexcept {
  EVENTRELAY_ASSERT(slot->waiting);
  Lane& in = lanes_[slot->lane];
  (slot->older != nullptr ? slot->older->newer : in.oldest) = slot->newer;
  (slot->newer != nullptr ? slot->newer->older : in.newest) = slot->older;
  slot->waiting = false;
  slot->newer = free_;
  free_ = slot;
  --in.count;
  --count_;
  bytes_ -= slot->bytes;
}

PendingRecords::Slot* PendingRecords::oldest() const noexcept {
  Slot* found = nullptr;
  for (const Lane& lane : lanes_) {
    if (lane.oldest != nullptr && (found == nullptr || lane.oldest->since < found->since)) {
      found = lane.oldest;
    }
  }
  return found;
}

LaneState PendingRecords::all() const noexcept {
  LaneState found;
  for (const Lane& lane : lanes_) {
    if (lane.acknowledged > found.acknowledged) {
      found.acknowledged = lane.acknowledged;
      found.took = lane.took;
    }
    if (lane.oldest != nullptr && (!found.oldest || lane.oldest->since < *found.oldest)) {
      found.oldest = lane.oldest->since;
    }
  }
  return found;
}

bool PendingRecords::too_long(TimePoint now) noexcept {
  if (!pace_.too_long(count_, now)) return false;
  std::size_t moving = 0;
  for (const Lane& lane : lanes_) {
    const auto still = lane.state().still_since();
    if (still && now - *still <= kStill) moving += lane.count;
  }
  if (moving < count_ && !pace_.too_long(moving, now)) return false;
  pace_.on_refused(now);
  return true;
}

}  // namespace eventrelay::kafka
