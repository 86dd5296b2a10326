// UTF-8, percent-encoding and times as text; and the numbers that a seed gives.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "common/base/pool.hpp"
#include "common/base/random.hpp"
#include "common/text/percent.hpp"
#include "common/text/utc.hpp"
#include "common/text/utf8.hpp"

namespace eventrelay {
namespace {

using namespace std::string_view_literals;

TEST(FirstCharacter, ReadsOneOfEachLength) {
  EXPECT_EQ(first_character("A").code, 0x41U);
  EXPECT_EQ(first_character("\xC3\xA4 rest").code, 0xE4U);
  EXPECT_EQ(first_character("\xE2\x82\xAC").size, 3U);
  EXPECT_EQ(first_character("\xF0\x9F\x98\x80").code, 0x1F600U);
  EXPECT_EQ(first_character("\0"sv).size, 1U);
}

TEST(FirstCharacter, FindsNoneWhereRfc3629HasNone) {
  for (const std::string_view text : {
           "\x80"sv,              // begins in the middle
           "\xC0\x80"sv,          // overlong
           "\xE0\x9F\xBF"sv,      // overlong
           "\xF0\x8F\xBF\xBF"sv,  // overlong
           "\xED\xA0\x80"sv,      // a surrogate
           "\xF4\x90\x80\x80"sv,  // over U+10FFFF
           "\xF5\x80\x80\x80"sv,
           "\xE2\x82"sv,  // cut
           "\xE2\x82z"sv,
       }) {
    EXPECT_EQ(first_character(text).size, 0U);
  }
}

TEST(PercentDecoded, TakesTwoHexDigitsAndNothingElse) {
  EXPECT_EQ(percent_decoded("%2Frest"), '/');
  EXPECT_EQ(percent_decoded("%e4"), static_cast<char>(0xE4));
  for (const std::string_view text : {"", "%", "%2", "%zz", "%2g", "2F%"}) {
    EXPECT_EQ(percent_decoded(text), std::nullopt) << text;
  }
}

TEST(Utc, PrintsSecondsAndMilliseconds) {
  const WallTime leap{std::chrono::milliseconds{951'827'696'999}};
  std::string out;
  append_utc(leap, out);
  append_utc(WallTime{}, out);
  EXPECT_EQ(out, "2000-02-29T12:34:56Z1970-01-01T00:00:00Z");
  out.clear();
  append_utc_ms(leap, out);
  EXPECT_EQ(out, "2000-02-29T12:34:56.999Z");
}

TEST(Random, IsTheSameForTheSameSeedAndElseAnother) {
  Random a(42);
  Random b(42);
  Random c(43);
  const std::uint64_t first = a.next();
  EXPECT_EQ(first, b.next());
  EXPECT_NE(first, c.next());
  EXPECT_NE(random_seed(), random_seed());
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double unit = a.unit();
    ASSERT_GE(unit, 0.0);
    ASSERT_LT(unit, 1.0);
    sum += unit;
  }
  EXPECT_NEAR(sum / 10'000, 0.5, 0.02);
}

TEST(Pool, GivesOutAgainWhatWasGivenBack) {
  Pool<std::string> pool;
  std::string& one = pool.take("one");
  std::string& two = pool.take("two");
  EXPECT_NE(&one, &two);
  pool.give_back(one);
  EXPECT_EQ(&pool.take("three"), &one);
  EXPECT_EQ(one, "one");  // as it was left
  EXPECT_EQ(pool.made(), 2U);
  EXPECT_EQ(&pool[1], &two);
}

}  // namespace
}  // namespace eventrelay
