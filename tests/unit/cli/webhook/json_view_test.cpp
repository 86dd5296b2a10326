#include "cli/webhook/json_view.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace eventrelay::cli {
namespace {

std::size_t longest_line(const std::string& text) {
  std::size_t longest = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    longest = std::max(longest, end - at);
    at = end + 1;
  }
  return longest;
}

TEST(JsonView, OpensTheOuterObjectAndOneMemberAndFillsLines) {
  const std::string document = R"({"id":1,"message":{"a":1,"events":[{"c":null}]},"z":2})";
  EXPECT_EQ(json_view(document, 80, "message"),
            "{ \"id\": 1, \"z\": 2,\n"
            "  \"message\": {\n"
            "    \"a\": 1, \"events\": [{\"c\": null}]}}");
  EXPECT_EQ(json_view(R"({"message":"x"})", 80, "message"), "{ \"message\": \"x\"}");
  EXPECT_EQ(json_view("{}", 80, "message"), "{}");
}

TEST(JsonView, BreaksAtBlanksAndCutsWhatIsLong) {
  std::string document = R"({"id":"1","raw":{)";
  for (int i = 0; i < 60; ++i)
    document += (i == 0 ? "\"k" : ",\"k") + std::to_string(i) + "\":true";
  const std::string text = json_view(document + R"(},"last":2})", 60, "");
  EXPECT_LE(longest_line(text), 60U) << text;
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 8) << text;
  EXPECT_NE(text.find(".."), std::string::npos);
  EXPECT_NE(text.find("\"last\": 2"), std::string::npos) << text;
}

TEST(JsonView, LeavesAloneWhatIsNoJsonObject) {
  EXPECT_EQ(json_view("a=b&c=d", 80, ""), "a=b&c=d");
  EXPECT_EQ(json_view("[1]", 80, ""), "[1]");
  EXPECT_EQ(json_view("", 80, ""), "");
}

}  // namespace
}  // namespace eventrelay::cli
