// Lines that stay one line, whatever they hold, and messages that do not flood.
#include "common/observe/log.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <string>
#include <vector>

#include "common/observe/log_format.hpp"
#include "common/observe/log_limit.hpp"

namespace eventrelay::log {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Line line(std::string_view message, Fields fields = {}) {
  Line out;
  out.time = WallTime{milliseconds{1767323045678}};
  out.component = "ingest";
  out.message = message;
  out.fields = fields;
  return out;
}

std::string json_value(std::string_view text) {
  const std::string whole = json_line(line("m", {{"v", text}}));
  const std::string before = R"("component":"ingest","v":")";
  const std::size_t at = whole.find(before);
  if (at == std::string::npos || !whole.ends_with("\"}")) return "broken: " + whole;
  return whole.substr(at + before.size(), whole.size() - at - before.size() - 2);
}

TEST(JsonLine, HasTimeLevelMessageAndComponentFirst) {
  EXPECT_EQ(
      json_line(line("ready", {{"listen", "127.0.0.1:80"}, {"n", -3}, {"id", InstanceId{7}}})),
      R"({"ts":"2026-01-02T03:04:05.678Z","level":"info","msg":"ready",)"
      R"("component":"ingest","listen":"127.0.0.1:80","n":-3,"id":7})");
}

TEST(JsonLine, EscapesWhatJsonAndTerminalsRead) {
  EXPECT_EQ(json_value("a\"b\\c"), R"(a\"b\\c)");
  EXPECT_EQ(json_value("a\r\n\tb"), R"(a\u000d\n\tb)");
  EXPECT_EQ(json_value(std::string_view("\0\x01\x1b[2J\x7f", 7)), R"(\u0000\u0001\u001b[2J\u007f)");
  EXPECT_EQ(json_value("\xC2\x9B"), R"(\u009b)");
  EXPECT_EQ(json_value("\xE2\x80\xA8"), R"(\u2028)");
  EXPECT_EQ(json_value("gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80"),
            "gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80");
}

TEST(JsonLine, ReplacesBytesThatAreNotUtf8) {
  const std::string mark = "\xEF\xBF\xBD";
  EXPECT_EQ(json_value("\xFF"), mark);
  EXPECT_EQ(json_value("a\x80z"), "a" + mark + "z");
  EXPECT_EQ(json_value("\xC3"), mark);
  EXPECT_EQ(json_value("\xC3("), mark + "(");
  EXPECT_EQ(json_value("\xC0\xAF"), mark + mark);                        // overlong
  EXPECT_EQ(json_value("\xE0\x80\x80"), mark + mark + mark);             // overlong
  EXPECT_EQ(json_value("\xED\xA0\x80"), mark + mark + mark);             // surrogate
  EXPECT_EQ(json_value("\xF4\x90\x80\x80"), mark + mark + mark + mark);  // above U+10FFFF
}

TEST(JsonLine, WritesNumbersAsJsonKnowsThem) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinite = std::numeric_limits<double>::infinity();
  const std::string text =
      json_line(line("m", {{"a", 0.25}, {"b", nan}, {"c", infinite}, {"d", true}, {"e", false}}));
  EXPECT_NE(text.find(R"("a":0.25,"b":null,"c":null,"d":true,"e":false})"), std::string::npos)
      << text;
}

TEST(JsonLine, CutsLongValuesBetweenCharacters) {
  const std::string dots = "\xE2\x80\xA6";
  EXPECT_EQ(json_value(std::string(kValueMax, 'a')), std::string(kValueMax, 'a'));
  EXPECT_EQ(json_value(std::string(kValueMax + 1, 'a')), std::string(kValueMax, 'a') + dots);
  EXPECT_EQ(json_value(std::string(kValueMax - 1, 'a') + "\xC3\xBC"),
            std::string(kValueMax - 1, 'a') + dots);
}

