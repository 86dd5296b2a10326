// How many bytes may be in a broker that forgets: accepted and not yet finished, in one process.
//
// Why:     the embedded broker drops the head of a partition past 5 MiB without a word. One sum
//          over all partitions is stricter than a sum per partition, and needs no look into the
//          broker.
// Owner:   `eventrelay dev`; outlives both services.
// Thread:  any; one relaxed atomic.
// Bounds:  O(1).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace eventrelay {

// Thread: any.  Bounds: one counter.
class VolatileBudget {
 public:
  // What headers and batch framing add to a record, at most.
  static constexpr std::size_t kRecordOverhead = 1024;

  explicit VolatileBudget(std::size_t bytes_max)
      : bytes_max_(static_cast<std::int64_t>(bytes_max)) {}

  // May a record with this value be written now? Counts it if so.
  [[nodiscard]] bool take(std::size_t value_bytes) noexcept {
    const auto bytes = static_cast<std::int64_t>(value_bytes + kRecordOverhead);
    if (unfinished_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= bytes_max_) return true;
    unfinished_.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  }
  // A record was written by the relay itself, which must not be refused.
  void add(std::size_t value_bytes) noexcept {
    unfinished_.fetch_add(static_cast<std::int64_t>(value_bytes + kRecordOverhead),
                          std::memory_order_relaxed);
  }
  // A record was finished by the relay, or never reached the broker.
  void give_back(std::size_t value_bytes) noexcept {
    unfinished_.fetch_sub(static_cast<std::int64_t>(value_bytes + kRecordOverhead),
                          std::memory_order_relaxed);
  }
  [[nodiscard]] std::int64_t unfinished() const noexcept {
    return unfinished_.load(std::memory_order_relaxed);
  }

 private:
  std::int64_t bytes_max_;
  std::atomic<std::int64_t> unfinished_{0};
};

}  // namespace eventrelay
