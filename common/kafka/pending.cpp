#include "common/kafka/pending.hpp"

namespace eventrelay::kafka {

PendingRecords::Slot* PendingRecords::add(std::uint64_t token, std::size_t bytes, TimePoint now,
                                          std::size_t bucket) {
  EVENTRELAY_ASSERT(bucket < kBuckets);
  Slot& slot = slots_.take();
  slot.token = token;
  slot.bytes = bytes;
  slot.since = now;
  slot.bucket = static_cast<std::uint8_t>(bucket);
  slot.waiting = true;
  PartitionBucket& in = buckets_[bucket];
  in.waiting.push_back(slot);
  ++in.count;
  ++count_;
  bytes_ += bytes;
  return &slot;
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
  unlink(in.waiting, *slot);
  slot->waiting = false;
  slots_.give_back(*slot);
  --in.count;
  --count_;
  bytes_ -= slot->bytes;
}

const PendingRecords::Slot* PendingRecords::oldest() const noexcept {
  const Slot* found = nullptr;
  for (const PartitionBucket& bucket : buckets_) {
    if (bucket.waiting.empty()) continue;
    const Slot& oldest = bucket.waiting.front();
    if (found == nullptr || oldest.since < found->since) found = &oldest;
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
    const auto oldest = bucket.state().oldest;
    if (oldest && (!found.oldest || *oldest < *found.oldest)) found.oldest = oldest;
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
