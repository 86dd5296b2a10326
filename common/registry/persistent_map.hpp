// A map whose copies share all that they have in common: a hash trie, copied along one path.
//
//   PersistentMap next = map;   O(1): both share every node
//   next.set(value);            copies the nodes on the way to `value`, at most 11 of 64 branches
//
// Why:     a registry of 100 000 instances changes one at a time, while other threads read the
//          former one. A copy of the whole, or a lock for each event, would cost more than the
//          change itself. The trie is the one of Bagwell, "Ideal Hash Trees" (2001), in the form
//          that keeps values and branches of a node apart (Steindorfer and Vinju, OOPSLA 2015).
// Thread:  a map is changed by one thread; any other may read its copies meanwhile. The map that a
//          copy was made of must live until the copy has been changed.
// Bounds:  O(log64 size) per call; one node of up to 64 entries per six bits of the hash.
// Errors:  none but std::bad_alloc, which leaves the map as it was or without the value.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace eventrelay {

// `Traits` tells the key of a value and the hash of a key:
//   static Key key(const Value&);   static std::uint64_t hash(const Key&);
// Thread: see the head of this file.  Bounds: likewise.
template <class Value, class Traits>
class PersistentMap {
 public:
  // Null: there is none. Valid as long as this map, or a copy that shares the value, is unchanged.
  template <class Key>
  [[nodiscard]] const Value* find(const Key& key) const noexcept {
    const std::uint64_t hash = Traits::hash(key);
    const Value* found = nullptr;
    const Node* node = root_.get();
    for (unsigned shift = 0; node != nullptr; shift += kBits) {
      node = step(*node, shift, hash, key, found);
    }
    return found != nullptr && Traits::key(*found) == key ? found : nullptr;
  }

  // find() for each of `keys`, one step of all of them before the next: a core then waits for the
  // memory of many at once. Pre: `found` has as many places.
  template <class Key>
  void find_all(std::span<const Key> keys, std::span<const Value*> found) const noexcept {
    constexpr std::size_t kAtOnce = 16;
    std::array<const Node*, kAtOnce> nodes;
    while (!keys.empty()) {
      const std::size_t count = std::min(kAtOnce, keys.size());
      std::fill_n(nodes.begin(), count, root_.get());
      std::fill_n(found.begin(), count, nullptr);
      bool more = root_ != nullptr;
      for (unsigned shift = 0; std::exchange(more, false); shift += kBits) {
        for (std::size_t i = 0; i < count; ++i) {
          if (nodes[i] == nullptr) continue;
          nodes[i] = step(*nodes[i], shift, Traits::hash(keys[i]), keys[i], found[i]);
          more = more || nodes[i] != nullptr;
        }
      }
      for (std::size_t i = 0; i < count; ++i) {
        if (found[i] != nullptr && !(Traits::key(*found[i]) == keys[i])) found[i] = nullptr;
      }
      keys = keys.subspan(count);
      found = found.subspan(count);
    }
  }

  // Takes the place of a value of the same key.
  void set(Value value) {
    const std::uint64_t hash = Traits::hash(Traits::key(value));
    if (set_in(root_, hash, 0, std::move(value))) ++size_;
  }

