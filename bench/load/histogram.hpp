// Latencies in log-linear buckets: 1.6 % wide, from 1 us to an hour, merged by addition.
//
// Why:     percentiles of millions of samples in fixed memory, exact enough to compare runs.
// Thread:  one owner.  Bounds: kBuckets counters; values outside are clamped.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/base/clock.hpp"

namespace eventrelay::bench {

// Counts of durations. Thread: one owner.  Bounds: fixed.
class Histogram {
 public:
  void record(Duration value) noexcept;
  void merge(const Histogram& other) noexcept;
  // With the samples that a closed loop has left out: who is answered later than `interval`, the
  // time between two requests of one connection, would have sent another meanwhile, and so on.
  [[nodiscard]] Histogram corrected(Duration interval) const noexcept;
  // The smallest duration that at least `share` (0..1) of the samples do not exceed.
  [[nodiscard]] Duration percentile(double share) const noexcept;
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] Duration max() const noexcept { return max_; }

 private:
  void add(Duration value, std::uint64_t count) noexcept;

  static constexpr std::size_t kSubBits = 6;
  static constexpr std::size_t kBuckets = 42U << kSubBits;
  [[nodiscard]] static std::size_t bucket_of(std::uint64_t ns) noexcept;
  [[nodiscard]] static std::uint64_t upper_bound(std::size_t bucket) noexcept;

  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t count_ = 0;
  Duration max_{};
};

}  // namespace eventrelay::bench
