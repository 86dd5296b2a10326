// Decides whether an endpoint may be called right now.
//
// Why:     a dead endpoint must cost one probe per cool-down, not one timeout per event.
// Owner:   the scheduler's queue; one breaker per subscription.
// Thread:  shard-local; no locks, no atomics.
// Bounds:  O(1) per call, never allocates.
// Errors:  none.
//
//   Closed   -- trip_after failures in a row --> Open
//   Open     -- cool_down elapsed            --> HalfOpen
//   HalfOpen -- probe succeeds --> Closed,  probe fails --> Open with a longer cool_down
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "common/base/clock.hpp"

namespace eventrelay::relay {

// Bounds: trip_after >= 1, 0 < cool_down_initial <= cool_down_max.
struct BreakerConfig {
  std::uint32_t trip_after = 10;                        // failures in a row
  Duration cool_down_initial{std::chrono::seconds{1}};  // doubles with every failed probe
  Duration cool_down_max{std::chrono::seconds{30}};     // longer: a healed endpoint waits longer
};

// Thread: shard-local.  Bounds: O(1), no allocation.
class CircuitBreaker {
 public:
  enum class Verdict : std::uint8_t { Allow, Probe, Reject };
  enum class State : std::uint8_t { Closed, Open, HalfOpen };

  explicit CircuitBreaker(const BreakerConfig& config);

  // `now` never goes backwards. After Probe, every call is rejected until one of the three below.
  [[nodiscard]] Verdict admit(TimePoint now);
  void on_success();
  void on_failure(TimePoint now);
  // The attempt ended without saying anything about the endpoint; a probe may be asked again.
  void on_cancel();

  // When admit() will say something else by itself; nothing while Closed or while a probe runs.
  [[nodiscard]] std::optional<TimePoint> probe_at() const;
  [[nodiscard]] State state() const noexcept { return state_; }
  // Closed, and the last attempt did not fail: as it was made.
  [[nodiscard]] bool untouched() const noexcept {
    return state_ == State::Closed && failures_ == 0;
  }

 private:
  void trip(TimePoint now);

  BreakerConfig config_;
  State state_ = State::Closed;
  bool probing_ = false;
  std::uint32_t failures_ = 0;  // in a row
  Duration cool_down_;          // of the next trip
  TimePoint open_until_{};
};

}  // namespace eventrelay::relay
