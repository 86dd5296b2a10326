#include "common/kafka/shares.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace eventrelay::kafka {
namespace {

TEST(Deal, GivesNoShardTwoMoreThanAnother) {
  for (unsigned shards = 1; shards <= 9; ++shards) {
    for (int count = 0; count <= 20; ++count) {
      std::vector<std::int32_t> partitions;
      for (int i = 0; i < count; ++i) partitions.push_back(3 * i + 1);
      std::vector<int> sizes(shards, 0);
      for (const unsigned shard : deal(partitions, shards)) ++sizes.at(shard);
      const auto [least, most] = std::minmax_element(sizes.begin(), sizes.end());
      EXPECT_LE(*most - *least, 1) << count << " partitions, " << shards << " shards";
    }
  }
}

TEST(Deal, FollowsTheNumbersHoweverTheyCome) {
  const std::vector<std::int32_t> partitions{8, 0, 4, 2};
  EXPECT_EQ(deal(partitions, 3), (std::vector<unsigned>{0, 0, 2, 1}));
}

TEST(Shares, AStepIsOverWithTheLastShardAndOnce) {
  Shares shares(3);
  EXPECT_FALSE(shares.done(ShareStep::Take, 0));  // nobody has asked
  shares.ask(ShareStep::Take);
  EXPECT_FALSE(shares.done(ShareStep::Take, 2));
  EXPECT_FALSE(shares.done(ShareStep::Take, 2));
  EXPECT_FALSE(shares.done(ShareStep::Take, 0));
  EXPECT_TRUE(shares.awaits(ShareStep::Take));
  EXPECT_TRUE(shares.done(ShareStep::Take, 1));
  EXPECT_FALSE(shares.awaits(ShareStep::Take));
  EXPECT_FALSE(shares.done(ShareStep::Take, 1));
}

TEST(Shares, StepsDoNotAnswerEachOther) {
  Shares shares(1);
  shares.ask(ShareStep::Close);
  EXPECT_FALSE(shares.done(ShareStep::GiveUp, 0));
  EXPECT_TRUE(shares.done(ShareStep::Close, 0));
}

TEST(Shares, NobodyWaitsForAShardThatIsGone) {
  Shares shares(2);
  shares.ask(ShareStep::Take);
  shares.ask(ShareStep::Close);
  EXPECT_FALSE(shares.done(ShareStep::Take, 0));
  EXPECT_EQ(shares.gone(1), std::vector{ShareStep::Take});
  EXPECT_TRUE(shares.done(ShareStep::Close, 0));
  shares.ask(ShareStep::GiveUp);
  EXPECT_FALSE(shares.done(ShareStep::GiveUp, 1));
  EXPECT_TRUE(shares.done(ShareStep::GiveUp, 0));
}

// Whatever the order, and whoever ends meanwhile: each step that is asked is over once.
TEST(Shares, EachStepIsOverOnceInAnyOrder) {
  std::mt19937 random(7);
  for (int run = 0; run < 2000; ++run) {
    const auto shards = static_cast<unsigned>(1 + random() % 6);
    Shares shares(shards);
    std::vector<unsigned> order;
    for (unsigned shard = 0; shard < shards; ++shard) order.push_back(shard);
    std::shuffle(order.begin(), order.end(), random);
    shares.ask(ShareStep::GiveUp);
    int over = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
      EXPECT_EQ(over, 0);
      if (random() % 4 == 0) {
        over += static_cast<int>(shares.gone(order[i]).size());
      } else {
        over += shares.done(ShareStep::GiveUp, order[i]) ? 1 : 0;
      }
    }
    EXPECT_EQ(over, 1);
  }
}

}  // namespace
}  // namespace eventrelay::kafka
