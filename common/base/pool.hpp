// Objects that are used again instead of being freed, or whose numbers are.
//
// Why:     what comes and goes with every event must not ask the allocator each time.
// Owner:   one part of a shard.  Thread: one owner.
// Bounds:  O(1) per call; memory of the most that were in use at once is kept.
// Errors:  none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

namespace eventrelay {

// Each object stays where it is. Thread: one owner.  Bounds: see the head of this file.
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

// Objects that have a number, which is used again once an object is gone; the memory of an object
// is freed. Thread: one owner.  Bounds: 12 bytes for each that lived at once.
template <class T>
class Numbered {
 public:
  // Gives it the number that was freed last, or the next one.
  std::uint32_t add(std::unique_ptr<T> one) {
    if (free_.empty()) {
      all_.push_back(std::move(one));
      return static_cast<std::uint32_t>(all_.size() - 1);
    }
    const std::uint32_t index = free_.back();
    free_.pop_back();
    all_[index] = std::move(one);
    return index;
  }
  // Pre: there is one.
  void erase(std::uint32_t index) {
    free_.push_back(index);
    all_[index].reset();
  }

  // Null: there is none of this number.
  [[nodiscard]] T* operator[](std::size_t index) const noexcept {
    return index < all_.size() ? all_[index].get() : nullptr;
  }
  // How many there are.
  [[nodiscard]] std::size_t count() const noexcept { return all_.size() - free_.size(); }
  // One past the highest number that ever was.
  [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }
  // Null where there is none.
  [[nodiscard]] auto begin() const noexcept { return all_.begin(); }
  [[nodiscard]] auto end() const noexcept { return all_.end(); }

 private:
  std::vector<std::unique_ptr<T>> all_;
  std::vector<std::uint32_t> free_;
};

// Objects of which some are kept for the next who needs one; the others are freed.
// Thread: one owner.  Bounds: `max` are kept.
template <class T>
class Spares {
 public:
  explicit Spares(std::size_t max) : max_(max) { kept_.reserve(max); }

  // Null: none is kept.
  [[nodiscard]] std::unique_ptr<T> take() noexcept {
    if (kept_.empty()) return nullptr;
    std::unique_ptr<T> one = std::move(kept_.back());
    kept_.pop_back();
    return one;
  }
  void give_back(std::unique_ptr<T> one) noexcept {
    if (kept_.size() < max_) kept_.push_back(std::move(one));
  }

 private:
  std::size_t max_;
  std::vector<std::unique_ptr<T>> kept_;
};

}  // namespace eventrelay
