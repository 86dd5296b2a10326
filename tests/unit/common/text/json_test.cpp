// Whole documents, valid or not, in the classes of the usual JSON test suites; and what is found.
#include "common/text/json.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace eventrelay::json {
namespace {

constexpr std::array<Wanted, 4> kWanted{
    {{"", "id"}, {"", "source"}, {"source", "id"}, {"source", "type"}}};

// A scan with its own padded copy, so that tools see every byte read beyond it.
struct Scan {
  explicit Scan(const std::string& text) : padded(text + std::string(kPadding, '"')) {
    result = scanner.scan({padded.data(), text.size()}, kWanted, found);
  }
  std::string padded;
  Scanner scanner;
  std::array<Found, 4> found;
  Expected<Kind, ScanError> result{Kind::Absent};
};

TEST(JsonScanner, FindsMembersOfTheDocumentAndOfOneObject) {
  const Scan scan(R"({"id":"a\u0062\/","x":{"id":"no"},"source":{"type":"file","id":7,"y":[1]}})");
  ASSERT_TRUE(scan.result);
  EXPECT_EQ(*scan.result, Kind::Object);
  EXPECT_EQ(scan.found[0].text, "ab/");
  EXPECT_EQ(scan.found[1].kind, Kind::Object);
  EXPECT_EQ(scan.found[2].kind, Kind::Number);
  EXPECT_EQ(scan.found[2].text, "7");
  EXPECT_EQ(scan.found[3].text, "file");
}

TEST(JsonScanner, KnowsEscapedSpellingsOfAKey) {
  const Scan scan(R"({"\u0069d":"hidden","\u0073ource":{"i\u0064":"7"}})");
  ASSERT_TRUE(scan.result);
  EXPECT_EQ(scan.found[0].text, "hidden");
  EXPECT_EQ(scan.found[2].text, "7");
}

TEST(JsonScanner, RefusesAWantedKeyTwice) {
  for (const char* text :
       {R"({"id":"1","id":"2"})", R"({"id":"1","id":"1"})", R"({"id":null,"id":"1"})",
        R"({"id":"1","\u0069d":"2"})", R"({"source":{"id":"1","id":"2"}})",
        R"({"source":{"id":"1"},"source":{"id":"2"}})", R"({"source":[],"source":{"id":"2"}})"}) {
    const Scan scan(text);
    ASSERT_FALSE(scan.result) << text;
    EXPECT_EQ(scan.result.error(), ScanError::DuplicateKey) << text;
  }
  EXPECT_TRUE(Scan(R"({"x":1,"x":2,"a":{"id":1},"b":{"id":2}})").result) << "nobody asked for x";
}

TEST(JsonScanner, TellsKindsApart) {
  const std::vector<std::pair<std::string, Kind>> rows{
      {"null", Kind::Null}, {"true", Kind::Boolean}, {"false", Kind::Boolean},
      {"-0", Kind::Number}, {"1.5e3", Kind::Number}, {"\"\"", Kind::String},
      {"[]", Kind::Array},  {"{}", Kind::Object}};
  for (const auto& [text, kind] : rows) {
    const Scan whole(text);
    ASSERT_TRUE(whole.result) << text;
    EXPECT_EQ(*whole.result, kind) << text;
    const Scan member("{\"id\":" + text + "}");
    ASSERT_TRUE(member.result) << text;
    EXPECT_EQ(member.found[0].kind, kind) << text;
    EXPECT_EQ(member.found[1].kind, Kind::Absent);
  }
}

TEST(JsonScanner, PrintsWholeNumbersAlone) {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"0", "0"},
      {"-1", "-1"},
      {"9223372036854775807", "9223372036854775807"},
      {"-9223372036854775808", "-9223372036854775808"},
      {"18446744073709551615", "18446744073709551615"},
      {"1.0", ""},
      {"1e3", ""}};
  for (const auto& [number, text] : rows) {
    const Scan scan("{\"id\":" + number + "}");
    ASSERT_TRUE(scan.result) << number;
    EXPECT_EQ(scan.found[0].kind, Kind::Number);
    EXPECT_EQ(scan.found[0].text, text);
  }
}

