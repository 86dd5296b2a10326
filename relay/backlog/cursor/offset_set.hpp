// A small set of offsets, mostly appended to at its end.
//
// Why:     what is under way for one cursor is a handful of offsets, and the lowest is asked for
//          all the time.
// Owner:   its cursor.  Thread: shard-local.
// Bounds:  8 B per offset; O(log n) to find, O(n) to insert or erase except at the end.
// Errors:  none.
#pragma once

#include <vector>

#include "common/base/ids.hpp"

namespace eventrelay::relay {

// Ascending offsets. Thread: shard-local.  Bounds: as its user; O(log n) to find, O(n) to erase.
class OffsetSet {
 public:
  void insert(Offset at);
  bool erase(Offset at);  // false: it was not there
  void erase_below(Offset at);
  void erase_from(Offset at);
  [[nodiscard]] bool contains(Offset at) const noexcept;
  [[nodiscard]] bool empty() const noexcept { return offsets_.empty(); }
  [[nodiscard]] Offset front() const noexcept { return offsets_.front(); }
  [[nodiscard]] const std::vector<Offset>& all() const noexcept { return offsets_; }
  void clear() noexcept { offsets_ = {}; }

 private:
  std::vector<Offset> offsets_;
};

}  // namespace eventrelay::relay
