#include "relay/backlog/catch_up_plan.hpp"

#include <algorithm>

#include "common/base/assert.hpp"

namespace eventrelay::relay {

bool CatchUpPlan::may_start(TimePoint now) const noexcept {
  return !catching_up_ && now >= next_start_;
}

void CatchUpPlan::start(Offset from, TimePoint now) {
  EVENTRELAY_ASSERT(may_start(now));
  catching_up_ = true;
  position_ = from;
  paused_since_.reset();
  taken_ = in_vain_ = 0;
  next_start_ = now + rules_.interval;
}

void CatchUpPlan::passed(Offset next) noexcept {
  EVENTRELAY_ASSERT(catching_up_);
  if (next > position_) position_ = next;
}

CatchUpPlan::Action CatchUpPlan::next(const View& view) const noexcept {
  EVENTRELAY_ASSERT(catching_up_);
  if (view.following == 0 || position_ >= view.live) return Action::End;
  if (!view.wanted || *view.wanted >= view.live) return Action::End;
  if (view.wanted->value - position_.value > rules_.jump_over) return Action::Jump;
  return Action::Read;
}

bool CatchUpPlan::pause(TimePoint now) noexcept {
  EVENTRELAY_ASSERT(catching_up_);
  if (!paused_since_) paused_since_ = now;
  // A slow subscription that is fed at its own pace would keep all others from the next catch-up
  // read.
  return now < next_start_;
}

bool CatchUpPlan::waited_enough(TimePoint now) const noexcept {
  return paused_since_ && now - *paused_since_ >= rules_.patience;
}

void CatchUpPlan::end() noexcept {
  if (in_vain_ > 4 * taken_) {
    next_start_ += std::min(in_vain_ * rules_.rest, rules_.rest_intervals_max * rules_.interval);
  }
  catching_up_ = false;
  paused_since_.reset();
}

}  // namespace eventrelay::relay
