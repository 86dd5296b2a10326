#include "common/http/router.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/http/accept.hpp"

namespace eventrelay {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

const RouteHandler kNothing = [](const HttpRequestPtr&, const Responder&) {};

// Rows as a control plane has them, and one question at a time.
class RouterTest : public ::testing::Test {
 protected:
  RouterTest() {
    for (const char* method : {"GET", "PUT", "DELETE"}) add(method, "/instances/{id}");
    add("GET", "/instances");
    add("POST", "/instances");
    add("GET", "/instances/events");
    add("GET", "/instances/{id}/events/{eventId}");
    add("GET", "/console/{file...}");
    add("GET", "/");
    add("GET", "/open", Access::Open);
    add("GET", "/scrape", Access::Scrape);
    add("POST", "/token", Access::Token);
    add("GET", "/token", Access::Token);
  }

  void add(const char* method, const char* pattern, Access access = Access::Own) {
    Route route{method, pattern, access, kNothing};
    route.body_max = 100;
    router_.add(std::move(route));
  }

  // The status of the refusal, 0 when a route was found.
  unsigned ask(const std::string& method, const std::string& target, const NamedTexts& headers = {},
               std::uint64_t length = 0) {
    request_ = {};
    request_.method = method;
    request_.target = target;
    request_.headers = headers;
    if (request_.header_count("Host") == 0) request_.headers.emplace_back("Host", "localhost:1");
    framing_.length = length;
    const auto found = router_.route(request_, framing_, policy_);
    pattern_ = found ? (*found)->pattern : std::string{};
    refusal_ = found ? HttpResponse{} : found.error();
    return found ? 0 : found.error().status;
  }
  std::string pattern(const std::string& method, const std::string& target) {
    EXPECT_EQ(ask(method, target), 0U) << target;
    return pattern_;
  }