TEST(JsonLine, EscapesItsMessageAndNamesToo) {
  const std::string text = json_line(line("a\nb", {{"k\"", "v"}}));
  EXPECT_NE(text.find(R"("msg":"a\nb")"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("k\"":"v")"), std::string::npos) << text;
}

TEST(JsonLine, TellsWhatWasSuppressed) {
  Line one = line("m");
  one.suppressed = 12;
  EXPECT_TRUE(json_line(one).ends_with(R"(,"suppressed":12})"));
  EXPECT_TRUE(text_line(one).ends_with(" suppressed=12"));
}

TEST(TextLine, QuotesOnlyWhatNeedsIt) {
  EXPECT_EQ(
      text_line(line("hello", {{"a", "x"}, {"b", "two words"}, {"c", "\x1b[2J"}, {"n", 5}})),
      "2026-01-02T03:04:05.678Z info  ingest: hello a=x b=\"two words\" c=\"\\u001b[2J\" n=5");
}

TEST(LineLimit, LetsTenLinesAMessageASecondPass) {
  LineLimit limit;
  const TimePoint start{seconds{100}};
  for (std::uint32_t i = 0; i < LineLimit::kLinesPerSecond; ++i) {
    EXPECT_TRUE(limit.admit("a", start).pass);
  }
  EXPECT_FALSE(limit.admit("a", start + milliseconds{999}).pass);
  EXPECT_FALSE(limit.admit("a", start + milliseconds{999}).pass);
  EXPECT_TRUE(limit.admit("b", start).pass) << "another message has its own allowance";
  const LineLimit::Verdict next = limit.admit("a", start + seconds{1});
  EXPECT_TRUE(next.pass);
  EXPECT_EQ(next.suppressed, 2U);
  EXPECT_EQ(limit.admit("a", start + seconds{1}).suppressed, 0U);
}

TEST(LineLimit, SharesOneAllowanceAtItsLimitOfMessages) {
  LineLimit limit;
  const TimePoint start{seconds{100}};
  for (std::size_t i = 0; i < LineLimit::kMessagesMax; ++i) {
    EXPECT_TRUE(limit.admit("m" + std::to_string(i), start).pass);
  }
  std::uint32_t passed = 0;
  for (int i = 0; i < 100; ++i)
    passed += limit.admit("n" + std::to_string(i), start).pass ? 1U : 0U;
  EXPECT_EQ(passed, LineLimit::kLinesPerSecond);
  EXPECT_TRUE(limit.admit("m0", start).pass);
}

TEST(Log, WritesWholeLinesFromItsLevelOnAndCountsThem) {
  std::vector<LogLevel> counted;
  LogConfig config;
  config.format = LogFormat::Json;
  config.level = LogLevel::Warn;
  configure(config, "relay", [&](LogLevel level) { counted.push_back(level); });
  testing::internal::CaptureStderr();
  info("below the level");
  warn("written", {{"k", "v"}});
  config.level = LogLevel::Info;
  configure(config, "relay", [&](LogLevel level) { counted.push_back(level); });
  info("written after the change");
  for (std::uint32_t i = 0; i < LineLimit::kLinesPerSecond + 5; ++i) error("flood");
  const std::string text = testing::internal::GetCapturedStderr();
  configure(LogConfig{}, "test");

  EXPECT_EQ(text.find("below the level"), std::string::npos);
  EXPECT_NE(text.find(R"("level":"warn","msg":"written","component":"relay","k":"v"})"
                      "\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("written after the change"), std::string::npos);
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  EXPECT_EQ(lines, counted.size());
  EXPECT_GE(lines, 2U + LineLimit::kLinesPerSecond);
  EXPECT_EQ(counted.at(0), LogLevel::Warn);
  EXPECT_EQ(counted.at(1), LogLevel::Info);
  EXPECT_EQ(counted.at(2), LogLevel::Error);
}

}  // namespace
}  // namespace eventrelay::log
