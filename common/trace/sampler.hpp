// Which traces are recorded: the samplers of OpenTelemetry, decided once per trace.
//
// Why:     the decision is made where a trace begins and travels in the sampled flag, so that a
//          trace is recorded whole or not at all.
// Thread:  any; immutable.  Bounds: O(1), no allocation.  Errors: none.
#pragma once

#include <cstdint>

#include "common/observe/trace_context.hpp"

namespace eventrelay::trace {

// Thread: immutable.
class Sampler {
 public:
  // Every trace, or none.
  [[nodiscard]] static Sampler always_on() noexcept { return Sampler(kEvery); }
  [[nodiscard]] static Sampler always_off() noexcept { return Sampler(0); }
  // This share of all traces, told by the id alone: a program that has the same share and sees the
  // same trace decides the same. Pre: 0 to 1.
  [[nodiscard]] static Sampler ratio(double share) noexcept;

  [[nodiscard]] bool samples(const TraceId& trace) const noexcept;

 private:
  static constexpr std::uint64_t kEvery = std::uint64_t{1} << 63U;
  explicit Sampler(std::uint64_t below) noexcept : below_(below) {}

  std::uint64_t below_;  // of 2^63
};

}  // namespace eventrelay::trace
