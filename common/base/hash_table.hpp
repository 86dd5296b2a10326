// A hash table through a hook in each item that grows as it fills: Boost.Intrusive with buckets of
// its own.
//
// Why:     items that are pooled are found by a key without an allocation for each.
// Owner:   as its user; the table owns no item.  Thread: one owner.
// Bounds:  O(1) per call; one pointer per hook and at most two per item in buckets, none while it
//          was never used.
// Errors:  none; an item is taken out before it ends.
#pragma once

#include <boost/intrusive/unordered_set.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace eventrelay {

using TableHook = boost::intrusive::unordered_set_member_hook<
    boost::intrusive::link_mode<boost::intrusive::normal_link>>;

// `KeyOf` has a `type`, which compares equal, and makes it of an item; `Hash` is of that type.
// Items of one key are allowed and stand side by side. Thread: one owner.
template <class Item, TableHook Item::*Hook, class KeyOf, class Hash>
class HashTable {
  using Set = boost::intrusive::unordered_multiset<
      Item, boost::intrusive::member_hook<Item, TableHook, Hook>,
      boost::intrusive::key_of_value<KeyOf>, boost::intrusive::hash<Hash>,
      boost::intrusive::power_2_buckets<true>>;

 public:
  using Key = typename KeyOf::type;

  [[nodiscard]] std::size_t size() const noexcept { return set_ ? set_->size() : 0; }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  // The first of its key; null: none.
  [[nodiscard]] Item* find(const Key& key) const noexcept {
    if (!set_) return nullptr;
    const auto found = set_->find(key);
    return found == set_->end() ? nullptr : &*found;
  }
  // The one after `item` that has the same key; null: none.
  [[nodiscard]] Item* next(const Item& item) const noexcept {
    const auto it = std::next(set_->iterator_to(const_cast<Item&>(item)));
    return it == set_->end() || !(KeyOf{}(*it) == KeyOf{}(item)) ? nullptr : &*it;
  }
  void insert(Item& item) {
    if (!set_ || set_->size() == set_->bucket_count()) grow();
    set_->insert(item);
  }
  // Pre: `item` is in the table.
  void erase(Item& item) noexcept { set_->erase(set_->iterator_to(item)); }
  // Each item once, in no order. `visit` may not insert, and may erase the item it is given.
  template <class Visit>
  void for_each(Visit&& visit) const {
    if (!set_) return;
    for (auto it = set_->begin(); it != set_->end();) visit(*it++);
  }

 private:
  using Bucket = typename Set::bucket_type;
  using Traits = typename Set::bucket_traits;

  static constexpr std::size_t kBucketsMin = 4;

  void grow() {
    const std::size_t count = set_ ? 2 * set_->bucket_count() : kBucketsMin;
    auto larger = std::make_unique<Bucket[]>(count);
    if (set_) {
      set_->rehash(Traits(larger.get(), count));
    } else {
      set_.emplace(Traits(larger.get(), count));
    }
    buckets_ = std::move(larger);
  }

  std::unique_ptr<Bucket[]> buckets_;
  mutable std::optional<Set> set_;
};

}  // namespace eventrelay
