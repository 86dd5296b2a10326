#include "common/text/json_text.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace eventrelay {
namespace {

TEST(JsonText, QuotesWhatMustBeQuoted) {
  EXPECT_EQ(json_string(""), R"("")");
  EXPECT_EQ(json_string("plain"), R"("plain")");
  EXPECT_EQ(json_string("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(json_string("\n\r\t"), R"("\n\r\t")");
  EXPECT_EQ(json_string(std::string("\0\x1F\x7F", 3)), R"("\u0000\u001f\u007f")");
}

TEST(JsonText, KeepsUtf8OfEveryLength) {
  for (const char* text : {"\xC2\x80", "caf\xC3\xA9", "\xE0\xA0\x80", "\xED\x9F\xBF",
                           "\xEF\xBF\xBD", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_EQ(json_string(text), '"' + std::string{text} + '"');
  }
}

TEST(JsonText, ReplacesBytesThatAreNoUtf8) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(json_string("\x80"), '"' + r + '"');
  EXPECT_EQ(json_string("\xC3"), '"' + r + '"');
  EXPECT_EQ(json_string("\xC0\xAF"), '"' + r + r + '"');                  // overlong
  EXPECT_EQ(json_string("\xED\xA0\x80"), '"' + r + r + r + '"');          // surrogate
  EXPECT_EQ(json_string("\xF4\x90\x80\x80"), '"' + r + r + r + r + '"');  // above U+10FFFF
  EXPECT_EQ(json_string("\xE2\x82x"), '"' + r + r + "x\"");               // cut short
  EXPECT_EQ(json_string("\xFF\xFE"), '"' + r + r + '"');
}

TEST(JsonObject, PrintsMembersInOrder) {
  JsonObject object;
  object.text("a", "x\"").number("b", std::int64_t{-1}).number("c", ~std::uint64_t{0});
  object.number("d", 0.5)
      .flag("e", false)
      .raw("f", "[1]")
      .texts("g", std::vector<std::string>{"p", "q"});
  EXPECT_EQ(
      std::move(object).finish(),
      R"({"a":"x\"","b":-1,"c":18446744073709551615,"d":0.5,"e":false,"f":[1],"g":["p","q"]})");
}

TEST(JsonObject, HasNoNumberForWhatIsNotFinite) {
  JsonObject object;
  object.number("nan", std::nan("")).number("inf", INFINITY);
  EXPECT_EQ(std::move(object).finish(), R"({"nan":null,"inf":null})");
}

TEST(JsonObject, PrintsNothingAsEmpty) {
  EXPECT_EQ(JsonObject{}.finish(), "{}");
  JsonObject object;
  object.texts("none", std::vector<std::string>{});
  EXPECT_EQ(std::move(object).finish(), R"({"none":[]})");
}

}  // namespace
}  // namespace eventrelay