  Router router_;
  AccessPolicy policy_;
  Framing framing_;
  HttpRequest request_;
  std::string pattern_;
  HttpResponse refusal_;
};

TEST_F(RouterTest, FindsTheMostSpecificPattern) {
  EXPECT_EQ(pattern("GET", "/instances/7"), "/instances/{id}");
  EXPECT_EQ(pattern("GET", "/instances/events"), "/instances/events");
  EXPECT_EQ(pattern("GET", "/instances/events/events/x"), "/instances/{id}/events/{eventId}");
  EXPECT_EQ(pattern("GET", "/"), "/");
  EXPECT_EQ(pattern("GET", "/console/"), "/console/{file...}");
  for (const char* unknown : {"/instance", "/instances/", "/instances/7/", "/instances/7/events",
                              "//instances", "/instances/7/events/"}) {
    EXPECT_EQ(ask("GET", unknown), 404U) << unknown;
  }
}

TEST_F(RouterTest, DecodesParametersOfThePathSegmentBySegment) {
  ASSERT_EQ(ask("GET", "/instances/a%2Fb%20+/events/%C3%A4"), 0U);
  EXPECT_EQ(request_.parameter("id"), "a/b +");
  EXPECT_EQ(request_.parameter("eventId"), "\xC3\xA4");
  EXPECT_EQ(request_.parameter("other"), "");
  EXPECT_EQ(request_.path, "/instances/a%2Fb%20+/events/%C3%A4");
  ASSERT_EQ(ask("GET", "/console/css/../x.css"), 0U);
  EXPECT_EQ(request_.parameter("file"), "css/../x.css");
}

TEST_F(RouterTest, DecodesTheQueryAndKeepsRepeatedOnes) {
  ASSERT_EQ(ask("GET", "/instances?tags[]=a+b&tags%5B%5D=c%26d&one=1&two=1&two=2&bare&=x"), 0U);
  EXPECT_THAT(request_.query_all("tags[]"), ElementsAre("a b", "c&d"));
  EXPECT_EQ(request_.query("one"), "1");
  EXPECT_EQ(request_.query("two"), std::nullopt);
  EXPECT_EQ(request_.query("none"), std::nullopt);
  EXPECT_EQ(request_.query("bare"), "");
}

TEST_F(RouterTest, RefusesATargetThatIsNone) {
  for (const char* target : {"", "instances", "/instances/%zz", "/instances/%4", "/a b", "*",
                             "/instances?x=%", "ftp://h/instances", "http:instances", "h:80"}) {
    EXPECT_EQ(ask("GET", target), 400U) << target;
  }
}

TEST_F(RouterTest, TakesATargetInAbsoluteForm) {
  EXPECT_EQ(ask("GET", "http://127.0.0.1:9464/instances/7?a=b", {{"Host", "evil.example"}}), 0U);
  EXPECT_EQ(request_.parameter("id"), "7");
  EXPECT_EQ(request_.query("a"), "b");
  EXPECT_EQ(ask("GET", "http://evil.example/instances/7"), 403U);
}

TEST_F(RouterTest, NamesTheMethodsOfThePath) {
  EXPECT_EQ(ask("POST", "/instances/7"), 405U);
  EXPECT_THAT(refusal_.headers, ElementsAre(Pair("Allow", "GET, HEAD, PUT, DELETE")));
  EXPECT_EQ(ask("PUT", "/instances/events"), 405U);
  EXPECT_THAT(refusal_.headers, ElementsAre(Pair("Allow", "GET, HEAD")));
  EXPECT_EQ(ask("get", "/instances"), 405U);
  EXPECT_EQ(ask("HEAD", "/instances"), 0U);
  EXPECT_EQ(ask("HEAD", "/none"), 404U);
}

TEST_F(RouterTest, BoundsTheBodyByItsRoute) {
  const NamedTexts json = {{"Content-Type", "Application/JSON; charset=utf-8"}};
  EXPECT_EQ(ask("PUT", "/instances/7", json, 100), 0U);
  EXPECT_EQ(ask("PUT", "/instances/7", json, 101), 413U);
  EXPECT_THAT(refusal_.body, HasSubstr("100 bytes"));
  framing_.chunked = true;
  EXPECT_EQ(ask("PUT", "/instances/7", json), 411U);
}

TEST_F(RouterTest, JudgesTheTypeOfABodyThatIsThere) {
  EXPECT_EQ(ask("PUT", "/instances/7", {}, 0), 0U);
  EXPECT_EQ(ask("PUT", "/instances/7", {}, 1), 415U);
  EXPECT_EQ(ask("PUT", "/instances/7", {{"Content-Type", "text/plain"}}, 1), 415U);
  EXPECT_EQ(ask("PUT", "/instances/7", {{"Content-Type", "application/jsonx"}}, 1), 415U);
}

TEST_F(RouterTest, JudgesWhatTheClientAccepts) {
  EXPECT_EQ(ask("GET", "/instances", {{"Accept", "text/html"}}), 406U);
  EXPECT_EQ(ask("GET", "/instances", {{"Accept", "text/html"}, {"Accept", "*/*;q=0.1"}}), 0U);
}

TEST(Accept, TheClosestRangeDecides) {
  for (const char* takes :
       {"", "*/*", "application/*", "application/json", "Application/JSON;q=0.1", "*",
        "text/html, application/json;q=0.9, */*;q=0", " application/json ; q=0.001", "*/*;q=1.0"}) {
    EXPECT_TRUE(accepts(takes, "application/json")) << takes;
  }
  for (const char* refuses :
       {"text/html", "application/json;q=0", "*/*, application/json;q=0.0", "text/*;q=1", "*/*;q=0",
        "application/*;q=0.000, */*", "application/jsonx", ","}) {
    EXPECT_FALSE(accepts(refuses, "application/json")) << refuses;
  }
}

TEST_F(RouterTest, AHostIsAnAddressOrAKnownName) {
  policy_.hosts = {"relay.example"};
  for (const char* host :
       {"127.0.0.1", "127.0.0.1:9464", "10.1.2.3", "[::1]:9464", "[fd00::1]", "localhost",
        "LocalHost:1", "localhost.", "relay.example:80", "RELAY.example"}) {
    EXPECT_EQ(ask("GET", "/open", {{"Host", host}}), 0U) << host;
  }
  for (const char* host : {"evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "",
                           "[::1", "[::1]x", "x.relay.example", "0x7f.1", "127.1"}) {
    EXPECT_EQ(ask("GET", "/open", {{"Host", host}}), 403U) << host;
  }
  EXPECT_EQ(ask("GET", "/open", {{"Host", "localhost"}, {"host", "localhost"}}), 400U);
}

TEST_F(RouterTest, AHostMayBeMissingInTheOldProtocolOnly) {
  request_.method = "GET";
  request_.target = "/open";
  EXPECT_EQ(router_.route(request_, framing_, policy_).error().status, 400U);
  framing_.version = Http11::No;
  EXPECT_TRUE(router_.route(request_, framing_, policy_));
}

TEST_F(RouterTest, AnOriginIsTheOneThatWasAsked) {
  policy_.hosts = {"relay.example"};
  const auto from = [this](const char* origin) {
    return ask("GET", "/open", {{"Host", "127.0.0.1:9464"}, {"Origin", origin}});
  };
  EXPECT_EQ(from("http://127.0.0.1:9464"), 0U);
  EXPECT_EQ(from("https://relay.example"), 0U);
  for (const char* foreign : {"null", "", "http://evil.example", "http://127.0.0.1:9465",
                              "http://127.0.0.1", "http://localhost:9464", "127.0.0.1:9464"}) {
    EXPECT_EQ(from(foreign), 403U) << foreign;
  }
  EXPECT_EQ(ask("GET", "/open", {{"Origin", "http://localhost:1"}, {"Origin", "null"}}), 403U);
}

TEST_F(RouterTest, ChangesWithoutATokenNeedWhatAFormCanNotSend) {
  const NamedTexts json = {{"Content-Type", "application/json"}};
  EXPECT_EQ(ask("POST", "/token"), 415U);
  EXPECT_EQ(ask("POST", "/token", {{"Content-Type", "text/plain"}}), 415U);
  EXPECT_EQ(ask("POST", "/token", json), 0U);
  EXPECT_EQ(ask("GET", "/token"), 0U);
  policy_.token = Secret{"s3cret"};
  EXPECT_EQ(ask("POST", "/token", {{"Authorization", "Bearer s3cret"}}), 0U);
  EXPECT_EQ(ask("POST", "/token", json), 401U);
}

TEST_F(RouterTest, TheTokenIsAskedForWhereItCounts) {
  policy_.token = Secret{"s3cret"};
  EXPECT_EQ(ask("GET", "/open"), 0U);
  EXPECT_EQ(ask("GET", "/instances"), 0U);
  EXPECT_EQ(ask("GET", "/scrape"), 401U);
  EXPECT_EQ(ask("GET", "/token"), 401U);
  EXPECT_THAT(refusal_.headers, ElementsAre(Pair("WWW-Authenticate", "Bearer")));
  for (const char* good : {"Bearer s3cret", "bearer s3cret", "BEARER  s3cret"}) {
    EXPECT_EQ(ask("GET", "/token", {{"Authorization", good}}), 0U) << good;
  }
  for (const char* bad : {"s3cret", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3crets",
                          "Bearer S3CRET", "Basic s3cret", "Bearers3cret"}) {
    EXPECT_EQ(ask("GET", "/token", {{"Authorization", bad}}), 401U) << bad;
  }
  policy_.open_scrape = true;
  EXPECT_EQ(ask("GET", "/scrape"), 0U);
}

TEST_F(RouterTest, OffLoopbackWithoutATokenOnlyProbesAreOpen) {
  policy_.loopback = false;
  EXPECT_EQ(ask("GET", "/open"), 0U);
  for (const char* closed : {"/scrape", "/token", "/instances"}) {
    EXPECT_EQ(ask("GET", closed), 403U) << closed;
  }
  policy_.open_scrape = true;
  EXPECT_EQ(ask("GET", "/scrape"), 0U);
  policy_.token = Secret{"s3cret"};
  EXPECT_EQ(ask("GET", "/instances"), 0U);
}

TEST(Responder, OneAnswerCountsAndNoneIsAFault) {
  std::vector<unsigned> answers;
  const auto request = std::make_shared<HttpRequest>();
  const auto done = [&answers](const HttpResponse& response) {
    answers.push_back(response.status);
  };
  {
    const Responder respond(request, done);
    const Responder copy = respond;
    copy(json_response(200, ""));
    respond(json_response(201, ""));
  }
  EXPECT_THAT(answers, ElementsAre(200U));
  { const Responder dropped(request, done); }
  EXPECT_THAT(answers, ElementsAre(200U, 500U));
}

}  // namespace
}  // namespace eventrelay
