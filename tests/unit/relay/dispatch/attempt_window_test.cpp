#include "relay/dispatch/attempt_window.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace eventrelay::relay {
namespace {

// Ends attempts for a while, always with as many under way as the window allows.
// Thread: test.  Bounds: none.
class Load {
 public:
  // `rate`: ends per second with so many under way.
  void run(AttemptWindow& window, Duration span, const std::function<double(std::uint32_t)>& rate) {
    const TimePoint end = now_ + span;
    for (TimePoint turn = now_; now_ < end;) {
      static_cast<void>(window.has_room(window.width()));
      now_ += std::chrono::duration_cast<Duration>(
          std::chrono::duration<double>(1.0 / rate(window.width())));
      window.on_end(now_);
      widest = std::max(widest, window.width());
      if (now_ - turn < std::chrono::milliseconds{200}) continue;
      turn = now_;
      window.turn();
    }
  }
  std::uint32_t widest = 0;

 private:
  TimePoint now_{std::chrono::seconds{100}};
};

double busy(std::uint32_t /*width*/) {
  return 40'000;
}
// Each attempt takes 20 ms, up to what the shard can do.
double slow(std::uint32_t width) {
  return std::min(width / 0.02, 40'000.0);
}

TEST(AttemptWindow, StaysNarrowWhereMoreAtOnceDeliverNoMore) {
  AttemptWindow window(1024);
  Load load;
  load.run(window, std::chrono::seconds{10}, busy);
  EXPECT_EQ(window.width(), 64U);
  EXPECT_EQ(load.widest, 128U);  // the window was once as wide as that
}

TEST(AttemptWindow, WidensWithinAFewAttemptsWhereEachWaits) {
  AttemptWindow window(1024);
  Load load;
  load.run(window, std::chrono::milliseconds{400}, slow);
  EXPECT_EQ(load.widest, 1024U);
  load.run(window, std::chrono::seconds{20}, slow);
  EXPECT_GE(window.width(), 512U);
}

TEST(AttemptWindow, NarrowsAgainWhenEndpointsGetFaster) {
  AttemptWindow window(1024);
  Load load;
  load.run(window, std::chrono::seconds{1}, slow);
  ASSERT_GE(window.width(), 512U);
  load.run(window, std::chrono::seconds{40}, busy);
  EXPECT_EQ(window.width(), 64U);
}

TEST(AttemptWindow, NarrowsWhileItDoesNotLimit) {
  AttemptWindow window(1024);
  Load load;
  load.run(window, std::chrono::seconds{1}, slow);
  ASSERT_GE(window.width(), 512U);
  for (int i = 0; i < 20; ++i) window.turn();
  EXPECT_EQ(window.width(), 64U);
}

TEST(AttemptWindow, WidensAtOnceWhereNothingEnds) {
  AttemptWindow window(1024);
  window.stalled(64);
  EXPECT_EQ(window.width(), 128U);
  window.stalled(500);
  EXPECT_EQ(window.width(), 564U);
  for (int i = 0; i < 20; ++i) window.stalled(window.width());
  EXPECT_EQ(window.width(), 1024U);
}

TEST(AttemptWindow, NeverPassesASmallMaximum) {
  AttemptWindow window(16);
  EXPECT_TRUE(window.has_room(15));
  EXPECT_FALSE(window.has_room(16));
  Load load;
  load.run(window, std::chrono::seconds{2}, slow);
  EXPECT_EQ(window.width(), 16U);
}

}  // namespace
}  // namespace eventrelay::relay