  // False: there was none.
  template <class Key>
  bool erase(const Key& key) {
    if (find(key) == nullptr) return false;
    erase_in(root_, Traits::hash(key), 0, key);
    --size_;
    return true;
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

  // Calls `visit(const Value&)` for each, in the order of the hashes.
  template <class Visit>
  void for_each(Visit&& visit) const {
    visit_node(root_.get(), visit);
  }

 private:
  static constexpr unsigned kBits = 6;
  static constexpr unsigned kHashBits = 60;  // below that depth a node is a plain list

  struct Node;
  using NodePtr = std::shared_ptr<Node>;

  // Entry i of a map stands at the position that the bits below i count.
  struct Node {
    std::uint64_t values_map = 0;
    std::uint64_t nodes_map = 0;
    std::vector<Value> values;
    std::vector<NodePtr> nodes;
  };

  static std::uint64_t bit_of(std::uint64_t hash, unsigned shift) noexcept {
    return std::uint64_t{1} << ((hash >> shift) & 63U);
  }
  static std::size_t index_of(std::uint64_t map, std::uint64_t bit) noexcept {
    return static_cast<std::size_t>(std::popcount(map & (bit - 1)));
  }

  // Looks at `node`: the one below it to look at next. Null: there is none, and `found` is the only
  // value that may have the key, or null.
  template <class Key>
  static const Node* step(const Node& node, unsigned shift, std::uint64_t hash, const Key& key,
                          const Value*& found) noexcept {
    if (shift >= kHashBits) {
      found = find_among(node.values, key);
      return nullptr;
    }
    const std::uint64_t bit = bit_of(hash, shift);
    if ((node.values_map & bit) != 0) found = &node.values[index_of(node.values_map, bit)];
    if ((node.nodes_map & bit) == 0) return nullptr;
    return node.nodes[index_of(node.nodes_map, bit)].get();
  }

  template <class Key>
  static const Value* find_among(const std::vector<Value>& values, const Key& key) noexcept {
    for (const Value& value : values) {
      if (Traits::key(value) == key) return &value;
    }
    return nullptr;
  }

  // The node, to be changed: a copy unless no other map has it. A map that shares a node further up
  // shares it here too, since the copy of that one has just counted it.
  static Node& own(NodePtr& node) {
    if (node == nullptr) {
      node = std::make_shared<Node>();
    } else if (node.use_count() != 1) {
      node = std::make_shared<Node>(*node);
    }
    return *node;
  }

  template <class List>
  static auto at(List& list, std::size_t index) {
    return list.begin() + static_cast<std::ptrdiff_t>(index);
  }

  // Room is made for what is there and no more: most nodes hold a few values for ever.
  template <class List, class Item>
  static void insert(List& list, std::size_t index, Item&& item) {
    if (list.size() == list.capacity()) list.reserve(list.size() + 1 + list.size() / 4);
    list.insert(at(list, index), std::forward<Item>(item));
  }

  // True: there was none of its key.
  static bool set_in(NodePtr& pointer, std::uint64_t hash, unsigned shift, Value&& value) {
    Node& node = own(pointer);
    if (shift >= kHashBits) {
      for (Value& known : node.values) {
        if (!(Traits::key(known) == Traits::key(value))) continue;
        known = std::move(value);
        return false;
      }
      node.values.push_back(std::move(value));
      return true;
    }
    const std::uint64_t bit = bit_of(hash, shift);
    if ((node.nodes_map & bit) != 0) {
      return set_in(node.nodes[index_of(node.nodes_map, bit)], hash, shift + kBits,
                    std::move(value));
    }
    const std::size_t index = index_of(node.values_map, bit);
    if ((node.values_map & bit) == 0) {
      insert(node.values, index, std::move(value));
      node.values_map |= bit;
      return true;
    }
    if (Traits::key(node.values[index]) == Traits::key(value)) {
      node.values[index] = std::move(value);
      return false;
    }
    // Two keys at one place: both move one node down.
    NodePtr below;
    Value former = node.values[index];
    const std::uint64_t former_hash = Traits::hash(Traits::key(former));
    set_in(below, former_hash, shift + kBits, std::move(former));
    set_in(below, hash, shift + kBits, std::move(value));
    insert(node.nodes, index_of(node.nodes_map, bit), std::move(below));
    node.nodes_map |= bit;
    node.values.erase(at(node.values, index));
    node.values_map &= ~bit;
    return true;
  }

  // Pre: the key is there. A node that is left with one value and no branch hands it up, so that
  // a map is the same whichever way it came to its values.
  template <class Key>
  static void erase_in(NodePtr& pointer, std::uint64_t hash, unsigned shift, const Key& key) {
    Node& node = own(pointer);
    if (shift >= kHashBits) {
      for (auto it = node.values.begin(); it != node.values.end(); ++it) {
        if (!(Traits::key(*it) == key)) continue;
        node.values.erase(it);
        return;
      }
    }
    const std::uint64_t bit = bit_of(hash, shift);
    if ((node.values_map & bit) != 0) {
      node.values.erase(at(node.values, index_of(node.values_map, bit)));
      node.values_map &= ~bit;
      return;
    }
    const std::size_t index = index_of(node.nodes_map, bit);
    NodePtr& below = node.nodes[index];
    erase_in(below, hash, shift + kBits, key);
    if (!below->nodes.empty() || below->values.size() != 1) return;
    Value last = std::move(below->values.front());
    node.nodes.erase(at(node.nodes, index));
    node.nodes_map &= ~bit;
    insert(node.values, index_of(node.values_map, bit), std::move(last));
    node.values_map |= bit;
  }

  template <class Visit>
  static void visit_node(const Node* node, Visit& visit) {
    if (node == nullptr) return;
    for (const Value& value : node->values) visit(value);
    for (const NodePtr& below : node->nodes) visit_node(below.get(), visit);
  }

  NodePtr root_;
  std::size_t size_ = 0;
};

}  // namespace eventrelay
