// Every scheme against vectors that its provider, or the provider's own SDK, publishes.
#include "common/providers/scheme.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace eventrelay::providers {
namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

// One signed message of a provider. Thread: value.
struct Case {
  std::string scheme;
  std::vector<std::string> keys;
  std::string body;
  Lines headers;
  std::string now = "0";  // Unix seconds
  Method method = Method::Post;
  std::string target = "/";
};

std::vector<Secret> secrets(const std::vector<std::string>& keys) {
  std::vector<Secret> made;
  for (const std::string& key : keys) made.emplace_back(key);
  return made;
}

Expected<void, ProviderError> judge(const Case& c, Window window) {
  IncomingHead head;
  head.method = c.method;
  head.target = c.target;
  for (const auto& [name, value] : c.headers) head.add(name, value);
  const Scheme* const scheme = find_scheme(c.scheme);
  EXPECT_NE(scheme, nullptr) << c.scheme;
  Verifier verifier(*scheme, secrets(c.keys), window);
  return verifier.verify(head, c.body, *parse_stamp(Stamp::Seconds, c.now));
}

Expected<void, ProviderError> judge(const Case& c) {
  return judge(c, find_scheme(c.scheme)->window);
}

// The error of a verdict; a genuine one fails the test.
ProviderError error_of(const Expected<void, ProviderError>& verdict) {
  EXPECT_FALSE(verdict) << "was taken as genuine";
  return verdict ? ProviderError::MalformedRequest : verdict.error();
}

const std::string kSlackBody =
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    "&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    "&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibI"
    "GlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";

