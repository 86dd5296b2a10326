#include "common/kafka/queue_delay_estimator.hpp"

#include <algorithm>

namespace eventrelay::kafka {

void QueueDelayEstimator::on_acknowledged(TimePoint now, Duration took,
                                          std::size_t waiting) noexcept {
  turn(now);
  last_took_ = took;
  fastest_ = std::min(fastest_, took);
  if (first_) way_ = fastest_;
  if (waiting < limits_.few_records / 2) {
    counting_ = false;
    return;
  }
  if (!counting_) {
    counting_ = true;
    since_ = last_ = now;
    reports_ = before_reports_ = 0;
    before_time_ = Duration::zero();
    return;
  }
  // Reports come in batches: those of the moment at which counting began belong before it.
  if (now == since_) return;
  if (last_ - since_ >= std::max(kCounted, way_) && now > last_) {
    before_reports_ = reports_;
    before_time_ = last_ - since_;
    since_ = last_;
    reports_ = 0;
  }
  ++reports_;
  last_ = now;
}

Duration QueueDelayEstimator::wait_of(std::size_t waiting) const noexcept {
  const std::size_t reports = reports_ + before_reports_;
  const Duration time = (last_ - since_) + before_time_;
  if (time < std::max(kCounted, way_) || reports == 0) return Duration::zero();
  return time * static_cast<std::int64_t>(waiting) / static_cast<std::int64_t>(reports);
}

bool QueueDelayEstimator::too_long(std::size_t waiting, TimePoint now) const noexcept {
  const bool less = refused_ && now >= window_end_ - kLess && now < window_end_;
  const std::int64_t part = less ? 2 : 1;
  if (waiting * static_cast<std::size_t>(part) < limits_.few_records) return false;
  if (!counting_ || now - last_ > kMoving) return false;
  const Duration allowed = std::max(limits_.wait, way_ + limits_.beyond_way) / part;
  return wait_of(waiting) > allowed;
}

void QueueDelayEstimator::turn(TimePoint now) noexcept {
  if (now >= window_end_) {
    if (fastest_ != Duration::max()) {
      way_ = fastest_;
      first_ = false;
    }
    fastest_ = Duration::max();
    window_end_ = now + kWindow;
    refused_ = settled_ = false;
  } else if (refused_ && !settled_ && now >= window_end_ - kSettled) {
    settled_ = true;
    fastest_ = Duration::max();
  }
}

}  // namespace eventrelay::kafka
