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

TEST(MayBeIn, AnyPartitionUntilItHadAnEvent) {
  SubscriptionQueue queue = idle_queue();
  EXPECT_TRUE(queue.may_be_in(Partition{3}));
  queue.home = Partition{3};
  EXPECT_TRUE(queue.may_be_in(Partition{3}));
  EXPECT_FALSE(queue.may_be_in(Partition{4}));
  queue.moves = true;
  EXPECT_TRUE(queue.may_be_in(Partition{4}));
}

TEST(PassedOver, TellsWhereToLookAgain) {
  PassedOver passed;
  EXPECT_FALSE(passed.ahead_of(Partition{3}, Offset{0}));
  passed.note(Partition{3}, Offset{20});
  passed.note(Partition{3}, Offset{10});
  EXPECT_EQ(passed.ahead_of(Partition{3}, Offset{5}), Offset{10});
  EXPECT_FALSE(passed.ahead_of(Partition{4}, Offset{5}));
}

TEST(PassedOver, TellsNothingThatTheLivePathHasRead) {
  PassedOver passed;
  passed.note(Partition{3}, Offset{10});
  passed.note(Partition{3}, Offset{20});
  EXPECT_EQ(passed.ahead_of(Partition{3}, Offset{15}), Offset{15});
  EXPECT_EQ(passed.ahead_of(Partition{3}, Offset{20}), Offset{20});
  EXPECT_FALSE(passed.ahead_of(Partition{3}, Offset{21}));
}

TEST(PassedOver, TellsNothingTwice) {
  PassedOver passed;
  passed.note(Partition{3}, Offset{10});
  passed.note(Partition{3}, Offset{20});
  passed.seen(Partition{4}, Offset{30});
  passed.seen(Partition{3}, Offset{10});
  EXPECT_EQ(passed.ahead_of(Partition{3}, Offset{0}), Offset{11});
  passed.seen(Partition{3}, Offset{20});
  EXPECT_FALSE(passed.ahead_of(Partition{3}, Offset{0}));
  passed.note(Partition{3}, Offset{12});
  EXPECT_EQ(passed.ahead_of(Partition{3}, Offset{0}), Offset{12});
}

TEST(PassedOver, BeginsAnewInAnotherPartition) {
  PassedOver passed;
  passed.note(Partition{3}, Offset{10});
  passed.note(Partition{4}, Offset{7});
  EXPECT_FALSE(passed.ahead_of(Partition{3}, Offset{0}));
  EXPECT_EQ(passed.ahead_of(Partition{4}, Offset{0}), Offset{7});
}

}  // namespace
}  // namespace eventrelay::relay
