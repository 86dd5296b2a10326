#include "common/trace/sampler.hpp"

#include <endian.h>

#include <cstring>

namespace eventrelay::trace {

Sampler Sampler::ratio(double share) noexcept {
  if (share <= 0) return always_off();
  if (share >= 1) return always_on();
  return Sampler(static_cast<std::uint64_t>(share * static_cast<double>(kEvery)));
}

// The last eight bytes as a number of 63 bits, as the other implementations of the ratio have it.
bool Sampler::samples(const TraceId& trace) const noexcept {
  std::uint64_t last = 0;
  std::memcpy(&last, trace.data() + 8, sizeof last);
  return be64toh(last) >> 1U < below_;
}

}  // namespace eventrelay::trace
