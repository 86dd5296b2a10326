#include "common/process/failpoint.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <stdexcept>
#include <string>

namespace eventrelay {
namespace {

class FailpointTest : public ::testing::Test {
 protected:
  ~FailpointTest() override { failpoint::arm(""); }
};
using FailpointDeathTest = FailpointTest;

TEST_F(FailpointTest, IsOffUnlessItIsArmed) {
  failpoint::arm("");
  EXPECT_EQ(failpoint::armed, nullptr);
  failpoint::at("before-park");
}

TEST_F(FailpointTest, RefusesAnUnknownPlaceAndNamesIt) {
  try {
    failpoint::arm("before-lunch");
    FAIL() << "taken";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string{error.what()}.find("before-lunch"), std::string::npos);
  }
  EXPECT_EQ(failpoint::armed, nullptr);
}

TEST_F(FailpointTest, RefusesWhatIsNeitherAPassNorAnAction) {
  EXPECT_THROW(failpoint::arm("before-park:never"), std::invalid_argument);
  EXPECT_THROW(failpoint::arm("before-park:0"), std::invalid_argument);
  EXPECT_THROW(failpoint::arm("before-park:-1"), std::invalid_argument);
}

TEST_F(FailpointTest, ReadsPassAndActionInAnyOrder) {
  failpoint::arm("mid-commit:stop:12");
  ASSERT_NE(failpoint::armed, nullptr);
  EXPECT_EQ(failpoint::armed->name, "mid-commit");
  EXPECT_EQ(failpoint::armed->nth, 12U);
  EXPECT_EQ(failpoint::armed->action, failpoint::Armed::Action::Stop);
}

TEST_F(FailpointTest, LeavesOutAStepOnlyWhereThatIsArmed) {
  EXPECT_FALSE(failpoint::skips("give-back"));
  failpoint::arm("give-back:skip");
  EXPECT_TRUE(failpoint::skips("give-back"));
  EXPECT_FALSE(failpoint::skips("tell-ranges"));
  failpoint::at("before-park");
  EXPECT_THROW(failpoint::arm("before-park:skip"), std::invalid_argument);
  EXPECT_THROW(failpoint::arm("give-back"), std::invalid_argument);
}

TEST_F(FailpointTest, LetsOtherPlacesAndEarlierPassesGoBy) {
  failpoint::arm("before-park:3");
  failpoint::at("before-dead");
  failpoint::at("before-park");
  failpoint::at("before-park");
  SUCCEED();
}

TEST_F(FailpointDeathTest, KillsAtTheChosenPass) {
  EXPECT_EXIT(
      {
        failpoint::arm("before-park:2");
        failpoint::at("before-park");
        failpoint::at("before-park");
      },
      ::testing::KilledBySignal(SIGKILL), "");
}

}  // namespace
}  // namespace eventrelay
