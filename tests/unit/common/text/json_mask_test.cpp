#include "common/text/json_mask.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace eventrelay {
namespace {

std::string masked(std::string_view json) {
  std::string out;
  append_json_masked(out, json, "state");
  return out;
}

TEST(JsonMask, HidesTheValuesOfOneMemberAndKeepsAllOtherBytes) {
  const std::vector<std::pair<std::string, std::string>> rows{
      {R"({"state":"secret"})", R"({"state":"***"})"},
      {R"({"state":""})", R"({"state":"***"})"},
      {"{ \"state\" \r\n:\t \"secret\" , \"a\":1.0}", "{ \"state\" \r\n:\t \"***\" , \"a\":1.0}"},
      {R"([{"a":[{"state":"x"},{"state":"y\"z\\"}]}])",
       R"([{"a":[{"state":"***"},{"state":"***"}]}])"},
      {R"({"st\u0061te":"x","\u0073tate":"y","st\u0041te":"z"})",
       R"({"st\u0061te":"***","\u0073tate":"***","st\u0041te":"z"})"},
      {R"({"a":"state","b":"\"state\":\"x\""})", R"({"a":"state","b":"\"state\":\"x\""})"},
      {R"(["state","x"])", R"(["state","x"])"},
      {R"({"state":null,"States":"x","state ":"y","stat":"z"})",
       R"({"state":null,"States":"x","state ":"y","stat":"z"})"},
      {R"({"state":{"state":["state"]}})", R"({"state":{"state":["state"]}})"},
      {R"({"state":"state","state":"b"})", R"({"state":"***","state":"***"})"},
      {"\xEF\xBB\xBF{\"state\":\"x\"}\n", "\xEF\xBB\xBF{\"state\":\"***\"}\n"},
      {"", ""},
      {"7", "7"},
      {"\"", "\""},
      {R"("\)", R"("\)"},
      {R"({"state":")", R"({"state":"***")"},
      {R"({"state":)", R"({"state":)"},
      {R"({"\u00)", R"({"\u00)"},
  };
  for (const auto& [json, expected] : rows) EXPECT_EQ(masked(json), expected) << json;
}

}  // namespace
}  // namespace eventrelay
