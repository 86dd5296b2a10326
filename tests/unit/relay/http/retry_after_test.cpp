#include <gtest/gtest.h>

#include "relay/http/delivery.hpp"

namespace eventrelay::relay {
namespace {

using std::chrono::seconds;

// 1994-11-06 08:49:37 UTC, the date of RFC 9110's examples.
constexpr WallTime kExample{std::chrono::seconds{784'111'777}};
constexpr int kNone = -1;

struct Row {
  std::string_view value;
  int ahead;     // the clock shows the example's time minus this many seconds
  int expected;  // seconds, or kNone
};

constexpr Row kRows[] = {
    {"0", 0, 0},
    {"1", 0, 1},
    {"120", 0, 120},
    {" 120 ", 0, 120},
    {"\t7", 0, 7},
    {"0000000005", 0, 5},
    {"36000", 0, 36000},
    {"36001", 0, 36000},
    {"999999999", 0, 36000},
    {"99999999999999999999999999", 0, 36000},
    {"", 0, kNone},
    {"   ", 0, kNone},
    {"-1", 0, kNone},
    {"+5", 0, kNone},
    {"1.5", 0, kNone},
    {"5s", 0, kNone},
    {"0x10", 0, kNone},
    {"12 13", 0, kNone},
    {"soon", 0, kNone},
    {"Sun, 06 Nov 1994 08:49:37 GMT", 60, 60},
    {"Sun, 06 Nov 1994 08:49:37 GMT", 0, 0},
    {"Sun, 06 Nov 1994 08:49:37 GMT", -3600, 0},
    {"Sun, 06 Nov 1994 08:49:37 GMT", 100'000, 36000},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 60, 60},
    {"Sun Nov  6 08:49:37 1994", 60, 60},
    {"Sun Nov 06 08:49:37 1994", 60, 60},
    {"Sun, 06 Nov 1994 08:49:37 UTC", 60, kNone},
    {"Sun, 06 Nov 1994 08:49:37 +0000", 60, kNone},
    {"Sun, 6 Nov 1994 08:49:37 GMT", 60, kNone},
    {"Sun, 31 Feb 1994 08:49:37 GMT", 60, kNone},
    {"Sun, 06 Nov 1994 24:49:37 GMT", 60, kNone},
    {"Sun, 06 Nov 1994 08:60:37 GMT", 60, kNone},
    {"Sun, 06 Nov 1994 08:49:61 GMT", 60, kNone},
    {"Sun, 06 Nov 1994 08:49:37 GMT junk", 60, kNone},
    {"Sun, 06 Foo 1994 08:49:37 GMT", 60, kNone},
    {"Xxx, 06 Nov 1994 08:49:37 GMT", 60, kNone},
    {"Sun, 06 Nov 1994", 60, kNone},
    {"1994-11-06T08:49:37Z", 60, kNone},
    {std::string_view("5\0", 2), 0, kNone},
    {"\xFF", 0, kNone},
};
static_assert(std::size(kRows) >= 20);

TEST(RetryAfter, ReadsEachRow) {
  for (const Row& row : kRows) {
    const auto parsed = parse_retry_after(row.value, kExample - seconds{row.ahead});
    EXPECT_EQ(parsed ? static_cast<int>(parsed->count()) : kNone, row.expected) << row.value;
  }
}

TEST(RetryAfter, RoundsUpToTheSecondAfterTheDate) {
  const WallTime half = kExample - std::chrono::milliseconds{1500};
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", half), seconds{2});
}

TEST(RetryAfter, TakesATwoDigitYearFarAheadForThePastCentury) {
  const WallTime in_2026{seconds{1'780'000'000}};
  EXPECT_EQ(parse_retry_after("Sunday, 06-Nov-94 08:49:37 GMT", in_2026), seconds{0});
  EXPECT_EQ(parse_retry_after("Friday, 06-Nov-26 08:49:37 GMT", in_2026), kRetryAfterMax);
}

TEST(RetryAfter, IsObeyedForFourStatusesOnly) {
  for (int status = 100; status < 600; ++status) {
    const bool obeyed = status == 429 || status == 502 || status == 503 || status == 504;
    EXPECT_EQ(obeys_retry_after(status), obeyed) << status;
  }
}

}  // namespace
}  // namespace eventrelay::relay