TEST(JsonScanner, TakesNumbersThatNoMachineWordHolds) {
  for (const char* number :
       {"18446744073709551616", "-9223372036854775809", "123456789012345678901234567890", "1e400",
        "-1E+999", "0.5e999", "1e-400", "123456789012345678901234567890.5e5"}) {
    const Scan scan(std::string("{\"a\":[") + number + ",{\"b\":" + number + R"(}],"id":"7"})");
    ASSERT_TRUE(scan.result) << number;
    EXPECT_EQ(scan.found[0].text, "7") << number;
    const Scan itself(std::string("{\"id\":") + number + "}");
    ASSERT_TRUE(itself.result) << number;
    const std::string_view digits(number);
    const bool whole = digits.find_first_of(".eE") == std::string_view::npos;
    EXPECT_EQ(itself.found[0].text, whole ? digits : "") << "never a wrong value";
    EXPECT_TRUE(Scan(number).result) << number;
  }
  const Scan quoted(R"({"id":"99999999999999999999 \" 1e999","n":1e999})");
  ASSERT_TRUE(quoted.result);
  EXPECT_EQ(quoted.found[0].text, "99999999999999999999 \" 1e999") << "strings stay as they are";
}

TEST(JsonScanner, AcceptsValidDocuments) {
  const std::vector<std::string> rows{
      " \t\r\n{ } \n",
      "[1,-1,0,-0,0.1,1e1,1E+1,1e-1,123456789]",
      R"(["\"\\\/\b\f\n\r\t","\u0000","\uD83D\uDE00","é","😀"," "])",
      R"({"":""})",
      R"({"a":{"b":{"c":[[[{}]]]}}})",
      "\"\x7f\"",
      "[null,true,false]",
      R"({"a":1,"a":1})",
      std::string(500, '[') + std::string(500, ']'),
      "[" + std::string(5000, ' ') + "]",
  };
  for (const std::string& text : rows) EXPECT_TRUE(Scan(text).result) << text.substr(0, 60);
}

TEST(JsonScanner, RefusesNastyDocuments) {
  const std::vector<std::string> rows{
      "",
      " ",
      "{",
      "}",
      "[",
      "]",
      "[1",
      "[1,]",
      "[,1]",
      "[1 2]",
      "[1,,2]",
      "{\"a\"}",
      "{\"a\":}",
      "{\"a\":1,}",
      "{,}",
      "{a:1}",
      "{'a':1}",
      "{1:1}",
      "{\"a\":1 \"b\":2}",
      "{\"a\" 1}",
      "[1}",
      "{\"a\":1]",
      "[1]]",
      "{}{}",
      "{} x",
      "1 2",
      "[] []",
      "\"a\" \"b\"",
      std::string("{}\0{}", 5),
      std::string("{}\0", 3),
      std::string("[\0]", 3),
      "nul",
      "nulll",
      "True",
      "tru",
      "fals",
      "NaN",
      "Infinity",
      "-Infinity",
      "undefined",
      "01",
      "-01",
      "+1",
      ".5",
      "1.",
      "-",
      "--1",
      "1e",
      "1e+",
      "1.e1",
      "0x10",
      "1_000",
      "1,000",
      "[1.2.3]",
      "[-]",
      "[1e1.5]",
      "99999999999999999999x",
      "[012345678901234567890123]",
      "[1e999e1]",
      "[123456789012345678901234567890",
      "\"",
      "\"a",
      "\"\\\"",
      "\"\\x41\"",
      "\"\\u12\"",
      "\"\\u123g\"",
      "\"\\a\"",
      "\"a\nb\"",
      "\"a\tb\"",
      std::string("\"\0\"", 3),
      "\"\x1f\"",
      "'a'",
      "\"\xFF\"",
      "\"\xC0\xAF\"",
      "\"\xED\xA0\x80\"",
      "\"\xF4\x90\x80\x80\"",
      "\"\xE2\x82\"",
      "\"\x80\"",
      "[\xC2]",
      "// c\n{}",
      "{}//",
      "/**/{}",
      "[1]#",
      "{\"a\":1}}",
      "\xC2\xA0{}",
      "\v{}",
      "\f[]",
      "[\"a\" \xE2\x80\xA8]",
  };
  ASSERT_GE(rows.size(), 60U);
  for (const std::string& text : rows) {
    const Scan scan(text);
    ASSERT_FALSE(scan.result) << text.substr(0, 60);
    EXPECT_EQ(scan.result.error(), ScanError::Malformed) << text.substr(0, 60);
  }
}

TEST(JsonScanner, SaysThatADocumentIsTooDeep) {
  const auto nested = [](std::size_t levels) {
    return std::string(levels, '[') + std::string(levels, ']');
  };
  EXPECT_TRUE(Scan(nested(kDepthMax)).result);
  for (const std::string& text : {nested(kDepthMax + 2), nested(2000)}) {
    const Scan scan(text);
    ASSERT_FALSE(scan.result);
    EXPECT_EQ(scan.result.error(), ScanError::TooDeep) << text.size();
  }
  EXPECT_FALSE(Scan(std::string(100000, '[')).result);
}

