#include "ingest/control/sessions.hpp"

#include <gtest/gtest.h>

namespace eventrelay::control {
namespace {

TimePoint at(std::chrono::minutes minutes) {
  return TimePoint{} + std::chrono::hours(1) + minutes;
}

TEST(Sessions, ACookieFindsItsSessionAndNoOther) {
  Sessions sessions;
  const std::string cookie = sessions.begin(100, "hash", at(std::chrono::minutes(0)));
  EXPECT_EQ(cookie.size(), 64U);
  ASSERT_NE(sessions.find(cookie, at(std::chrono::minutes(1))), nullptr);
  EXPECT_EQ(sessions.find(cookie, at(std::chrono::minutes(1)))->user, 100U);
  std::string other = cookie;
  other[0] = other[0] == 'a' ? 'b' : 'a';
  EXPECT_EQ(sessions.find(other, at(std::chrono::minutes(1))), nullptr);
  sessions.end(cookie);
  EXPECT_EQ(sessions.find(cookie, at(std::chrono::minutes(1))), nullptr);
}

TEST(Sessions, UnusedOneEndsAfterAnHour) {
  Sessions sessions;
  const std::string cookie = sessions.begin(100, "hash", at(std::chrono::minutes(0)));
  EXPECT_NE(sessions.find(cookie, at(std::chrono::minutes(59))), nullptr);
  EXPECT_NE(sessions.find(cookie, at(std::chrono::minutes(118))), nullptr);  // used at 59
  EXPECT_EQ(sessions.find(cookie, at(std::chrono::minutes(178))), nullptr);
  EXPECT_EQ(sessions.size(), 0U);
}

TEST(Sessions, OneThatIsUsedEndsAfterTwelveHours) {
  Sessions sessions;
  const std::string cookie = sessions.begin(100, "hash", at(std::chrono::minutes(0)));
  for (int minute = 30; minute < 720; minute += 30) {
    ASSERT_NE(sessions.find(cookie, at(std::chrono::minutes(minute))), nullptr) << minute;
  }
  EXPECT_EQ(sessions.find(cookie, at(std::chrono::minutes(720))), nullptr);
}

TEST(Sessions, TheLongestUnusedMakesRoom) {
  Sessions sessions;
  const std::string first = sessions.begin(1, "hash", at(std::chrono::minutes(0)));
  const std::string second = sessions.begin(2, "hash", at(std::chrono::minutes(1)));
  for (std::size_t i = 2; i < kSessionsMax; ++i) {
    (void)sessions.begin(3, "hash", at(std::chrono::minutes(2)));
  }
  (void)sessions.find(first, at(std::chrono::minutes(3)));
  (void)sessions.begin(4, "hash", at(std::chrono::minutes(4)));
  EXPECT_EQ(sessions.size(), kSessionsMax);
  EXPECT_NE(sessions.find(first, at(std::chrono::minutes(5))), nullptr);
  EXPECT_EQ(sessions.find(second, at(std::chrono::minutes(5))), nullptr);
}

}  // namespace
}  // namespace eventrelay::control
