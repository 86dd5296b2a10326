// A scheduler and its events, with short calls for tests.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "relay/dispatch/scheduler.hpp"

namespace eventrelay::relay {

inline TimePoint at(double second) {
  return TimePoint{std::chrono::duration_cast<Duration>(std::chrono::duration<double>(second))};
}
// Thread: test.  Bounds: those of the scheduler.
class SchedulerTest : public ::testing::Test {
 protected:
  SubscriptionQueue& queue(const QueueConfig& config = {}) { return scheduler.add_queue(config); }

  HeldEvent& event(std::string_view object = "o", std::int32_t partition = 0) {
    HeldEvent& held = events_.emplace_back();
    held.event.object_id = object;
    held.partition = Partition{partition};
    held.offset = Offset{static_cast<std::int64_t>(events_.size())};
    held.bytes = 100;
    return held;
  }

  Admitted admit(HeldEvent& held, std::vector<SubscriptionQueue*> queues) {
    return scheduler.admit(held, queues);
  }
  // Admits `count` events to the queue.
  void fill(SubscriptionQueue& target, int count) {
    for (int i = 0; i < count; ++i) ASSERT_EQ(admit(event(), {&target}), Admitted::Yes);
  }
  // Takes all jobs that may go now.
  std::vector<Job*> take(double second = 0) {
    std::vector<Job*> jobs;
    while (Job* job = scheduler.next(at(second))) jobs.push_back(job);
    return jobs;
  }

  // Ends an attempt that failed and whose event was parked.
  Finished fail(Job& job, double second = 0) {
    const std::optional<Finished> gone = scheduler.leave(job, Answer::Failed, at(second));
    return gone ? *gone : scheduler.settle(job, End::Done);
  }

  Scheduler scheduler{SchedulerBounds{}};

 private:
  std::deque<HeldEvent> events_;
};

}  // namespace eventrelay::relay
