#include "ingest/control/json_body.hpp"

#include <gtest/gtest.h>

namespace eventrelay::control {
namespace {

std::string message(const std::string& body) {
  const auto parsed = parse_body(body);
  return parsed ? "taken" : std::to_string(parsed.error().status) + " " + parsed.error().message;
}

TEST(JsonBody, TakesAnObject) {
  EXPECT_EQ(message("{}"), "taken");
  EXPECT_EQ(message(R"( {"a":[1,{"b":null}],"c":"é"} )"), "taken");
  EXPECT_EQ(message(R"({"a":{"x":1},"b":{"x":2}})"), "taken");
}

TEST(JsonBody, NamesADoubledKeyWithItsPath) {
  EXPECT_EQ(message(R"({"a":1,"a":2})"), "400 a: given twice");
  EXPECT_EQ(message(R"({"configuration":{"x.y":1,"x.y":2}})"),
            "400 configuration.x.y: given twice");
  EXPECT_EQ(message(R"({"list":[{},{"k":1,"k":1}]})"), "400 list[1].k: given twice");
  // The same key, written differently.
  EXPECT_EQ(message(R"({"a":1,"\u0061":2})"), "400 a: given twice");
}

TEST(JsonBody, RefusesEverythingElse) {
  for (const std::string& body :
       {std::string(), std::string("null"), std::string("[]"), std::string("1"), std::string("{"),
        std::string("{}{}"), std::string("{\"a\":}"), std::string("{a:1}"),
        std::string("{\"a\":1,}"), std::string("{\"a\":\"\xff\"}"),
        std::string("{\"a\":\"\xed\xa0\x80\"}"), std::string("{\"a\":\"\x01\"}"),
        std::string("{\"a\":NaN}"), std::string("// x\n{}")}) {
    EXPECT_EQ(message(body).substr(0, 4), "400 ") << body;
  }
}

TEST(JsonBody, BoundsDepthAndValues) {
  const auto nested = [](int depth) {
    std::string body = "{\"a\":";
    for (int i = 1; i < depth; ++i) body += '[';
    for (int i = 1; i < depth; ++i) body += ']';
    return body + "}";
  };
  EXPECT_EQ(message(nested(32)), "taken");
  EXPECT_EQ(message(nested(33)), "400 the body is more than 32 levels deep");
  std::string many = "{\"a\":[0";
  for (int i = 0; i < 20'000; ++i) many += ",0";
  EXPECT_EQ(message(many + "]}"), "400 the body holds more than 20000 values");
}

TEST(JsonBody, ADangerousNameIsAName) {
  EXPECT_EQ(message(R"({"__proto__":{"x":1},"constructor":1})"), "taken");
}

}  // namespace
}  // namespace eventrelay::control
