#include "relay/backlog/take_over.hpp"

#include <gtest/gtest.h>

#include <random>

namespace eventrelay::relay {
namespace {

using Act = TakeOver::Act;
using State = TakeOver::State;

TEST(TakeOver, OwnsAfterAnAcceptedCommitBehindItsMark) {
  TakeOver step;
  EXPECT_EQ(step.at_end(), Act::Mark);
  EXPECT_EQ(step.state(), State::Marking);
  EXPECT_EQ(step.mark_counts(), Act::Confirm);
  EXPECT_EQ(step.state(), State::Confirming);
  EXPECT_EQ(step.confirmed(true), Act::Own);
  EXPECT_EQ(step.state(), State::Owner);
}

TEST(TakeOver, SetsOneMarkHoweverOftenTheLogEnds) {
  TakeOver step;
  EXPECT_EQ(step.at_end(), Act::Mark);
  EXPECT_EQ(step.at_end(), Act::None);
  static_cast<void>(step.mark_counts());
  EXPECT_EQ(step.at_end(), Act::None);
}

TEST(TakeOver, DoesNotOwnWhileTheGroupRefusesItsCommit) {
  TakeOver step;
  static_cast<void>(step.at_end());
  static_cast<void>(step.mark_counts());
  EXPECT_EQ(step.again(), Act::None);  // on its way
  EXPECT_EQ(step.confirmed(false), Act::None);
  EXPECT_EQ(step.state(), State::Confirming);
  EXPECT_EQ(step.again(), Act::Confirm);
  EXPECT_EQ(step.again(), Act::None);
  EXPECT_EQ(step.confirmed(true), Act::Own);
  EXPECT_EQ(step.again(), Act::None);
}

TEST(TakeOver, MarksAgainOnlyIfItIsStillAMember) {
  TakeOver step;
  static_cast<void>(step.at_end());
  EXPECT_EQ(step.beaten(), Act::Confirm);
  EXPECT_EQ(step.confirmed(false), Act::None);
  EXPECT_EQ(step.state(), State::Beaten);
  EXPECT_EQ(step.again(), Act::Confirm);
  EXPECT_EQ(step.confirmed(true), Act::Mark);
  EXPECT_EQ(step.state(), State::Marking);
  EXPECT_EQ(step.mark_counts(), Act::Confirm);
  EXPECT_EQ(step.confirmed(true), Act::Own);
}

TEST(TakeOver, LosesWhatItOwnsToAnothersMark) {
  TakeOver step;
  static_cast<void>(step.at_end());
  static_cast<void>(step.mark_counts());
  static_cast<void>(step.confirmed(true));
  EXPECT_EQ(step.beaten(), Act::Confirm);
  EXPECT_EQ(step.state(), State::Beaten);
  EXPECT_EQ(step.beaten(), Act::None);
}

// The commit was sent behind a mark that does not count any more: it is no answer to the next one.
TEST(TakeOver, AsksAgainBehindItsNewMark) {
  TakeOver step;
  static_cast<void>(step.at_end());
  static_cast<void>(step.mark_counts());
  EXPECT_EQ(step.beaten(), Act::None);  // one is on its way
  EXPECT_EQ(step.confirmed(true), Act::Mark);
  EXPECT_EQ(step.mark_counts(), Act::Confirm);
  EXPECT_EQ(step.confirmed(true), Act::Own);
}

// Whatever comes in whatever order: Own follows a commit that was sent when its mark counted.
TEST(TakeOver, NeverOwnsWithoutACommitSentBehindItsMark) {
  std::mt19937 dice(7);
  int owned = 0;
  for (int run = 0; run < 20'000; ++run) {
    TakeOver step;
    bool counts = false;      // our last mark
    bool read = true;         // it was read back
    bool on_its_way = false;  // a commit
    bool good = false;        // sent while it counted, and nothing came since
    for (int i = 0; i < 30; ++i) {
      Act act = Act::None;
      switch (dice() % 5) {
        case 0:
          act = step.at_end();
          break;
        case 1:
          if (read) break;
          counts = read = true;
          act = step.mark_counts();
          break;
        case 2:
          read = true;
          counts = good = false;
          act = step.beaten();
          break;
        case 3:
          if (!on_its_way) break;
          on_its_way = false;
          act = step.confirmed(dice() % 2 == 0);
          break;
        default:
          act = step.again();
      }
      if (act == Act::Mark) counts = read = false;
      if (act == Act::Confirm) {
        ASSERT_FALSE(on_its_way);
        on_its_way = true;
        good = counts;
      }
      if (act == Act::Own) {
        ASSERT_TRUE(good && counts);
        ++owned;
      }
      ASSERT_EQ(step.state() == State::Owner, step.state() == State::Owner && counts);
    }
  }
  EXPECT_GT(owned, 1000);
}

}  // namespace
}  // namespace eventrelay::relay
