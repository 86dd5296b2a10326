#include "common/base/random.hpp"

#include "common/base/crypto.hpp"

namespace eventrelay {

Random::Random(std::uint64_t seed) noexcept {
  for (std::uint64_t& word : state_) {
    seed += 0x9E3779B97F4A7C15U;
    std::uint64_t z = seed;
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    word = z ^ (z >> 31U);
  }
}

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  crypto::random_bytes(reinterpret_cast<char*>(&seed), sizeof(seed));
  return seed;
}

}  // namespace eventrelay
