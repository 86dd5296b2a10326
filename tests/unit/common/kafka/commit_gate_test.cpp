// One commit is on its way at a time; after two were, the newest is sent again.
#include "common/kafka/commit_gate.hpp"

#include <gtest/gtest.h>

namespace eventrelay::kafka {
namespace {

using std::chrono::seconds;

constexpr TimePoint kStart{seconds{1000}};

TEST(CommitGate, IsBusyFromSendingToTheAnswer) {
  CommitGate gate;
  EXPECT_FALSE(gate.busy(kStart));
  gate.sent(kStart);
  EXPECT_TRUE(gate.busy(kStart));
  EXPECT_FALSE(gate.answered());
  EXPECT_FALSE(gate.busy(kStart));
}

TEST(CommitGate, OutlastsWhatTheLibraryStillSendsAgain) {
  CommitGate gate;
  gate.sent(kStart);
  EXPECT_TRUE(gate.busy(kStart + seconds{60}));
  EXPECT_FALSE(gate.busy(kStart + CommitGate::kOverdue));
}

TEST(CommitGate, AsksForEverythingOnceAfterTwoWereOnTheirWay) {
  CommitGate gate;
  gate.sent(kStart);
  gate.sent(kStart + CommitGate::kOverdue);
  EXPECT_FALSE(gate.answered());
  EXPECT_TRUE(gate.busy(kStart + CommitGate::kOverdue));
  EXPECT_TRUE(gate.answered());
  gate.sent(kStart + CommitGate::kOverdue);
  EXPECT_FALSE(gate.answered());
}

TEST(CommitGate, CountsNoAnswerItDidNotWaitFor) {
  CommitGate gate;
  EXPECT_FALSE(gate.answered());
  gate.sent(kStart);
  EXPECT_TRUE(gate.busy(kStart));
}

}  // namespace
}  // namespace eventrelay::kafka
