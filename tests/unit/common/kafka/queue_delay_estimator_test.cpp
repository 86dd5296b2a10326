// When a record would wait too long: records handed over and acknowledged in virtual time.
#include <gtest/gtest.h>

#include "common/kafka/pending.hpp"

namespace eventrelay::kafka {
namespace {

using std::chrono::milliseconds;

constexpr PaceLimits kLimits{
    .few_records = 100, .wait = milliseconds{250}, .beyond_way = milliseconds{200}};

// Records come at one rate, and a server acknowledges them in order at another, each after the same
// delay.
class Service {
 public:
  Service(double per_ms, milliseconds way) : per_ms_(per_ms), way_(way) {}

  // One millisecond in which `come` records want in; those refused are counted.
  void tick(double come) {
    now_ += milliseconds{1};
    for (wanted_ += come; wanted_ >= 1; wanted_ -= 1) {
      if (pending_.too_long(now_)) {
        ++refused_;
      } else {
        waiting_.push_back(pending_.add(0, 1, now_, bucket_++ % 8));
      }
    }
    for (room_ = std::min(room_ + per_ms_, burst_); room_ >= 1 && !waiting_.empty(); room_ -= 1) {
      auto* slot = waiting_.front();
      if (paused_ || now_ - slot->since < way_) break;
      waiting_.pop_front();
      longest_ = std::max(longest_, now_ - slot->since);
      ++acknowledged_;
      pending_.acknowledge(*slot, now_);
      pending_.remove(slot);
    }
  }
  void run(milliseconds time, double come) {
    refused_ = acknowledged_ = 0;
    longest_ = Duration::zero();
    for (auto end = now_ + time; now_ < end;) tick(come);
  }
  void set_way(milliseconds way) { way_ = way; }
  void pause(bool paused) { paused_ = paused; }

  [[nodiscard]] std::size_t refused() const { return refused_; }
  [[nodiscard]] std::size_t acknowledged() const { return acknowledged_; }
  [[nodiscard]] Duration longest() const { return longest_; }
  PendingRecords& pending() { return pending_; }
  [[nodiscard]] TimePoint now() const { return now_; }

 private:
  double per_ms_;
  double burst_ = 100;
  milliseconds way_;
  bool paused_ = false;
  double room_ = 0;
  double wanted_ = 0;
  std::size_t bucket_ = 0;
  std::size_t refused_ = 0;
  std::size_t acknowledged_ = 0;
  Duration longest_{};
  TimePoint now_ = TimePoint{} + std::chrono::hours{1};
  std::deque<PendingRecords::Slot*> waiting_;
  PendingRecords pending_{kLimits};
};

TEST(QueueDelayEstimator, RefusesNobodyWhileAllIsTaken) {
  Service service{10, milliseconds{10}};
  service.run(milliseconds{20'000}, 9);
  EXPECT_EQ(service.refused(), 0U);
}

TEST(QueueDelayEstimator, KeepsTheWaitShortAndTheServerBusyWhenThreeTimesTooMuchComes) {
  Service service{1, milliseconds{10}};
  service.run(milliseconds{2'000}, 0.5);
  service.run(milliseconds{60'000}, 3);
  EXPECT_GE(service.acknowledged(), 59'000U);
  EXPECT_GE(service.refused(), 110'000U);
  EXPECT_LE(service.longest(), milliseconds{800});  // of the first quarter of a second
  for (int i = 0; i < 6; ++i) {
    service.run(milliseconds{10'000}, 3);
    EXPECT_LE(service.longest(), milliseconds{450});
  }
  service.run(milliseconds{1'000}, 0.5);
  service.run(milliseconds{1'000}, 0.5);
  EXPECT_EQ(service.refused(), 0U);
}

TEST(QueueDelayEstimator, LetsABrokerPauseWithoutRefusingAnybody) {
  Service service{30, milliseconds{8}};
  service.run(milliseconds{2'000}, 15);
  service.pause(true);
  service.run(milliseconds{600}, 15);
  EXPECT_EQ(service.refused(), 0U);
}

TEST(QueueDelayEstimator, TakesALongWayForWhatItIs) {
  Service service{20, milliseconds{600}};
  service.run(milliseconds{30'000}, 4);  // 2,400 wait at any time
  EXPECT_EQ(service.refused(), 0U);
}

TEST(QueueDelayEstimator, RefusesNobodyAtALowRateWhoseWayBecomesLong) {
  Service service{20, milliseconds{5}};
  service.run(milliseconds{12'000}, 0.1);
  service.set_way(milliseconds{500});
  service.run(milliseconds{30'000}, 0.1);
  EXPECT_EQ(service.refused(), 0U);
}

TEST(QueueDelayEstimator, LearnsThatTheWayHasBecomeLongWhileItRefuses) {
  Service service{20, milliseconds{5}};
  service.run(milliseconds{12'000}, 4);
  service.set_way(milliseconds{600});
  service.run(milliseconds{40'000}, 4);
  service.run(milliseconds{10'000}, 4);
  EXPECT_EQ(service.refused(), 0U);
  EXPECT_GE(service.acknowledged(), 39'000U);
}

TEST(QueueDelayEstimator, LetsABurstIntoAnIdleServer) {
  Service service{5, milliseconds{8}};
  service.run(milliseconds{10'000}, 0.01);
  service.run(milliseconds{30}, 20);
  EXPECT_EQ(service.refused(), 0U);
}

TEST(PendingRecords, LeavesABucketThatStandsStillOutOfTheEstimateOfTheOthers) {
  Service service{10, milliseconds{10}};
  service.run(milliseconds{2'000}, 9);
  for (int i = 0; i < 20'000; ++i) (void)service.pending().add(0, 1, service.now(), 9);
  service.run(milliseconds{600}, 9);
  service.run(milliseconds{10'000}, 9);
  EXPECT_EQ(service.refused(), 0U);
}

TEST(PendingRecords, KnowsForEachBucketSinceWhenItStandsStill) {
  PendingRecords pending;
  const TimePoint start = TimePoint{} + std::chrono::hours{1};
  EXPECT_FALSE(pending.bucket(1).still_since().has_value());
  auto* first = pending.add(1, 10, start, 1);
  (void)pending.add(2, 10, start, 1);
  (void)pending.add(3, 10, start + milliseconds{5}, 2);
  EXPECT_EQ(pending.bucket(1).still_since(), start);
  pending.acknowledge(*first, start + milliseconds{40});
  pending.remove(first);
  EXPECT_EQ(pending.bucket(1).still_since(), start + milliseconds{40});
  EXPECT_EQ(pending.bucket(1).took, milliseconds{40});
  EXPECT_EQ(pending.bucket(2).still_since(), start + milliseconds{5});
  EXPECT_EQ(pending.all().still_since(), start + milliseconds{40});
  EXPECT_FALSE(pending.bucket(3).still_since().has_value());
}

}  // namespace
}  // namespace eventrelay::kafka
