// The records that wait for their report, in the order in which they were handed over.
//
// Why:     a report carries a slot, so the answer's owner is found without a search, and the age
//          of the oldest record, which decides back-pressure, is known at any moment.
// Owner:   ProducerClient.  Thread: shard thread.
// Bounds:  O(1) per call; slots are reused, so nothing is allocated once warm.
#pragma once

#include <cstdint>
#include <deque>

#include "common/assert.hpp"
#include "common/clock.hpp"

namespace eventrelay::kafka {

// Thread: shard thread.  Bounds: as many slots as records ever waited at once.
class PendingRecords {
 public:
  // One record without a report. Thread: shard thread.  Bounds: fixed size.
  struct Slot {
    std::uint64_t token = 0;
    std::size_t bytes = 0;
    TimePoint since{};
    Slot* older = nullptr;
    Slot* newer = nullptr;
    bool waiting = false;
  };

  [[nodiscard]] Slot* add(std::uint64_t token, std::size_t bytes, TimePoint now) {
    Slot* slot = free_;
    if (slot != nullptr) {
      free_ = slot->newer;
    } else {
      slot = &slots_.emplace_back();
    }
    *slot = {token, bytes, now, newest_, nullptr, true};
    (newest_ != nullptr ? newest_->newer : oldest_) = slot;
    newest_ = slot;
    ++count_;
    bytes_ += bytes;
    return slot;
  }

  void remove(Slot* slot) noexcept {
    EVENTRELAY_ASSERT(slot->waiting);
    (slot->older != nullptr ? slot->older->newer : oldest_) = slot->newer;
    (slot->newer != nullptr ? slot->newer->older : newest_) = slot->older;
    slot->waiting = false;
    slot->newer = free_;
    free_ = slot;
    --count_;
    bytes_ -= slot->bytes;
  }

  [[nodiscard]] Slot* oldest() const noexcept { return oldest_; }
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  std::deque<Slot> slots_;  // addresses stay
  Slot* free_ = nullptr;
  Slot* oldest_ = nullptr;
  Slot* newest_ = nullptr;
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace eventrelay::kafka
