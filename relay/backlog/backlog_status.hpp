// What the status page says about subscriptions with a backlog.
//
// Why:     the page must not reach into a shard that is at work.
// Owner:   the shard; readers have copies.  Thread: value.
// Bounds:  kBacklogMax cursors.  Errors: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "relay/backlog/cursor/cursor_types.hpp"

namespace eventrelay::relay {

inline constexpr std::size_t kBacklogMax = 20;

// One cursor.
struct BacklogLine {
  std::int32_t partition = 0;
  std::int64_t distance = 0;  // offsets from its position to the live position, or to its end
  Duration age{};             // of the cursor, when the status was taken
  CursorStatus cursor;
};

// What waits for one subscription.
struct SubscriptionBacklog {
  std::string subscription;
  std::uint64_t events = 0;  // at most: records of others between are counted
  WallTime since{};          // when the oldest began to wait
};

struct BacklogStatus {
  CursorCounts counts;
  std::size_t catch_ups = 0;
  std::size_t near_log_start = 0;  // partitions
  std::vector<BacklogLine> oldest;
  std::uint64_t events = 0;                  // of all, as of the last second
  std::optional<WallTime> since;             // of the oldest; nothing: nothing waits
  std::vector<SubscriptionBacklog> largest;  // by events
  std::vector<SubscriptionBacklog> longest;  // by time
};

// At most kBacklogMax subscriptions of all shards or partitions, added up, by events or by time.
[[nodiscard]] std::vector<SubscriptionBacklog> largest_of(std::vector<SubscriptionBacklog> all);
[[nodiscard]] std::vector<SubscriptionBacklog> longest_of(std::vector<SubscriptionBacklog> all);

}  // namespace eventrelay::relay