const std::vector<Case>& genuine() {
  static const std::vector<Case> cases{
      {"github",
       {"It's a Secret to Everybody"},
       "Hello, World!",
       {{"X-Hub-Signature-256",
         "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}}},
      {"github",
       {"mysecret"},
       R"({"foo":"bar"})",
       {{"x-hub-signature-256",
         "sha256=4864d2759938a15468b5df9ade20bf161da9b4f737ea61794142f3484236bda3"}}},
      {"meta",
       {"mysecret"},
       R"({"foo":"bar"})",
       {{"X-Hub-Signature-256",
         "sha256=4864d2759938a15468b5df9ade20bf161da9b4f737ea61794142f3484236bda3"}}},
      {"shopify",
       {"7008c5f4da4718b9b45d26d3fcbbb157"},
       R"({"foo":"bar"})",
       {{"X-Shopify-Hmac-SHA256", "+R9TwYM4mbLTk3hEAOBkpA7zW2lc9vNFmVKs2u2jtyY="}}},
      {"shopify",
       {"7008c5f4da4718b9b45d26d3fcbbb157"},
       R"({"foo":"bar"})",
       {{"shopify-hmac-sha256", "+R9TwYM4mbLTk3hEAOBkpA7zW2lc9vNFmVKs2u2jtyY="}}},
      {"slack",
       {"8f742231b10e8888abcd99yyyzzz85a5"},
       kSlackBody,
       {{"X-Slack-Request-Timestamp", "1531420618"},
        {"X-Slack-Signature",
         "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"}},
       "1531420618"},
      {"standard",
       {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
       R"({"test": 2432232314})",
       {{"webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"},
        {"webhook-timestamp", "1614265330"},
        {"webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}},
       "1614265330"},
      {"svix",
       {"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
       R"({"test": 2432232314})",
       {{"svix-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"},
        {"svix-timestamp", "1614265330"},
        {"svix-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}},
       "1614265330"},
      {"hubspot-v3",
       {"yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"},
       R"({"example_field":"example_value"})",
       {{"Host", "www.example.com"},
        {"X-HubSpot-Request-Timestamp", "1564113600000"},
        {"X-HubSpot-Signature-v3", "eT0ip2TKVpsIi1vb5C2Uu42eNdHL+oTE3NRZOF67O2U="}},
       "1564113600",
       Method::Post,
       "/webhook_uri"},
      {"zendesk",
       {"dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="},
       R"({"id":1})",
       {{"X-Zendesk-Webhook-Signature-Timestamp", "2021-03-25T05:09:27Z"},
        {"X-Zendesk-Webhook-Signature", "ywpRZiAB7t63lmd+pF7GH2wmTjBlyoVl8feO7lD518g="}},
       "1616648967"},
      {"dropbox",
       {"the_secret"},
       R"({"delta": {"users": [12345]}})",
       {{"X-Dropbox-Signature",
         "0a8c16b085420b960dc78664279fe09e936a2a01b1f91064869d9e77dfd64529"}}},
      {"elements",
       {"MySecretEventSignatureKey"},
       "<INSERT_EVENT_NOTIFICATION_RESPONSE_BODY>",
       {{"Elements-Webhook-Signature", "sha256=jHdbRx5EZAsOfTwAPJOGkNUzQMVVdu5VJlxcsk+G6jQ="}}},
      {"elements",
       {"abcd1234efgh5678"},
       R"({"message":{"eventId":"1"}})",
       {{"Elements-Webhook-Signature", "sha256=K85qmTIlvEkOr6S+WiOKj/yfELQSC8lsRD0RALn7fLE="}}},
  };
  return cases;
}

TEST(SchemeVectors, AreGenuine) {
  for (const Case& c : genuine()) EXPECT_TRUE(judge(c)) << c.scheme << ' ' << c.body.substr(0, 40);
}

TEST(SchemeVectors, FailWithAnotherKey) {
  for (Case c : genuine()) {
    c.keys = {c.scheme == "standard" || c.scheme == "svix" ? "whsec_AAAA" : "another"};
    EXPECT_EQ(error_of(judge(c)), ProviderError::SignatureWrong) << c.scheme;
  }
}

TEST(SchemeVectors, FailWithOneByteMoreInTheBody) {
  for (Case c : genuine()) {
    c.body += ' ';
    EXPECT_EQ(error_of(judge(c)), ProviderError::SignatureWrong) << c.scheme;
  }
}

TEST(SchemeVectors, HoldWithAnyLiveKey) {
  for (Case c : genuine()) {
    const std::string other = c.scheme == "standard" || c.scheme == "svix" ? "whsec_AAAA" : "old";
    c.keys.insert(c.keys.begin(), other);
    EXPECT_TRUE(judge(c)) << c.scheme;
    c.keys.insert(c.keys.begin(), "");
    EXPECT_TRUE(judge(c)) << c.scheme;
  }
}

TEST(SchemeVectors, MissASignatureWithoutEachHeader) {
  for (const Case& whole : genuine()) {
    for (std::size_t i = 0; i < whole.headers.size(); ++i) {
      Case c = whole;
      c.headers.erase(c.headers.begin() + static_cast<std::ptrdiff_t>(i));
      const bool host = whole.headers[i].first == "Host";
      EXPECT_EQ(error_of(judge(c)),
                host ? ProviderError::SignatureWrong : ProviderError::SignatureMissing)
          << c.scheme << ' ' << whole.headers[i].first;
    }
  }
}

TEST(SchemeVectors, RefuseEachHeaderTwice) {
  for (const Case& whole : genuine()) {
    for (const auto& line : whole.headers) {
      if (line.first == "Host") continue;  // the gate's part
      Case c = whole;
      c.headers.push_back(line);
      EXPECT_EQ(error_of(judge(c)), ProviderError::DuplicateHeader)
          << c.scheme << ' ' << line.first;
    }
  }
}

TEST(SchemeVectors, NeverVerifyWithoutAKey) {
  for (Case c : genuine()) {
    c.keys = {""};
    EXPECT_EQ(error_of(judge(c)), ProviderError::SignatureWrong) << c.scheme;
    c.keys = {};
    EXPECT_EQ(error_of(judge(c)), ProviderError::SignatureWrong) << c.scheme;
  }
}

TEST(SchemeVectors, AreWhatSignProduces) {
  for (const Case& c : genuine()) {
    const Scheme& scheme = *find_scheme(c.scheme);
    SignInput input{.uri = "https://www.example.com/webhook_uri", .body = c.body};
    std::string id;
    for (const auto& [name, value] : c.headers) {
      if (equal_without_case(name, scheme.timestamp)) input.timestamp = value;
      if (equal_without_case(name, scheme.id)) input.id = value;
    }
    const std::vector<SignedField> fields = sign(scheme, secrets(c.keys), input);
    ASSERT_FALSE(fields.empty());
    EXPECT_EQ(fields.back().name, scheme.signature[0]);
    EXPECT_EQ(fields.back().value, c.headers.back().second) << c.scheme;
  }
}

// Stripe signs with a body of its own repository; the same rule with the signer's own output.
Case stripe(const std::string& header) {
  return {"stripe",
          {"webhook_secret"},
          "{\n  \"id\": \"evt_1\"\n}\n",
          {{"Stripe-Signature", header}},
          "1533204620"};
}
std::string stripe_code(std::string_view timestamp) {
  const Case c = stripe("");
  const auto fields =
      sign(*find_scheme("stripe"), secrets(c.keys), {.timestamp = timestamp, .body = c.body});
  const std::string& value = fields.at(0).value;
  return value.substr(value.find("v1=") + 3);
}

TEST(StripeScheme, SignsTimestampDotBody) {
  // HMAC-SHA256 of "1533204620." and the body, computed apart with openssl dgst.
  EXPECT_EQ(stripe_code("1533204620"),
            "1ff44b7eb15270b9fb3d19ddeaeed86eb6ce3898960faeedaeeb6c7b9db6dd40");
}

TEST(StripeScheme, TakesAnyV1AndPassesOverOtherVersions) {
  const std::string code = stripe_code("1533204620");
  const std::string wrong(64, '0');
  EXPECT_TRUE(judge(stripe("t=1533204620,v1=" + code)));
  EXPECT_TRUE(judge(stripe("t=1533204620,v1=" + code + ",v0=" + wrong)));
  EXPECT_TRUE(judge(stripe("t=1533204620,v1=" + wrong + ",v1=" + code)));
  EXPECT_TRUE(judge(stripe("v0=zz,t=1533204620,v1=" + wrong + ",v1=" + code)));
}

TEST(StripeScheme, RefusesWhatIsNotSigned) {
  const std::string code = stripe_code("1533204620");
  const std::string wrong(64, '0');
  EXPECT_EQ(error_of(judge(stripe("t=1533204620,v0=" + code))), ProviderError::SignatureMissing);
  EXPECT_EQ(error_of(judge(stripe("v1=" + code))), ProviderError::SignatureMissing);
  EXPECT_EQ(error_of(judge(stripe("t=1533204620,v1=" + wrong))), ProviderError::SignatureWrong);
  EXPECT_EQ(error_of(judge(stripe("t=1533204621,v1=" + code))), ProviderError::SignatureWrong);
  EXPECT_EQ(error_of(judge(stripe("t=x,v1=" + code))), ProviderError::BadTimestamp);
  EXPECT_EQ(error_of(judge(stripe("t=,v1=" + code))), ProviderError::BadTimestamp);
  EXPECT_EQ(error_of(judge(stripe("t=1,t=1533204620,v1=" + code))), ProviderError::DuplicateHeader);
  EXPECT_EQ(error_of(judge(stripe("t=1533204620,v1=xyz"))), ProviderError::MalformedBase64);
  EXPECT_EQ(error_of(judge(stripe("t=1533204620,v1=" + code.substr(2)))),
            ProviderError::SignatureWrong);
  EXPECT_EQ(error_of(judge(stripe("t=1533204620," + code))), ProviderError::MalformedRequest);
  std::string many = "t=1533204620";
  for (std::size_t i = 0; i <= kCandidatesMax; ++i) many += ",v1=" + wrong;
  EXPECT_EQ(error_of(judge(stripe(many))), ProviderError::MalformedRequest);
}

// The suite of the Standard Webhooks libraries.
Case standard() {
  return genuine()[6];
}

TEST(StandardWebhooks, TakesOneOfSeveralSignatures) {
  Case c = standard();
  c.headers[2].second =
      "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= "
      "v2,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= "
      "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
  EXPECT_TRUE(judge(c));
}

TEST(StandardWebhooks, KeepsItsWindowOnBothSides) {
  Case c = standard();
  c.now = "1614265630";
  EXPECT_TRUE(judge(c));
  c.now = "1614265631";
  EXPECT_EQ(error_of(judge(c)), ProviderError::SignatureTooOld);
  c.now = "1614265030";
  EXPECT_TRUE(judge(c));
  c.now = "1614265029";
  EXPECT_EQ(error_of(judge(c)), ProviderError::SignatureTooNew);
}

TEST(StandardWebhooks, RefusesTheNegativesOfItsSuite) {
  Case c = standard();
  c.headers[1].second = "hello";
  EXPECT_EQ(error_of(judge(c)), ProviderError::BadTimestamp);
  c = standard();
  c.headers[0].second = "msg_other";
  EXPECT_EQ(error_of(judge(c)), ProviderError::SignatureWrong);
  c = standard();
  c.headers[2].second = "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
  EXPECT_EQ(error_of(judge(c)), ProviderError::SignatureMissing);
  c.headers[2].second = "v1,dawfeoifkpqwoekfpqoekf";
  EXPECT_EQ(error_of(judge(c)), ProviderError::MalformedBase64);
  c.headers[2].second = "";
  EXPECT_EQ(error_of(judge(c)), ProviderError::SignatureMissing);
}

TEST(StandardWebhooks, TakesAnEmptyBody) {
  const Case c = standard();
  const auto fields = sign(*find_scheme("standard"), secrets(c.keys),
                           {.id = "msg_1", .timestamp = "1614265330", .body = ""});
  Case empty{"standard", c.keys, "", {}, "1614265330"};
  for (const SignedField& field : fields) empty.headers.emplace_back(field.name, field.value);
  EXPECT_TRUE(judge(empty));
}

TEST(StandardWebhooks, SaysWhichKeysItCannotRead) {
  const Scheme& scheme = *find_scheme("standard");
  for (const char* key : {"whsec_", "whsec_!!!!", "not base64 at all", "AAAAA"}) {
    EXPECT_THROW(Verifier(scheme, secrets({key}), {}), std::runtime_error) << key;
  }
}

TEST(StandardWebhooks, SignsWithEveryLiveKey) {
  const auto fields = sign(*find_scheme("standard"), secrets({"whsec_AAAA", "whsec_BBBB"}),
                           {.id = "msg_1", .timestamp = "1", .body = "{}"});
  const std::string& value = fields.back().value;
  EXPECT_EQ(value.substr(0, 3), "v1,");
  EXPECT_NE(value.find(" v1,"), std::string::npos);
}

TEST(SlackScheme, RefusesAFiveMinuteOldRequest) {
  Case c = genuine()[5];
  c.now = "1531420919";
  EXPECT_EQ(error_of(judge(c)), ProviderError::SignatureTooOld);
}

TEST(GithubScheme, RefusesOtherFormsOfTheSignature) {
  for (const char* value : {"sha1=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
                            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}) {
    Case c = genuine()[0];
    c.headers[0].second = value;
    EXPECT_EQ(error_of(judge(c)), ProviderError::SignatureWrong) << value;
  }
  for (const char* value :
       {"sha256=757107EA0EB2509FC211221CCE984B8A37570B6D7586C22C46F4379C8B043E17",
        "sha256=", "sha256=75710",
        "sha256= 757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}) {
    Case c = genuine()[0];
    c.headers[0].second = value;
    EXPECT_EQ(error_of(judge(c)), ProviderError::MalformedBase64) << value;
  }
}

TEST(SchemeTable, HasEveryRowOnceAndWhole) {
  EXPECT_EQ(schemes().size(), 12U);
  for (const Scheme& scheme : schemes()) {
    EXPECT_EQ(find_scheme(scheme.name), &scheme);
    EXPECT_FALSE(scheme.signature[0].empty()) << scheme.name;
    EXPECT_EQ(scheme.text.back(), Piece::End) << scheme.name;
  }
  EXPECT_EQ(find_scheme("nothing"), nullptr);
}

}  // namespace
}  // namespace eventrelay::providers
