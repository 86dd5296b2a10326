#include "bench/load/histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace eventrelay::bench {

std::size_t Histogram::bucket_of(std::uint64_t ns) noexcept {
  constexpr std::uint64_t kSub = 1U << kSubBits;
  if (ns < kSub) return static_cast<std::size_t>(ns);
  const auto octave = static_cast<std::size_t>(std::bit_width(ns)) - kSubBits;  // >= 1
  const auto sub = static_cast<std::size_t>(ns >> (octave - 1)) & (kSub - 1);
  return std::min((octave << kSubBits) + sub, kBuckets - 1);
}

std::uint64_t Histogram::upper_bound(std::size_t bucket) noexcept {
  constexpr std::uint64_t kSub = 1U << kSubBits;
  const std::size_t octave = bucket >> kSubBits;
  const std::uint64_t sub = bucket & (kSub - 1);
  if (octave == 0) return sub;
  return ((kSub + sub + 1) << (octave - 1)) - 1;
}

void Histogram::record(Duration value) noexcept {
  add(value, 1);
}

void Histogram::add(Duration value, std::uint64_t count) noexcept {
  const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(value.count(), 0));
  counts_[bucket_of(ns)] += count;
  count_ += count;
  max_ = std::max(max_, value);
}

Histogram Histogram::corrected(Duration interval) const noexcept {
  Histogram whole = *this;
  if (interval <= Duration::zero()) return whole;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    if (counts_[i] == 0) continue;
    const Duration value = std::min(Duration{static_cast<std::int64_t>(upper_bound(i))}, max_);
    for (Duration left = value - interval; left >= interval; left -= interval) {
      whole.add(left, counts_[i]);
    }
  }
  return whole;
}

void Histogram::merge(const Histogram& other) noexcept {
  for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

Duration Histogram::percentile(double share) const noexcept {
  if (count_ == 0) return Duration{0};
  const auto rank = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += counts_[i];
    if (seen >= rank) return std::min(Duration{static_cast<std::int64_t>(upper_bound(i))}, max_);
  }
  return max_;
}

}  // namespace eventrelay::bench
