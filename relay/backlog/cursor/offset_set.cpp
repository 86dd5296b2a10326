#include "relay/backlog/cursor/offset_set.hpp"

#include <algorithm>

namespace eventrelay::relay {

void OffsetSet::insert(Offset at) {
  if (offsets_.empty() || offsets_.back() < at) {
    offsets_.push_back(at);
    return;
  }
  const auto place = std::lower_bound(offsets_.begin(), offsets_.end(), at);
  if (*place != at) offsets_.insert(place, at);
}

bool OffsetSet::erase(Offset at) {
  const auto place = std::lower_bound(offsets_.begin(), offsets_.end(), at);
  if (place == offsets_.end() || *place != at) return false;
  offsets_.erase(place);
  // A cursor waits long with few offsets, so the memory of many is given back.
  if (offsets_.empty() && offsets_.capacity() > 64) offsets_ = {};
  return true;
}

void OffsetSet::erase_below(Offset at) {
  offsets_.erase(offsets_.begin(), std::lower_bound(offsets_.begin(), offsets_.end(), at));
}

void OffsetSet::erase_from(Offset at) {
  offsets_.erase(std::lower_bound(offsets_.begin(), offsets_.end(), at), offsets_.end());
  offsets_.shrink_to_fit();
}

bool OffsetSet::contains(Offset at) const noexcept {
  return std::binary_search(offsets_.begin(), offsets_.end(), at);
}

}  // namespace eventrelay::relay
