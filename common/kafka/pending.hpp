// The records that wait for their report, by bucket, in the order in which they were handed over.
//
// Why:     a report carries a slot, so the answer's owner is found without a search; the age of the
//          oldest record and the time of the last report decide back-pressure, and they do so by
//          bucket: one partition that stands still must not stop those that go on.
// Owner:   ProducerClient.  Thread: shard thread.
// Bounds:  O(1) per call except where said; slots are reused, so nothing is allocated once warm.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "common/base/assert.hpp"
#include "common/base/clock.hpp"
#include "common/base/linked_list.hpp"
#include "common/base/pool.hpp"
#include "common/kafka/queue_delay_estimator.hpp"

namespace eventrelay::kafka {

// Partition number modulo this.
inline constexpr std::size_t kBuckets = 64;

// How records of one bucket, or of all, come through.
struct BucketState {
  std::optional<TimePoint> oldest;  // when the oldest without a report was handed over
  TimePoint acknowledged{};         // when one was acknowledged last
  Duration took{};                  // how long that one had waited

  // Since when this has stood still; nothing if none waits.
  [[nodiscard]] std::optional<TimePoint> still_since() const noexcept {
    if (!oldest) return std::nullopt;
    return *oldest > acknowledged ? *oldest : acknowledged;
  }
};

// Thread: shard thread.  Bounds: as many slots as records ever waited at once.
class PendingRecords {
 public:
  // A bucket that stood still for longer has no part in the pace of the others.
  static constexpr Duration kStill{std::chrono::milliseconds{500}};

  // One record without a report.
  struct Slot {
    std::uint64_t token = 0;
    std::size_t bytes = 0;
    TimePoint since{};
    std::uint8_t bucket = 0;
    bool waiting = false;
    ListHook by_age;
  };

  explicit PendingRecords(PaceLimits pace = {}) noexcept : delay_(pace) {}

  // pre: bucket < kBuckets.
  [[nodiscard]] Slot* add(std::uint64_t token, std::size_t bytes, TimePoint now,
                          std::size_t bucket = 0);
  // Its report says that it is stored; slots are removed besides.
  void acknowledge(const Slot& slot, TimePoint now) noexcept;
  void remove(Slot* slot) noexcept;

  [[nodiscard]] const Slot* oldest() const noexcept;  // O(kBuckets)
  [[nodiscard]] Slot* oldest() noexcept { return const_cast<Slot*>(std::as_const(*this).oldest()); }
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] BucketState bucket(std::size_t bucket) const noexcept {
    return buckets_[bucket].state();
  }
  // All as one: it stands still when nothing of any bucket is acknowledged. O(kBuckets).
  [[nodiscard]] BucketState all() const noexcept;
  // Would one more record wait too long where records move? O(1) unless so.
  [[nodiscard]] bool too_long(TimePoint now) noexcept;
  [[nodiscard]] Duration last_took() const noexcept { return delay_.last_took(); }

 private:
  struct PartitionBucket {
    LinkedList<Slot, &Slot::by_age> waiting;
    std::size_t count = 0;
    TimePoint acknowledged{};
    Duration took{};

    [[nodiscard]] BucketState state() const noexcept {
      return {waiting.empty() ? std::nullopt : std::optional{waiting.front().since}, acknowledged,
              took};
    }
  };

  std::array<PartitionBucket, kBuckets> buckets_{};
  Pool<Slot> slots_;
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
  QueueDelayEstimator delay_;
};

}  // namespace eventrelay::kafka
