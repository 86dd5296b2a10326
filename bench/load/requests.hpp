// Signed Box V2 requests, rendered once before the clock starts, each with an event id of its own.
//
// Why:     the generator shares the cores with what it measures, so it must not sign under load.
// Thread:  immutable after construction.  Bounds: count x body and 0.7 KiB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"

namespace eventrelay::bench {

struct RequestOptions {
  std::string host = "127.0.0.1";
  std::vector<std::string> paths;  // event URLs, taken in turn
  std::string key;                 // primary signature key
  std::size_t count = 4096;
  WallTime now{};             // the delivery timestamp; must be within the verifier's window
  std::uint64_t seed = 1;     // makes the event ids of two runs differ
  std::size_t body_size = 0;  // bytes of a body; 0: the provider's example, about 0.9 kB
};

// The smallest body that has all that is read of one.
inline constexpr std::size_t kBodySizeMin = 256;

// A Box V2 body in the shape of the provider's file example, about 0.9 kB; of `size` bytes if that
// is given: the fields that are read, and one of the length that is missing.
[[nodiscard]] std::string box_body(std::uint64_t event, std::uint64_t object, std::size_t size = 0);

// Requests as bytes. Thread: immutable.  Bounds: as its options.
class Requests {
 public:
  explicit Requests(const RequestOptions& options);

  [[nodiscard]] std::size_t size() const noexcept { return offsets_.size() - 1; }
  [[nodiscard]] std::string_view at(std::size_t i) const noexcept {
    return std::string_view(bytes_).substr(offsets_[i], offsets_[i + 1] - offsets_[i]);
  }

 private:
  std::string bytes_;
  std::vector<std::size_t> offsets_{0};
};

}  // namespace eventrelay::bench
