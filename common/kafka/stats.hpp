// What the product reads out of librdkafka's statistics, and how it becomes metrics.
//
// Why:     the library counts over the life of a handle; metrics must go on over a rebuild.
// Thread:  parse_stats() any; StatsMeter its shard.
// Bounds:  one document per statistics interval.
// Errors:  a document that cannot be read is no value; nothing else depends on it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "common/observe/metrics.hpp"

namespace eventrelay::kafka {

// Sums or worst values over the brokers of one handle.
struct ClientStats {
  std::uint64_t tx_retries = 0;
  std::uint64_t request_timeouts = 0;
  double throttle_seconds = 0;    // average, worst broker
  double round_trip_seconds = 0;  // 95th percentile, worst broker
  std::uint64_t queued_messages = 0;
  std::uint64_t sent_bytes = 0;    // to brokers, as it went over the wire
  std::uint64_t record_bytes = 0;  // of the records sent: their keys and values
  std::uint64_t producer_ids = 0;  // how often a producer id or epoch was obtained
};

[[nodiscard]] std::optional<ClientStats> parse_stats(std::string_view json);

// Adds the growth since the last document of the same handle. Thread: shard.  Bounds: fixed size.
class StatsMeter {
 public:
  explicit StatsMeter(metrics::Slab& slab) : slab_(slab) {}

  void producer(const ClientStats& now);
  void consumer(const ClientStats& now);
  // The next document comes from a new handle, which counts from zero.
  void restart() noexcept { last_ = judged_ = {}; }

 private:
  void common(const ClientStats& now);
  void judge_compression(const ClientStats& now);

  metrics::Slab& slab_;
  ClientStats last_;
  ClientStats judged_;  // when compression was last judged
};

}  // namespace eventrelay::kafka
