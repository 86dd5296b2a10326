#include "relay/backlog/ownership.hpp"

#include <gtest/gtest.h>

#include <random>

namespace eventrelay::relay {
namespace {

using Action = Ownership::Action;
using State = Ownership::State;

TEST(Ownership, OwnsAfterAnAcceptedCommitBehindItsMark) {
  Ownership step;
  EXPECT_EQ(step.at_end(), Action::Mark);
  EXPECT_EQ(step.state(), State::Marking);
  EXPECT_EQ(step.mark_counts(), Action::Confirm);
  EXPECT_EQ(step.state(), State::Confirming);
  EXPECT_EQ(step.confirmed(true), Action::Own);
  EXPECT_EQ(step.state(), State::Owner);
}

TEST(Ownership, SetsOneMarkHoweverOftenTheLogEnds) {
  Ownership step;
  EXPECT_EQ(step.at_end(), Action::Mark);
  EXPECT_EQ(step.at_end(), Action::None);
  static_cast<void>(step.mark_counts());
  EXPECT_EQ(step.at_end(), Action::None);
}

TEST(Ownership, DoesNotOwnWhileTheGroupRefusesItsCommit) {
  Ownership step;
  static_cast<void>(step.at_end());
  static_cast<void>(step.mark_counts());
  EXPECT_EQ(step.again(), Action::None);  // the mark is on its way
  EXPECT_EQ(step.confirmed(false), Action::None);
  EXPECT_EQ(step.state(), State::Confirming);
  EXPECT_EQ(step.again(), Action::Confirm);
  EXPECT_EQ(step.again(), Action::None);
  EXPECT_EQ(step.confirmed(true), Action::Own);
  EXPECT_EQ(step.again(), Action::None);
}

TEST(Ownership, MarksAgainOnlyIfItIsStillAMember) {
  Ownership step;
  static_cast<void>(step.at_end());
  EXPECT_EQ(step.beaten(), Action::Confirm);
  EXPECT_EQ(step.confirmed(false), Action::None);
  EXPECT_EQ(step.state(), State::Beaten);
  EXPECT_EQ(step.again(), Action::Confirm);
  EXPECT_EQ(step.confirmed(true), Action::Mark);
  EXPECT_EQ(step.state(), State::Marking);
  EXPECT_EQ(step.mark_counts(), Action::Confirm);
  EXPECT_EQ(step.confirmed(true), Action::Own);
}

TEST(Ownership, LosesWhatItOwnsToAnothersMark) {
  Ownership step;
  static_cast<void>(step.at_end());
  static_cast<void>(step.mark_counts());
  static_cast<void>(step.confirmed(true));
  EXPECT_EQ(step.beaten(), Action::Confirm);
  EXPECT_EQ(step.state(), State::Beaten);
  EXPECT_EQ(step.beaten(), Action::None);
}

// The commit was sent behind a mark that does not count any more: it is no answer to the next one.
TEST(Ownership, AsksAgainBehindItsNewMark) {
  Ownership step;
  static_cast<void>(step.at_end());
  static_cast<void>(step.mark_counts());
  EXPECT_EQ(step.beaten(), Action::None);  // a mark is on its way
  EXPECT_EQ(step.confirmed(true), Action::Mark);
  EXPECT_EQ(step.mark_counts(), Action::Confirm);
  EXPECT_EQ(step.confirmed(true), Action::Own);
}

// In any order of events, Own follows only a commit that was sent while its mark counted.
TEST(Ownership, NeverOwnsWithoutACommitSentBehindItsMark) {
  std::mt19937 random(7);
  int owned = 0;
  for (int run = 0; run < 20'000; ++run) {
    Ownership step;
    bool counts = false;      // our last mark counts
    bool read = true;         // our last mark was read back
    bool on_its_way = false;  // a commit is under way
    bool good = false;        // it was sent while the mark counted, and no other mark came since
    for (int i = 0; i < 30; ++i) {
      Action act = Action::None;
      switch (random() % 5) {
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
          act = step.confirmed(random() % 2 == 0);
          break;
        default:
          act = step.again();
      }
      if (act == Action::Mark) counts = read = false;
      if (act == Action::Confirm) {
        ASSERT_FALSE(on_its_way);
        on_its_way = true;
        good = counts;
      }
      if (act == Action::Own) {
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