TEST(JsonScanner, TakesWhatTheGrammarAllowsAndNoTapeHolds) {
  for (const char* text : {"\xEF\xBB\xBF{}", R"("\uD800")", R"("\uDC00\uD800")",
                           R"({"a":"\ud83d","b":123456789012345678901234567890})",
                           R"([1e999,-1E-999,0.1e+400,-0,1E2])", R"({"\ud83d":1,"\ud83e":2})",
                           R"(["\ud83d\\ud83d", "\\"])", "-99999999999999999999"}) {
    EXPECT_TRUE(Scan(text).result) << text;
  }
  for (const char* text :
       {R"({123456789012345678901234567890:1})", R"({"a":"\ud83d"x})", "\xEF\xBB\xBF\xEF\xBB\xBF{}",
        R"(["\ud83d", 123456789012345678901234567890)"}) {
    const Scan scan(text);
    ASSERT_FALSE(scan.result) << text;
    EXPECT_EQ(scan.result.error(), ScanError::Malformed) << text;
  }
}

// A document that is asked afterwards.
struct Asked {
  explicit Asked(std::string document) : text(std::move(document)) {
    const std::size_t size = text.size();
    text.append(kPadding, '\0');
    result = scanner.parse({text.data(), size});
  }
  std::string at(std::string_view pointer) {
    const auto found = scanner.at(pointer);
    return found ? std::string(found->text) : "twice";
  }
  std::string text;
  Scanner scanner;
  Expected<Kind, ScanError> result{Kind::Absent};
};

TEST(JsonScanner, FindsValuesByPointer) {
  Asked doc(R"({"a":{"b":[10,{"c":"x"}]},"a/b":"slash","m~n":"tilde","":"empty","t":true,)"
            R"("d":{"k":1,"k":2},"wide":18446744073709551616,"n":null})");
  ASSERT_TRUE(doc.result);
  EXPECT_EQ(doc.at("/a/b/0"), "10");
  EXPECT_EQ(doc.at("/a/b/1/c"), "x");
  EXPECT_EQ(doc.at("/a/b/2"), "");
  EXPECT_EQ(doc.at("/a/b/x"), "");
  EXPECT_EQ(doc.at("/a~1b"), "slash");
  EXPECT_EQ(doc.at("/m~0n"), "tilde");
  EXPECT_EQ(doc.at("/"), "empty");
  EXPECT_EQ(doc.at("/t/x"), "");
  EXPECT_EQ(doc.at("/wide"), "18446744073709551616");
  EXPECT_EQ(doc.at("/d/k"), "twice");
  EXPECT_EQ(doc.at("/d/other"), "");
  EXPECT_TRUE(doc.scanner.at("/t")->truth);
  EXPECT_EQ(doc.scanner.at("")->kind, Kind::Object);
}

TEST(JsonScanner, OpensAListAndAsksItsElements) {
  Asked doc(R"({"items":[{"id":1},{"id":"two"},3],"none":{}})");
  ASSERT_EQ(doc.scanner.open_list("/items")->value(), 3U);
  EXPECT_EQ(doc.scanner.at(0, "/id")->text, "1");
  EXPECT_EQ(doc.scanner.at(1, "/id")->text, "two");
  EXPECT_EQ(doc.scanner.at(2, "")->text, "3");
  EXPECT_EQ(doc.scanner.at(2, "/id")->kind, Kind::Absent);
  EXPECT_FALSE(doc.scanner.open_list("/none")->has_value());
  Asked root("[1,2]");
  EXPECT_EQ(root.scanner.open_list("")->value(), 2U);
}

TEST(JsonScanner, GoesOnAfterBadAndAfterLongDocuments) {
  Scanner scanner;
  std::array<Found, 4> found;
  const auto scan = [&](std::string text) {
    text.append(kPadding, '\0');
    return scanner.scan({text.data(), text.size() - kPadding}, kWanted, found).has_value();
  };
  EXPECT_FALSE(scan("{\"id\":\"1\""));
  EXPECT_TRUE(scan("{\"id\":\"1\"}"));
  EXPECT_TRUE(scan("{\"x\":\"" + std::string(1U << 20, 'y') + "\",\"id\":\"2\"}"));
  EXPECT_EQ(found[0].text, "2");
  EXPECT_TRUE(scan("{}"));
  EXPECT_EQ(found[0].kind, Kind::Absent) << "nothing is left of the document before";
}

}  // namespace
}  // namespace eventrelay::json
