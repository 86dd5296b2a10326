#include "relay/backlog/sweep_plan.hpp"

#include <algorithm>

#include "common/base/assert.hpp"

namespace eventrelay::relay {

bool SweepPlan::may_start(TimePoint now) const noexcept {
  return !sweeping_ && now >= next_start_;
}

void SweepPlan::start(Offset from, TimePoint now) {
  EVENTRELAY_ASSERT(may_start(now));
  sweeping_ = true;
  position_ = from;
  paused_since_.reset();
  taken_ = in_vain_ = 0;
  next_start_ = now + rules_.interval;
}

void SweepPlan::passed(Offset next) noexcept {
  EVENTRELAY_ASSERT(sweeping_);
  if (next > position_) position_ = next;
}

SweepPlan::Act SweepPlan::next(const View& view) const noexcept {
  EVENTRELAY_ASSERT(sweeping_);
  if (view.following == 0 || position_ >= view.live) return Act::End;
  if (!view.wanted || *view.wanted >= view.live) return Act::End;
  if (view.wanted->value - position_.value > rules_.jump_over) return Act::Jump;
  return Act::Read;
}

bool SweepPlan::pause(TimePoint now) noexcept {
  EVENTRELAY_ASSERT(sweeping_);
  if (!paused_since_) paused_since_ = now;
  // A slow subscription that is fed at its own pace would keep all others from the next sweep.
  return now < next_start_;
}

void SweepPlan::end() noexcept {
  if (in_vain_ > 4 * taken_) {
    next_start_ += std::min(in_vain_ * rules_.rest, rules_.rest_intervals_max * rules_.interval);
  }
  sweeping_ = false;
  paused_since_.reset();
}

}  // namespace eventrelay::relay
