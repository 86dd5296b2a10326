// What a shard tells the outside: a copy of its figures, taken a few times a second.
//
// Why:     the status page must not reach into a shard that is at work.
// Owner:   the shard; the service reads copies.
// Thread:  value.
// Bounds:  partitions owned, and kFailingMax subscriptions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/observe/metrics.hpp"
#include "relay/backlog/backlog_status.hpp"
#include "relay/log/consumer.hpp"
#include "relay/park/unknown_instances.hpp"
#include "relay/subscriptions/subscriptions.hpp"

namespace eventrelay::relay {

inline constexpr std::size_t kFailingMax = 20;
inline constexpr std::size_t kMissedShown = 20;

// Bounds: strings of reasons.
struct PartitionStatus {
  std::int32_t partition = 0;
  std::int64_t committed = -1;  // -1: not known
  std::int64_t position = -1;
  std::optional<WallTime> begun;  // as PartitionState::begun
  std::uint32_t unfinished = 0;
  PartitionState::Hold hold = PartitionState::Hold::No;
  std::string stopped;
  std::string blocked;  // why it waits for a write
};

struct ShardStatus {
  unsigned shard = 0;
  bool joined = false;
  bool draining = false;
  std::string fatal;
  std::uint64_t in_flight = 0;
  std::uint64_t jobs = 0;
  std::uint64_t held_bytes = 0;
  std::uint64_t connections = 0;
  std::uint64_t idle_connections = 0;
  std::uint64_t dials = 0;
  std::uint64_t resent = 0;        // over a kept connection that was dead
  std::uint64_t unmatched = 0;     // no such instance, or no subscription wants it
  std::vector<Missed> missed;      // instances that are not known, and their events that wait
  std::uint64_t already_done = 0;  // finished before a restart, so not sent again
  std::vector<std::string> stopped_delays;
  std::vector<PartitionStatus> partitions;
  std::vector<Failing> failing;
  BacklogStatus backlog;
  std::vector<std::int64_t> lag;  // of `events`, then of each delay step
};

// Why this shard is not ready; appends nothing if it is.
void append_reasons(const ShardStatus& status, std::vector<std::string>& reasons);
// The largest backlogs by subscription.
[[nodiscard]] std::vector<metrics::ScrapedGauge> backlog_gauges(
    const std::vector<ShardStatus>& shards, WallTime now);
// Records behind the end of the log, by topic; `delays`: the steps of the schedule.
[[nodiscard]] metrics::ScrapedGauge lag_gauge(const std::vector<ShardStatus>& shards,
                                              std::span<const std::chrono::milliseconds> delays);
// One JSON object over all shards.
[[nodiscard]] std::string print_status(const std::vector<ShardStatus>& shards);

}  // namespace eventrelay::relay
