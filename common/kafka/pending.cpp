#include "common/kafka/pending.hpp"

namespace eventrelay::kafka {

PendingRecords::Slot* PendingRecords::add(std::uint64_t token, std::size_t bytes, TimePoint now,
                                          std::size_t bucket) {
  EVENTRELAY_ASSERT(bucket < kBuckets);
  Slot* slot = free_;
  if (slot != nullptr) {
    free_ = slot->newer;
  } else {
    slot = &slots_.emplace_back();
  }
  PartitionBucket& in = buckets_[bucket];
  *slot = {token, bytes, now, in.newest, nullptr, static_cast<std::uint8_t>(bucket), true};
  (in.newest != nullptr ? in.newest->newer : in.oldest) = slot;
  in.newest = slot;
  ++in.count;
  ++count_;
  bytes_ += bytes;
  return slot;
}

void PendingRecords::acknowledge(const Slot& slot, TimePoint now) noexcept {
  PartitionBucket& in = buckets_[slot.bucket];
  in.acknowledged = now;
  in.took = now - slot.since;
  delay_.on_acknowledged(now, in.took, count_);
}

void PendingRecords::remove(Slot* slot) noexcept {
  EVENTRELAY_ASSERT(slot->waiting);
  PartitionBucket& in = buckets_[slot->bucket];
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
  for (const PartitionBucket& bucket : buckets_) {
    if (bucket.oldest != nullptr && (found == nullptr || bucket.oldest->since < found->since)) {
      found = bucket.oldest;
    }
  }
  return found;
}

BucketState PendingRecords::all() const noexcept {
  BucketState found;
  for (const PartitionBucket& bucket : buckets_) {
    if (bucket.acknowledged > found.acknowledged) {
      found.acknowledged = bucket.acknowledged;
      found.took = bucket.took;
    }
    if (bucket.oldest != nullptr && (!found.oldest || bucket.oldest->since < *found.oldest)) {
      found.oldest = bucket.oldest->since;
    }
  }
  return found;
}

bool PendingRecords::too_long(TimePoint now) noexcept {
  if (!delay_.too_long(count_, now)) return false;
  std::size_t moving = 0;
  for (const PartitionBucket& bucket : buckets_) {
    const auto still = bucket.state().still_since();
    if (still && now - *still <= kStill) moving += bucket.count;
  }
  if (moving < count_ && !delay_.too_long(moving, now)) return false;
  delay_.on_refused(now);
  return true;
}

}  // namespace eventrelay::kafka
