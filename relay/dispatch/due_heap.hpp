// A min-heap of things that wait for a time, each removable from the middle.
//
// Why:     thousands of queues rest at once, and one that goes takes itself out.
// Owner:   the scheduler.  Thread: shard-local.
// Bounds:  one entry per item; O(log n) per call, memory is kept.
// Errors:  none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "common/base/assert.hpp"
#include "common/base/clock.hpp"

namespace eventrelay::relay {

inline constexpr std::uint32_t kNotInHeap = ~std::uint32_t{0};

// `Item` has a member `std::uint32_t heap_index = kNotInHeap`, owned by the heap.
// Thread: shard-local.  Bounds: as many entries as items.
template <class Item>
class DueHeap {
 public:
  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  // Pre: not empty.
  [[nodiscard]] TimePoint due() const noexcept { return entries_.front().due; }

  void push(TimePoint due, Item* item) {
    EVENTRELAY_ASSERT(item->heap_index == kNotInHeap);
    entries_.push_back(Entry{due, item});
    item->heap_index = static_cast<std::uint32_t>(entries_.size() - 1);
    rise(entries_.size() - 1);
  }

  // Pre: not empty.
  Item* pop() {
    Item* const item = entries_.front().item;
    remove(item);
    return item;
  }

  // Pre: `item` is in this heap.
  void remove(Item* item) {
    const std::size_t hole = item->heap_index;
    EVENTRELAY_ASSERT(hole < entries_.size() && entries_[hole].item == item);
    item->heap_index = kNotInHeap;
    const Entry last = entries_.back();
    entries_.pop_back();
    if (hole == entries_.size()) return;
    place(hole, last);
    rise(hole);
    sink(last.item->heap_index);
  }

 private:
  struct Entry {
    TimePoint due;
    Item* item;
  };

  void place(std::size_t at, const Entry& entry) {
    entries_[at] = entry;
    entry.item->heap_index = static_cast<std::uint32_t>(at);
  }

  void rise(std::size_t at) {
    const Entry moved = entries_[at];
    while (at > 0 && moved.due < entries_[(at - 1) / 2].due) {
      place(at, entries_[(at - 1) / 2]);
      at = (at - 1) / 2;
    }
    place(at, moved);
  }

  void sink(std::size_t at) {
    const Entry moved = entries_[at];
    for (;;) {
      std::size_t child = 2 * at + 1;
      if (child >= entries_.size()) break;
      if (child + 1 < entries_.size() && entries_[child + 1].due < entries_[child].due) ++child;
      if (moved.due <= entries_[child].due) break;
      place(at, entries_[child]);
      at = child;
    }
    place(at, moved);
  }

  std::vector<Entry> entries_;
};

}  // namespace eventrelay::relay
