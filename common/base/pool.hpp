// Objects that are used again instead of being freed; each stays where it is.
//
// Why:     what comes and goes with every event must not ask the allocator each time.
// Owner:   one part of a shard.  Thread: one owner.
// Bounds:  O(1) per call; memory of the most that were in use at once is kept.
// Errors:  none.
#pragma once

#include <cstddef>
#include <deque>
#include <utility>
#include <vector>

namespace eventrelay {

// Thread: one owner.  Bounds: see the head of this file.
template <class T>
class Pool {
 public:
  // One that was given back, as it was left; otherwise a new one made from `args`.
  template <class... Args>
  [[nodiscard]] T& take(Args&&... args) {
    if (free_.empty()) return all_.emplace_back(std::forward<Args>(args)...);
    T& one = *free_.back();
    free_.pop_back();
    return one;
  }
  void give_back(T& one) { free_.push_back(&one); }

  // In use and free.
  [[nodiscard]] std::size_t made() const noexcept { return all_.size(); }
  // The one that was made as number `index`, from 0.
  [[nodiscard]] T& operator[](std::size_t index) { return all_[index]; }
  // All of them, free ones too.
  [[nodiscard]] auto begin() noexcept { return all_.begin(); }
  [[nodiscard]] auto end() noexcept { return all_.end(); }
  [[nodiscard]] auto begin() const noexcept { return all_.begin(); }
  [[nodiscard]] auto end() const noexcept { return all_.end(); }

 private:
  std::deque<T> all_;
  std::vector<T*> free_;
};

}  // namespace eventrelay
