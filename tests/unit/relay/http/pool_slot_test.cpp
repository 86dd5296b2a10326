#include "relay/http/pool_slot.hpp"

#include <gtest/gtest.h>

namespace eventrelay::relay {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using Action = PoolSlot::Action;
using State = PoolSlot::State;

const PoolConfig kConfig{};
constexpr PoolSlot::Release kGood{true, 0, 16};

TimePoint at(seconds time) {
  return TimePoint{time};
}

TEST(PoolSlot, KeepsAConnectionThatMayBeUsedAgain) {
  PoolSlot slot(at(seconds{0}));
  EXPECT_EQ(slot.release(kGood, at(seconds{1}), kConfig), Action::Keep);
  EXPECT_EQ(slot.state(), State::Idle);
  EXPECT_EQ(slot.acquire(at(seconds{2}), kConfig), Action::Keep);
  EXPECT_EQ(slot.state(), State::Busy);
  EXPECT_EQ(slot.uses(), 2U);
}

TEST(PoolSlot, ClosesWhatTheDeliveryCallsUnusable) {
  PoolSlot slot(at(seconds{0}));
  EXPECT_EQ(slot.release({false, 0, 16}, at(seconds{1}), kConfig), Action::Close);
  EXPECT_EQ(slot.state(), State::Closed);
}

TEST(PoolSlot, ClosesTheConnectionBeyondTheIdleLimitAtLimit) {
  PoolSlot kept(at(seconds{0}));
  EXPECT_EQ(kept.release({true, 15, 16}, at(seconds{1}), kConfig), Action::Keep);
  PoolSlot closed(at(seconds{0}));
  EXPECT_EQ(closed.release({true, 16, 16}, at(seconds{1}), kConfig), Action::Close);
}

TEST(PoolSlot, IsNotUsedAgainFiveMinutesAfterItWasDialed) {
  PoolSlot busy(at(seconds{0}));
  EXPECT_EQ(busy.release(kGood, at(minutes{5}), kConfig), Action::Close);
  PoolSlot idle(at(seconds{0}));
  ASSERT_EQ(idle.release(kGood, at(minutes{5} - seconds{1}), kConfig), Action::Keep);
  EXPECT_EQ(idle.expires_at(kConfig), at(minutes{5}));
  EXPECT_EQ(idle.acquire(at(minutes{5}), kConfig), Action::Close);
  EXPECT_EQ(idle.state(), State::Closed);
}

TEST(PoolSlot, IsNotUsedAgainWhenItWasIdleForLong) {
  PoolSlot slot(at(seconds{0}));
  ASSERT_EQ(slot.release(kGood, at(seconds{10}), kConfig), Action::Keep);
  EXPECT_EQ(slot.expires_at(kConfig), at(seconds{40}));
  EXPECT_EQ(slot.acquire(at(seconds{40}), kConfig), Action::Close);
}

TEST(PoolSlot, IsClosedAfterItsUsesAtLimit) {
  PoolConfig config;
  config.uses_max = 2;
  PoolSlot slot(at(seconds{0}));
  ASSERT_EQ(slot.release(kGood, at(seconds{1}), config), Action::Keep);
  ASSERT_EQ(slot.acquire(at(seconds{1}), config), Action::Keep);
  EXPECT_EQ(slot.release(kGood, at(seconds{2}), config), Action::Close);
}

}  // namespace
}  // namespace eventrelay::relay
