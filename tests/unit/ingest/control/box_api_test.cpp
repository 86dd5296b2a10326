// What is asked of Box, and what each of its answers becomes.
#include "ingest/control/box_api.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace eventrelay::control::box {
namespace {

namespace json = boost::json;

ExchangeResult answered(int status, std::string body, std::string retry_after = {}) {
  ExchangeAnswer out;
  out.status = status;
  out.body = std::move(body);
  out.retry_after = std::move(retry_after);
  return out;
}

ExchangeResult failed(ExchangeError error) {
  return Unexpected<ExchangeFailure>(ExchangeFailure{error, "connect: refused"});
}

TEST(BoxApi, FormsAreEncoded) {
  const HttpOrigin url = parse_origin("https://api.box.com/oauth2/token");
  const ExchangeRequest request = code_request(url, {"id&x", "s+/="}, "c d");
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/oauth2/token");
  EXPECT_EQ(request.body,
            "grant_type=authorization_code&code=c%20d&client_id=id%26x&client_secret=s%2B%2F%3D");
  EXPECT_EQ(refresh_request(url, {"i", "s"}, "r").body,
            "grant_type=refresh_token&refresh_token=r&client_id=i&client_secret=s");
  EXPECT_EQ(revoke_request(url, {"i", "s"}, "t").body, "client_id=i&client_secret=s&token=t");
}

TEST(BoxApi, TheUrlOfTheConsentPage) {
  const BoxProviderConfig config;
  EXPECT_EQ(oauth_url(config, "my id", "https://a.example/x?y=1", "box", ""),
            "https://account.box.com/api/oauth2/authorize?response_type=code&client_id=my%20id"
            "&redirect_uri=https%3A%2F%2Fa.example%2Fx%3Fy%3D1&state=box");
  EXPECT_TRUE(oauth_url(config, "i", "u", "s", "a b").ends_with("&scope=a%20b"));
}

TEST(BoxApi, TokensOfAnAnswer) {
  const WallTime now{milliseconds{1'000'000}};
  const auto good = tokens_of(
      answered(200, R"({"access_token":"a","refresh_token":"r","expires_in":3600})"), now);
  ASSERT_TRUE(good);
  EXPECT_EQ(good->access.reveal(), "a");
  EXPECT_EQ(good->refresh.reveal(), "r");
  EXPECT_EQ(good->expires, now + std::chrono::hours{1});
  for (const char* body : {"", "null", "[]", "{}", "<html>", R"({"access_token":"a"})",
                           R"({"access_token":5,"refresh_token":"r"})",
                           R"({"access_token":"a b","refresh_token":"r"})",
                           R"({"access_token":"a","refresh_token":"r","expires_in":"x"})",
                           R"({"access_token":"a","refresh_token":"r","expires_in":-1})"}) {
    const auto bad = tokens_of(answered(200, body), now);
    ASSERT_FALSE(bad) << body;
    EXPECT_EQ(bad.error().status, 502U) << body;
  }
}

TEST(BoxApi, EveryStatusByTheAnswerTable) {
  const struct {
    int from;
    unsigned to;
  } rows[] = {{400, 400}, {401, 403}, {403, 403}, {404, 404}, {405, 502}, {409, 409}, {410, 502},
              {429, 429}, {500, 502}, {503, 502}, {301, 502}, {302, 502}, {100, 502}};
  for (const auto& row : rows) {
    const auto answer = answer_of(answered(row.from, R"({"message":"words"})", "7"));
    ASSERT_FALSE(answer) << row.from;
    EXPECT_EQ(answer.error().status, row.to) << row.from;
    EXPECT_EQ(answer.error().provider_message, "words");
    EXPECT_EQ(answer.error().retry_after, row.from == 429 ? 7U : 0U);
  }
  EXPECT_EQ(answer_of(failed(ExchangeError::Timeout)).error().status, 504U);
  EXPECT_EQ(answer_of(failed(ExchangeError::Unreachable)).error().status, 502U);
  EXPECT_EQ(answer_of(failed(ExchangeError::Unreadable)).error().status, 502U);
  EXPECT_EQ(answer_of(answered(200, "<html>")).error().status, 502U);
  EXPECT_TRUE(answer_of(answered(204, ""))->is_null());
  EXPECT_TRUE(answer_of(answered(201, "{}"))->is_object());
}

TEST(BoxApi, BoxsOwnWordsInTheirOrder) {
  const auto words = [](const char* body) {
    return answer_of(answered(400, body)).error().provider_message;
  };
  EXPECT_EQ(words(R"({"message":"m","error":"e","error_description":"d"})"), "m");
  EXPECT_EQ(words(R"({"error":"e","error_description":"d"})"), "d");
  EXPECT_EQ(words(R"({"error":"e"})"), "e");
  EXPECT_EQ(words("<html>"), "");
  EXPECT_EQ(words(R"({"message":5})"), "");
  EXPECT_EQ(words("{\"message\":\"a\\nb\"}"), "a b");
}

TEST(BoxApi, AGrantThatIsGone) {
  EXPECT_TRUE(grant_is_gone(answered(400, R"({"error":"invalid_grant"})")));
  EXPECT_TRUE(grant_is_gone(answered(401, R"({"error":"invalid_grant"})")));
  EXPECT_FALSE(grant_is_gone(answered(400, R"({"error":"invalid_client"})")));
  EXPECT_FALSE(grant_is_gone(answered(500, R"({"error":"invalid_grant"})")));
  EXPECT_FALSE(grant_is_gone(failed(ExchangeError::Timeout)));
}

TEST(BoxApi, WebhookRequests) {
  const auto judged = [](const char* body, Members members = Members::All) {
    const auto request = webhook_request(json::parse(body).as_object(), members, "https://e/x");
    return request ? json::serialize(*request) : request.error().message;
  };
  EXPECT_EQ(judged(R"({"target":{"id":"1","type":"folder"},"triggers":["FILE.UPLOADED"]})"),
            R"({"target":{"id":"1","type":"folder"},"triggers":["FILE.UPLOADED"],)"
            R"("address":"https://e/x"})");
  EXPECT_NE(judged(R"({"target":{"id":"1","type":"file"},"triggers":["x"],"address":"https://o"})")
                .find("\"address\":\"https://o\""),
            std::string::npos);
  EXPECT_EQ(judged(R"({"triggers":["x"]})"), "target: required");
  EXPECT_EQ(judged(R"({"target":5,"triggers":["x"]})"), "target: must be an object");
  EXPECT_EQ(judged(R"({"target":{"type":"file"},"triggers":["x"]})"), "target.id: must be a text");
  EXPECT_EQ(judged(R"({"target":{"id":"1"},"triggers":["x"]})"),
            "target.type: is not one of file, folder");
  EXPECT_EQ(judged(R"({"target":{"id":"1","type":"file"}})"), "triggers: required");
  EXPECT_EQ(judged(R"({"target":{"id":"1","type":"file"},"triggers":[]})"),
            "triggers: must be a list of 1..100 texts");
  EXPECT_EQ(judged(R"({"target":{"id":"1","type":"file"},"triggers":[5]})"),
            "triggers: must be a list of texts of 1..100 characters");
  EXPECT_EQ(judged(R"({"target":{"id":"1","type":"file"},"triggers":["x"],"more":1})"),
            "more: unknown");
  EXPECT_EQ(judged(R"({"triggers":["x"]})", Members::Given), R"({"triggers":["x"]})");
  EXPECT_EQ(judged(R"({})", Members::Given), "target: give target, triggers or address");
}

TEST(BoxApi, WebhookIds) {
  EXPECT_TRUE(is_webhook_id("1"));
  EXPECT_TRUE(is_webhook_id("12345678901234567890"));
  for (const char* id : {"", "123456789012345678901", "a", "1/2", "..", "-1"}) {
    EXPECT_FALSE(is_webhook_id(id)) << id;
  }
}

TEST(BoxApi, NineHundredRequestsAMinute) {
  Quota quota;
  TimePoint now{std::chrono::seconds{1000}};
  int passed = 0;
  while (!quota.take(now)) ++passed;
  EXPECT_EQ(passed, 900);
  EXPECT_EQ(quota.take(now), 1U);
  now += std::chrono::seconds{1};
  passed = 0;
  while (!quota.take(now)) ++passed;
  EXPECT_EQ(passed, 15);
}

TEST(BoxQuota, PausesForAsLongAsBoxAsks) {
  Quota quota;
  TimePoint now{std::chrono::seconds{1000}};
  ExchangeAnswer busy;
  busy.status = 429;
  busy.retry_after = "7";
  quota.heed(busy, now);
  EXPECT_EQ(quota.take(now), 7U);
  EXPECT_EQ(quota.take(now + std::chrono::milliseconds{6500}), 1U);
  EXPECT_FALSE(quota.take(now + std::chrono::seconds{7}));
  busy.status = 200;  // of an answer that is none of these it says nothing
  quota.heed(busy, now);
  EXPECT_FALSE(quota.take(now + std::chrono::seconds{8}));
}

TEST(Origin, IsTakenApartStrictly) {
  const HttpOrigin one = parse_origin("http://127.0.0.1:8090/2.0/");
  EXPECT_FALSE(one.tls);
  EXPECT_EQ(one.host, "127.0.0.1");
  EXPECT_EQ(one.port, "8090");
  EXPECT_EQ(one.path, "/2.0");
  for (const char* url :
       {"", "x", "ftp://a/", "https://", "https://u:p@a/", "https://a/?q", "https://a/#f",
        "https://a:0/", "https://a:65536/", "https://a:4294967739/", "https://a:-1/",
        "https://a:+443/", "https://a:/", "https://a:44a/", "https://1.2.3.4.5/"}) {
    EXPECT_THROW((void)parse_origin(url), std::invalid_argument) << url;
  }
}

}  // namespace
}  // namespace eventrelay::control::box
