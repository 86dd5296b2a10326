#include "common/process/volatile_budget.hpp"

#include <gtest/gtest.h>

namespace eventrelay {
namespace {

TEST(VolatileBudget, RefusesWhatWouldPassTheBoundAndCountsNothingForIt) {
  VolatileBudget budget(10 * VolatileBudget::kRecordOverhead);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(budget.take(0)) << i;
  EXPECT_FALSE(budget.take(0));
  EXPECT_EQ(budget.unfinished(), 10 * std::int64_t{VolatileBudget::kRecordOverhead});
}

TEST(VolatileBudget, TakesAgainOnceARecordIsFinished) {
  VolatileBudget budget(2 * VolatileBudget::kRecordOverhead + 100);
  EXPECT_TRUE(budget.take(100));
  EXPECT_FALSE(budget.take(100));
  budget.give_back(100);
  EXPECT_TRUE(budget.take(100));
}

}  // namespace
}  // namespace eventrelay
