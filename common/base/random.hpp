// A small generator of random numbers: the same seed gives the same numbers.
//
// Why:     jitter, trace ids and what is random in event ids need numbers that are cheap; none of
//          them must stay secret.
// Thread:  one owner.  Bounds: 32 bytes, O(1) per number.  Errors: none.
#pragma once

#include <array>
#include <cstdint>

namespace eventrelay {

// xoshiro256** (prng.di.unimi.it), its state filled from the seed by splitmix64.
// Thread: one owner.  Bounds: see the head of this file.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept;

  [[nodiscard]] std::uint64_t next() noexcept {
    const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17U;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate(state_[3], 45);
    return result;
  }
  // Uniform in [0, 1).
  [[nodiscard]] double unit() noexcept { return static_cast<double>(next() >> 11U) * 0x1.0p-53; }

 private:
  static std::uint64_t rotate(std::uint64_t x, unsigned n) noexcept {
    return x << n | x >> (64U - n);
  }

  std::array<std::uint64_t, 4> state_;
};

// A seed that nobody can foresee, from the system's source.
[[nodiscard]] std::uint64_t random_seed();

}  // namespace eventrelay
