#include "relay/dispatch/circuit_breaker.hpp"

#include <algorithm>
#include <utility>

#include "common/base/assert.hpp"

namespace eventrelay::relay {

CircuitBreaker::CircuitBreaker(const BreakerConfig& config)
    : config_(config), cool_down_(config.cool_down_initial) {
  EVENTRELAY_ASSERT(config.trip_after >= 1);
  EVENTRELAY_ASSERT(config.cool_down_initial > Duration::zero());
  EVENTRELAY_ASSERT(config.cool_down_max >= config.cool_down_initial);
}

CircuitBreaker::Verdict CircuitBreaker::admit(TimePoint now) {
  if (state_ == State::Closed) return Verdict::Allow;
  if (state_ == State::Open) {
    if (now < open_until_) return Verdict::Reject;
    state_ = State::HalfOpen;
  }
  if (probing_) return Verdict::Reject;
  probing_ = true;
  return Verdict::Probe;
}

void CircuitBreaker::on_success() {
  // An answer to an attempt from before the trip says nothing about the endpoint of now.
  if (state_ == State::Open) return;
  if (state_ == State::Closed && failures_ == 0) return;
  state_ = State::Closed;
  probing_ = false;
  failures_ = 0;
  cool_down_ = config_.cool_down_initial;
}

void CircuitBreaker::on_failure(TimePoint now) {
  if (state_ == State::Open) return;
  if (state_ == State::HalfOpen) {
    trip(now);
    return;
  }
  if (++failures_ >= config_.trip_after) trip(now);
}

// The next probe is due at once, and probe_at() says so, since open_until_ has passed.
void CircuitBreaker::on_cancel() {
  if (!std::exchange(probing_, false)) return;
  state_ = State::Open;
}

void CircuitBreaker::trip(TimePoint now) {
  state_ = State::Open;
  probing_ = false;
  failures_ = 0;
  open_until_ = now + cool_down_;
  cool_down_ = std::min(cool_down_ * 2, config_.cool_down_max);
}

std::optional<TimePoint> CircuitBreaker::probe_at() const {
  if (state_ == State::Open) return open_until_;
  return std::nullopt;
}

}  // namespace eventrelay::relay
