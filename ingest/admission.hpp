// Byte and request budget of the shard, and the rule when Kafka counts as stalled.
//
// Why:     a request that cannot be stored is refused at its head, within a second of trouble,
//          instead of being read, held and timed out.
// Owner:   the shard.
// Thread:  shard-local; no locks, no clock: time is an argument.
// Bounds:  O(1) per call, never allocates.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "common/base/clock.hpp"

namespace eventrelay::ingest {

// A bounded amount of which many take a share and give it back.
// Thread: shard-local.  Bounds: used <= max.
class Budget {
 public:
  explicit Budget(std::size_t max) noexcept : max_(max) {}

  [[nodiscard]] bool take(std::size_t amount) noexcept {
    if (amount > max_ - used_) return false;
    used_ += amount;
    return true;
  }
  void give(std::size_t amount) noexcept { used_ -= amount; }
  [[nodiscard]] std::size_t used() const noexcept { return used_; }
  [[nodiscard]] std::size_t max() const noexcept { return max_; }

 private:
  std::size_t max_;
  std::size_t used_ = 0;
};

// A share of a budget, given back by the destructor. Thread: shard-local.
// Bounds: outlived by its budget.
class Units {
 public:
  Units() = default;
  Units(Units&& other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)), held_(std::exchange(other.held_, 0)) {}
  Units& operator=(Units&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(held_, other.held_);
    return *this;
  }
  ~Units() { release(); }

  // Holds `amount` of `budget` from now on; false and unchanged if there is not so much left.
  [[nodiscard]] bool hold(Budget& budget, std::size_t amount) noexcept;
  void release() noexcept;
  [[nodiscard]] std::size_t held() const noexcept { return held_; }

 private:
  Budget* budget_ = nullptr;
  std::size_t held_ = 0;
};

struct AdmissionLimits {
  std::size_t bytes = 64U << 20;         // buffers beyond each connection's first
  std::size_t requests = 16'384;         // between head and answer
  std::size_t queue_bytes = 48U << 20;   // in the producer: from here on requests are refused
  std::size_t queue_messages = 80'000;   // likewise
  Duration stall_after{750'000'000};     // no acknowledgement for longer: stalled
  Duration stall_max{2'500'000'000};     // likewise where acknowledgements are slow anyway
  Duration probe_interval{100'000'000};  // one request is let through that often nevertheless
};

// Buckets that are told apart; one more stands for records whose partition is not known yet.
inline constexpr std::size_t kBucketsKnown = 64;

// How the producer stands, seen by one request.
struct KafkaState {
  std::size_t bucket = kBucketsKnown;  // of its record; kBucketsKnown: not known yet
  std::optional<TimePoint>
      still_since;  // since when its bucket stands still; none: no record waits
  Duration took{};  // by the last acknowledgement, of this bucket or of any
  std::size_t messages = 0;
  std::size_t bytes = 0;
  bool wait_too_long = false;  // more come than Kafka takes
};

// Decides at the head of a request whether it may go on.
//
//   Admit: Kafka takes records.  Probe: Kafka is stalled; this request finds out if it still is.
//   Reject: Kafka is stalled or too slow; requests under way find out when that ends.
//
// Slow is not stalled: a bucket counts as stalled when nothing of it was acknowledged for
// stall_after, or for three times what acknowledgements take anyway, up to stall_max.
//
// A probe waits for its acknowledgement as long as any request; so that nearly all others are
// refused at once, only one is under way at a time: its request holds the unit of probes().
//
// Thread: shard-local.  Bounds: O(1).
class Admission {
 public:
  enum class Verdict : std::uint8_t { Admit, Probe, Reject };

  explicit Admission(const AdmissionLimits& limits) noexcept
      : limits_(limits), bytes_(limits.bytes), requests_(limits.requests) {}

  // `now` never goes backwards.
  [[nodiscard]] Verdict admit(const KafkaState& kafka, TimePoint now) noexcept;
  // Does this bucket stand still, or is the queue full?
  [[nodiscard]] bool stalled(const KafkaState& kafka, TimePoint now) const noexcept;

  [[nodiscard]] Budget& bytes() noexcept { return bytes_; }
  [[nodiscard]] Budget& requests() noexcept { return requests_; }
  [[nodiscard]] Budget& probes() noexcept { return probes_; }

 private:
  AdmissionLimits limits_;
  Budget bytes_;
  Budget requests_;
  Budget probes_{1};
  std::array<std::optional<TimePoint>, kBucketsKnown + 1> last_probe_{};
};

}  // namespace eventrelay::ingest
