// What the status page says about those who are away.
//
// Why:     the page must not reach into a shard that is at work.
// Owner:   the shard; readers have copies.  Thread: value.
// Bounds:  kAwayMax entries.  Errors: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "relay/backlog/cursor/cursor_types.hpp"

namespace eventrelay::relay {

inline constexpr std::size_t kAwayMax = 20;

// One entry. Thread: value.
struct AwayEntry {
  std::int32_t partition = 0;
  std::int64_t distance = 0;  // offsets from its cursor to the live position, or to its end
  EntryStatus entry;
};

// Thread: value.  Bounds: see the head of this file.
struct AwayStatus {
  CursorCounts counts;
  std::size_t sweeps = 0;
  std::size_t near_log_start = 0;  // partitions
  std::vector<AwayEntry> oldest;
};

}  // namespace eventrelay::relay
