// How much one partition may read ahead. Pure.
//
// Why:     a queue over its limit is not filled for a whole second, so the limit must be wide;
//          yet all queues together must stay inside the memory budget. The library fixes the
//          limit when the handle is made, before anybody knows who gets which partition.
// Rule:    share = budget of a shard * shards of this process / partitions of the topic.
//          A partition has one owner, so the process never reads ahead more than
//          budget * shards, even if it owns every partition. A quarter of the share, at
//          most 1 MiB, is kept for the answer that is on its way when the limit is passed.
//          A partition over its limit is left out of the next fetch, which then waits for news of
//          the others, and until it is answered nothing else is fetched: the wait must be shorter
//          than what a queue lasts. Where each fetch names many partitions it is longer.
// Thread:  any.  Bounds: from 64 KiB per partition on; below that the budget is exceeded.
#pragma once

#include <algorithm>
#include <cstddef>

#include "common/kafka/consumer_client.hpp"

namespace eventrelay::kafka {

// Bounds: those of the library.
struct Prefetch {
  std::size_t queue_kbytes = 0;    // queued.max.messages.kbytes
  std::size_t queue_messages = 0;  // queued.min.messages
  std::size_t fetch_bytes = 0;     // fetch.message.max.bytes
  std::size_t wait_ms = 0;         // fetch.wait.max.ms
};

[[nodiscard]] inline Prefetch prefetch_for(const ConsumerOptions& options) noexcept {
  constexpr std::size_t kFloor = 64U << 10;
  constexpr std::size_t kFewPartitions = 100;
  const auto partitions = static_cast<std::size_t>(std::max(options.partitions, 1));
  const std::size_t share = std::max(
      options.prefetch_bytes / partitions * std::max<std::size_t>(options.shards, 1), kFloor);
  const std::size_t fetch = std::clamp<std::size_t>(share / 4, kFloor / 4, 1U << 20);
  const std::size_t queue = share - fetch;
  // Records are rarely smaller than 256 bytes with their headers; so bytes decide, not records.
  return {std::min<std::size_t>(queue / 1024, 2'097'151),
          std::clamp<std::size_t>(queue / 256, 1000, 1'000'000), fetch,
          partitions <= kFewPartitions ? 25U : 100U};
}

}  // namespace eventrelay::kafka
