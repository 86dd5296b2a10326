#include "relay/backlog/look_ahead.hpp"

#include <gtest/gtest.h>

namespace eventrelay::relay {
namespace {

const TimePoint kNow{std::chrono::seconds{100}};

// A host that answers every question and does nothing.
SubscriptionQueue idle_queue() {
  QueueConfig config;
  config.concurrency = 2;
  config.jobs_max = 10;
  SubscriptionQueue queue(config);
  queue.unresponsive = false;
  queue.tried = true;
  return queue;
}

TEST(CouldTake, WhoHasNothingToDo) {
  EXPECT_TRUE(could_take(idle_queue(), kNow));
}

TEST(CouldTake, WhoWasNeverCalled) {
  SubscriptionQueue queue = idle_queue();
  queue.unresponsive = true;
  queue.tried = false;
  EXPECT_TRUE(could_take(queue, kNow));
}

TEST(CouldTake, WhoHasOneUnderWayAndMayHaveTwo) {
  SubscriptionQueue queue = idle_queue();
  queue.jobs = queue.in_flight = 1;
  EXPECT_TRUE(could_take(queue, kNow));
  queue.jobs = queue.in_flight = 2;
  EXPECT_FALSE(could_take(queue, kNow));
}

TEST(CouldTake, NotWhoIsBehindAsWell) {
  SubscriptionQueue queue = idle_queue();
  queue.jobs = 1;
  EXPECT_FALSE(could_take(queue, kNow));
}

TEST(CouldTake, NotWhoDoesNotAnswer) {
  SubscriptionQueue queue = idle_queue();
  queue.unresponsive = true;
  EXPECT_FALSE(could_take(queue, kNow));
}

TEST(CouldTake, NotWhoAskedForAWait) {
  SubscriptionQueue queue = idle_queue();
  queue.not_before = kNow + std::chrono::milliseconds{1};
  EXPECT_FALSE(could_take(queue, kNow));
  EXPECT_TRUE(could_take(queue, queue.not_before));
}

TEST(CouldTake, NotWhoseBreakerIsOpen) {
  SubscriptionQueue queue = idle_queue();
  for (int i = 0; i < 1000; ++i) queue.breaker.on_failure(kNow);
  EXPECT_FALSE(could_take(queue, kNow));
}

}  // namespace
}  // namespace eventrelay::relay
