#include "relay/subscriptions/subscriptions.hpp"

#include <gtest/gtest.h>

#include <array>

#include "relay/subscriptions/queue_room.hpp"
#include "tests/unit/relay/many_fixture.hpp"

namespace eventrelay::relay {
namespace {

constexpr std::uint64_t kMany = 3 * Subscriptions::kKept;

// Thread: test.
class SubscriptionsTest : public ::testing::Test {
 protected:
  SubscriptionsTest() {
    subscriptions.use(Update{settings_, {}, true}, finished_);
    static_cast<void>(scheduler.next(TimePoint{std::chrono::hours{1}}));
  }

  SubscriptionQueue* queue_for(std::uint64_t instance) {
    Event event;
    event.instance = InstanceId{instance};
    event.element = "box";
    std::vector<SubscriptionQueue*> queues;
    const auto match = subscriptions.match(event, queues);
    return match == Subscriptions::Match::Some ? queues.at(0) : nullptr;
  }
  // One event for each.
  void use_all() {
    for (std::uint64_t id = 1; id <= kMany; ++id) EXPECT_NE(queue_for(id), nullptr);
  }

  Scheduler scheduler{SchedulerBounds{}};
  test::NoEndpoints nobody;
  Subscriptions subscriptions{scheduler, nobody, {std::chrono::seconds{1}}};

 private:
  std::shared_ptr<const Settings> settings_ = test::settings_of(test::config_of(kMany));
  std::vector<Finished> finished_;
};

TEST_F(SubscriptionsTest, KeepsNoMoreQueuesThanSomeThatAreAtRest) {
  use_all();
  EXPECT_LE(scheduler.queues(), Subscriptions::kOnce + 1);
  const SubscriptionQueue* const again = queue_for(1);
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(subscriptions.target(*again)->id, "1");
}

TEST_F(SubscriptionsTest, KeepsAQueueThatHasSomethingToDo) {
  SubscriptionQueue* const queue = queue_for(7);
  ASSERT_NE(queue, nullptr);
  HeldEvent held;
  const std::array<SubscriptionQueue*, 1> one{queue};
  ASSERT_EQ(scheduler.admit(held, one), Admitted::Yes);
  use_all();
  EXPECT_EQ(queue_for(7), queue);
  EXPECT_EQ(queue->jobs, 1U);
}

TEST_F(SubscriptionsTest, KeepsAQueueThatHasLearntSomething) {
  SubscriptionQueue* const queue = queue_for(7);
  ASSERT_NE(queue, nullptr);
  queue->breaker.on_failure(TimePoint{});
  use_all();
  EXPECT_EQ(queue_for(7), queue);
}

TEST_F(SubscriptionsTest, KeepsAQueueThatACatchUpReadHasAnEventFor) {
  SubscriptionQueue* const queue = queue_for(7);
  ASSERT_NE(queue, nullptr);
  ++queue->readers;
  use_all();
  EXPECT_EQ(queue_for(7), queue);
}

TEST_F(SubscriptionsTest, KeepsAQueueThatIsUsedAgainAndAgain) {
  SubscriptionQueue* const queue = queue_for(7);
  for (std::uint64_t id = 1; id <= kMany; ++id) {
    static_cast<void>(queue_for(id));
    ASSERT_EQ(queue_for(7), queue);
  }
}

TEST_F(SubscriptionsTest, KeepsWhatComesAgainSoonAfterItWasLetGo) {
  constexpr std::uint64_t kSome = 4 * Subscriptions::kOnce;
  for (int round = 0; round < 6; ++round) {
    for (std::uint64_t id = 1; id <= kSome; ++id) EXPECT_NE(queue_for(id), nullptr);
  }
  EXPECT_GE(scheduler.queues(), kSome - Subscriptions::kOnce);
  use_all();
  EXPECT_LE(scheduler.queues(), Subscriptions::kKept + 1);
  EXPECT_GE(scheduler.queues(), kSome - Subscriptions::kOnce) << "they made room for strangers";
}

TEST_F(SubscriptionsTest, ExpectsAnyInstance) {
  std::vector<InstanceId> ids;
  for (std::uint64_t id = kMany - 20; id < kMany + 20; ++id) ids.push_back(InstanceId{id});
  subscriptions.expect(ids);
  EXPECT_EQ(scheduler.queues(), 0U) << "what is only expected was made";
  EXPECT_NE(queue_for(kMany), nullptr);
  EXPECT_EQ(queue_for(kMany + 1), nullptr);
}

TEST_F(SubscriptionsTest, HasRoomForWhoHasNoQueueAndMakesNone) {
  QueueRoom room(subscriptions);
  EXPECT_TRUE(room.look("7").open);
  EXPECT_FALSE(room.look("0").open) << "there is no such instance";
  EXPECT_EQ(scheduler.queues(), 0U);
}

}  // namespace
}  // namespace eventrelay::relay
