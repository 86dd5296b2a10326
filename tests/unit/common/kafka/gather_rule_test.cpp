// When gathered records are sent: records and time as arguments.
#include "common/kafka/gather_rule.hpp"

#include <gtest/gtest.h>

namespace eventrelay::kafka {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr Duration kLongest = milliseconds{5};

class GatherRuleTest : public ::testing::Test {
 protected:
  // `count` records come, `apart` from each other.
  void come(std::size_t count, Duration apart) {
    for (std::size_t i = 0; i < count; ++i) {
      now_ += apart;
      rule_.on_record(gathered_++ == 0, now_);
    }
  }
  bool go(std::size_t under_way, bool others_may_come) const {
    return rule_.go({.gathered = gathered_,
                     .under_way = under_way,
                     .partitions = 12,
                     .others_may_come = others_may_come},
                    now_);
  }
  void sent() { gathered_ = 0; }

  GatherRule rule_{kLongest};
  TimePoint now_{std::chrono::hours{1}};
  std::size_t gathered_ = 0;
};

TEST_F(GatherRuleTest, SendsNothingWhereNothingIsGathered) {
  EXPECT_FALSE(go(0, false));
}

TEST_F(GatherRuleTest, SendsALoneRecordAtOnce) {
  come(1, milliseconds{20});
  EXPECT_TRUE(go(0, true));
  EXPECT_TRUE(go(1, true));
}

TEST_F(GatherRuleTest, GoesOnSendingAtOnceWhileFewCome) {
  for (int i = 0; i < 100; ++i) {
    come(1, milliseconds{2});
    EXPECT_TRUE(go(1, true)) << i;
    sent();
  }
}

TEST_F(GatherRuleTest, WaitsForOthersWhereManyCome) {
  come(30, microseconds{10});
  EXPECT_FALSE(go(0, true));
}

TEST_F(GatherRuleTest, SendsWhenEverySenderWaitsAndNothingIsUnderWay) {
  come(30, microseconds{10});
  EXPECT_FALSE(go(3, false));  // its senders will be back
  EXPECT_TRUE(go(0, false));
}

TEST_F(GatherRuleTest, WaitsNoLongerThanTheLongestWaitOfTheFirst) {
  come(30, microseconds{10});
  const TimePoint first = now_ - 29 * microseconds{10};
  EXPECT_EQ(rule_.at_latest(), first + kLongest);
  now_ = rule_.at_latest() - microseconds{1};
  EXPECT_FALSE(go(3, true));
  now_ = rule_.at_latest();
  EXPECT_TRUE(go(3, true));
  sent();
  come(1, microseconds{10});  // the wait begins anew
  EXPECT_EQ(rule_.at_latest(), now_ + kLongest);
  EXPECT_FALSE(go(3, true));
}

TEST_F(GatherRuleTest, ForgetsABurst) {
  come(30, microseconds{10});
  sent();
  come(1, milliseconds{30});
  EXPECT_TRUE(go(0, true));
}

TEST_F(GatherRuleTest, KeepsABusyTimeInMindForTheNext) {
  come(30, microseconds{160});  // 4.8 ms
  sent();
  come(1, microseconds{300});  // a window of its own
  EXPECT_FALSE(go(0, true));
}

}  // namespace
}  // namespace eventrelay::kafka
