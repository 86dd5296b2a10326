#include "relay/http/pool_slot.hpp"

#include <algorithm>

#include "common/base/assert.hpp"

namespace eventrelay::relay {

PoolSlot::Action PoolSlot::release(const Release& release, TimePoint now,
                                   const PoolConfig& config) noexcept {
  EVENTRELAY_ASSERT(state_ == State::Busy);
  const bool keep = release.reusable && release.idle < release.idle_limit &&
                    now - dialed_ < config.age_max && uses_ < config.uses_max;
  state_ = keep ? State::Idle : State::Closed;
  idle_since_ = now;
  return keep ? Action::Keep : Action::Close;
}

PoolSlot::Action PoolSlot::acquire(TimePoint now, const PoolConfig& config) noexcept {
  EVENTRELAY_ASSERT(state_ == State::Idle);
  if (now >= expires_at(config)) {
    state_ = State::Closed;
    return Action::Close;
  }
  state_ = State::Busy;
  ++uses_;
  return Action::Keep;
}

TimePoint PoolSlot::expires_at(const PoolConfig& config) const noexcept {
  EVENTRELAY_ASSERT(state_ == State::Idle);
  return std::min(dialed_ + config.age_max, idle_since_ + config.idle_max);
}

}  // namespace eventrelay::relay
