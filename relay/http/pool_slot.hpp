// When a kept connection may be used again, and which to keep.
//
// Why:     the checked address lives in the connection, so its age bounds how old a check can be; a
//          connection idle for long is one the far end has closed.
// Owner:   the connection pool of the shell.  Thread: shard-local; time is an argument.
// Bounds:  PoolConfig; O(1), no allocation.
// Errors:  none.
#pragma once

#include <chrono>
#include <cstdint>

#include "common/base/clock.hpp"

namespace eventrelay::relay {

struct PoolConfig {
  Duration age_max{std::chrono::minutes{5}};    // since it was dialed; then the name is asked again
  Duration idle_max{std::chrono::seconds{30}};  // longer: more answers arrive on a dead connection
  std::uint32_t uses_max = 10'000;              // requests over one connection
};

// The state of one connection. Thread: shard-local.  Bounds: 40 bytes.
class PoolSlot {
 public:
  enum class State : std::uint8_t { Busy, Idle, Closed };
  enum class Action : std::uint8_t { Keep, Close };

  // A connection dialed at `now`, busy with its first request.
  explicit PoolSlot(TimePoint now) noexcept : dialed_(now) {}

  // A request ended. `reusable` is the delivery's word; `idle` and `idle_limit` are of the
  // endpoint: one idle connection per attempt it may have in flight. Close: the slot is closed.
  struct Release {
    bool reusable = false;
    std::uint32_t idle = 0;
    std::uint32_t idle_limit = 0;
  };
  [[nodiscard]] Action release(const Release& release, TimePoint now,
                               const PoolConfig& config) noexcept;
  // A request wants it. Keep: it is busy now; Close: too old, take another. Pre: Idle.
  [[nodiscard]] Action acquire(TimePoint now, const PoolConfig& config) noexcept;
  // When an idle one must be closed. Pre: Idle.
  [[nodiscard]] TimePoint expires_at(const PoolConfig& config) const noexcept;
  void close() noexcept { state_ = State::Closed; }

  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] std::uint32_t uses() const noexcept { return uses_; }

 private:
  State state_ = State::Busy;
  std::uint32_t uses_ = 1;
  TimePoint dialed_;
  TimePoint idle_since_{};
};

}  // namespace eventrelay::relay
