// Every scheme against vectors that its provider, or the provider's own SDK, publishes.
#include "common/providers/scheme.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace eventrelay::providers {
namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

// One signed message of a provider.
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

Expected<KeySet, ProviderError> judge(const Case& c, Window window) {
  IncomingHead head;
  head.method = c.method;
  head.target = c.target;
  for (const auto& [name, value] : c.headers) head.add(name, value);
  const Scheme* const scheme = find_scheme(c.scheme);
  EXPECT_NE(scheme, nullptr) << c.scheme;
  Verifier verifier(*scheme, secrets(c.keys), window);
  return verifier.verify(head, c.body, *parse_stamp(Stamp::Seconds, c.now));
}

Expected<KeySet, ProviderError> judge(const Case& c) {
  return judge(c, find_scheme(c.scheme)->window);
}

// The error of a verdict; a genuine one fails the test.
ProviderError error_of(const Expected<KeySet, ProviderError>& verdict) {
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
      {"hubspot-v1",
       {"yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"},
       R"([{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,)"
       R"("subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,)"
       R"("changeSource":"CRM","changeFlag":"NEW","appId":54321}])",
       {{"X-HubSpot-Signature",
         "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de"}}},
      {"hubspot-v2",
       {"yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"},
       "",
       {{"Host", "www.example.com"},
        {"X-HubSpot-Signature",
         "eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e"}},
       "0",
       Method::Get,
       "/webhook_uri"},
      {"hubspot-v2",
       {"yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"},
       R"({"example_field":"example_value"})",
       {{"Host", "www.example.com"},
        {"X-HubSpot-Signature",
         "9569219f8ba981ffa6f6f16aa0f48637d35d728c7e4d93d0d52efaa512af7900"}},
       "0",
       Method::Post,
       "/webhook_uri"},
      {"twilio",
       {"12345"},
       "CallSid=CA1234567890ABCDE&Digits=1234&From=%2B14158675309&To=%2B18005551212&"
       "Caller=%2B14158675309",
       {{"Host", "mycompany.com"}, {"X-Twilio-Signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8="}},
       "0",
       Method::Post,
       "/myapp.php?foo=1&bar=2"},
      {"twilio",
       {"12345"},
       "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234",
       {{"Host", "mycompany.com"}, {"X-Twilio-Signature", "IK+Dwps556ElfBT0I3Rgjkr1wJU="}},
       "0",
       Method::Post,
       "/myapp.php?foo=1&bar=2"},
      {"twilio",
       {"12345"},
       R"({"property": "value", "boolean": true})",
       {{"Host", "mycompany.com"}, {"X-Twilio-Signature", "a9nBmqA0ju/hNViExpshrM61xv4="}},
       "0",
       Method::Post,
       "/myapp.php?foo=1&bar=2"
       "&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"},
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
    std::string uri = "https://";
    SignInput input{.method = c.method == Method::Get ? "GET" : "POST", .body = c.body};
    for (const auto& [name, value] : c.headers) {
      if (name == "Host") uri += value + c.target;
      if (equal_without_case(name, scheme.timestamp)) input.timestamp = value;
      if (equal_without_case(name, scheme.id)) input.id = value;
    }
    input.uri = uri;
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
  EXPECT_EQ(error_of(judge(stripe("t=1533204620," + code))), ProviderError::SignatureMissing);
  std::string many = "t=1533204620";
  for (std::size_t i = 0; i < kCandidatesMax; ++i) many += ",v1=" + wrong;
  EXPECT_EQ(error_of(judge(stripe(many))), ProviderError::MalformedRequest);
}

TEST(StripeScheme, PassesOverWhatItCanNotUse) {
  const std::string code = "v1=" + stripe_code("1533204620");
  for (const std::string& value :
       {"t=1533204620, " + code, "t=1533204620," + code + ",", "t=1533204620,," + code,
        "v0=a,t=1533204620,new," + code, code + ",t=1533204620"}) {
    EXPECT_TRUE(judge(stripe(value))) << value;
  }
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

TEST(StandardWebhooks, PassesOverWhatItCanNotUse) {
  const std::string good = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
  Case c = standard();
  for (const std::string& value :
       {"v1,AAAA  " + good, "nocomma " + good, "v1,!!!! " + good, " " + good + " ", ", " + good}) {
    c.headers[2].second = value;
    EXPECT_TRUE(judge(c)) << value;
  }
  std::string many;
  for (std::size_t i = 0; i + 1 < kCandidatesMax; ++i) {
    many += "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= ";
  }
  c.headers[2].second = many + good;
  EXPECT_TRUE(judge(c));
  c.headers[2].second = "v1,AAAA " + many + good;
  EXPECT_EQ(error_of(judge(c)), ProviderError::MalformedRequest) << "one more than may be";
}

// The key pair of RFC 8032, section 7.1, test 2.
const std::string kPublicKey = "whpk_PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";
const std::string kPrivateKey = "whsk_TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs=";

TEST(StandardWebhooks, VerifiesEd25519WithThePublicKeyAlone) {
  for (const std::string scheme : {"standard", "svix"}) {
    const auto fields = sign(*find_scheme(scheme), secrets({kPrivateKey}),
                             {.id = "msg_1", .timestamp = "1614265330", .body = "{}"});
    Case c{scheme, {kPublicKey}, "{}", {}, "1614265330"};
    for (const SignedField& field : fields) c.headers.emplace_back(field.name, field.value);
    EXPECT_EQ(c.headers.back().second.substr(0, 4), "v1a,");
    EXPECT_TRUE(judge(c));
    c.headers.back().second = "v1,AAAA v1a,AAAA " + c.headers.back().second;
    EXPECT_TRUE(judge(c));
    c.keys = {"whsec_AAAA", kPublicKey};
    EXPECT_TRUE(judge(c)) << "both kinds may be live";
    c.body = "{ }";
    EXPECT_EQ(error_of(judge(c)), ProviderError::SignatureWrong);
    c.body = "{}";
    c.keys = {"whsec_AAAA"};
    EXPECT_EQ(error_of(judge(c)), ProviderError::SignatureWrong);
    EXPECT_THROW((void)sign(*find_scheme(scheme), secrets({kPublicKey}), {.id = "m"}),
                 std::runtime_error);
    EXPECT_THROW(Verifier(*find_scheme(scheme), secrets({"whpk_AAAA"}), {}), std::runtime_error);
  }
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
  c.headers[2].second = "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
  EXPECT_EQ(error_of(judge(c)), ProviderError::SignatureMissing);
  c.headers[2].second = "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
  EXPECT_EQ(error_of(judge(c)), ProviderError::SignatureWrong);
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

TEST(HubspotScheme, DecodesTheUriAsHubspotDoes) {
  const auto signed_by_hubspot = [](const std::string& uri) {
    return sign(*find_scheme("hubspot-v3"), secrets({"k"}),
                {.uri = uri, .timestamp = "1564113600000", .body = "{}"})
        .back()
        .value;
  };
  const std::string plain = "https://h.example/a:/?@!$'()*,;b%20%5B?x=%";
  const std::string coded = "https://h.example/a%3A%2f%3F%40%21%24%27%28%29%2A%2c%3Bb%20%5B?x=%";
  EXPECT_EQ(signed_by_hubspot(coded), signed_by_hubspot(plain));
  Case c{"hubspot-v3", {"k"}, "{}", {}, "1564113600", Method::Post};
  c.target = coded.substr(coded.find("/a"));
  c.headers = {{"Host", "h.example"},
               {"X-HubSpot-Request-Timestamp", "1564113600000"},
               {"X-HubSpot-Signature-v3", signed_by_hubspot(plain)}};
  EXPECT_TRUE(judge(c));
  c.target = "http://other.example" + c.target;
  EXPECT_TRUE(judge(c)) << "an absolute target counts from its path on";
}

TEST(HubspotScheme, TakesTheOriginThatTheProviderCalls) {
  IncomingHead head;
  head.method = Method::Post;
  head.target = "/webhook_uri";
  head.add("Host", "internal:8080");
  head.add("X-HubSpot-Request-Timestamp", "1564113600000");
  head.add("X-HubSpot-Signature-v3", "eT0ip2TKVpsIi1vb5C2Uu42eNdHL+oTE3NRZOF67O2U=");
  const Scheme& scheme = *find_scheme("hubspot-v3");
  const auto keys = secrets({"yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"});
  const WallTime now = *parse_stamp(Stamp::Seconds, "1564113600");
  const std::string body = R"({"example_field":"example_value"})";
  Verifier told(scheme, keys, scheme.window, "https://www.example.com");
  EXPECT_TRUE(told.verify(head, body, now));
  Verifier not_told(scheme, keys, scheme.window);
  EXPECT_FALSE(not_told.verify(head, body, now));
}

TEST(HubspotScheme, ToldItsVersionTakesNoOther) {
  for (Case c : genuine()) {
    if (c.scheme != "hubspot-v1" && c.scheme != "hubspot-v2") continue;
    c.headers.emplace_back("X-HubSpot-Signature-Version", c.scheme.substr(8));
    EXPECT_TRUE(judge(c)) << c.scheme;
    c.headers.back().second = "v9";
    EXPECT_EQ(error_of(judge(c)), ProviderError::SignatureWrong) << c.scheme;
  }
}

TEST(TwilioScheme, TakesTheUriWithAndWithoutTheDefaultPort) {
  Case c = genuine()[16];
  ASSERT_EQ(c.scheme, "twilio");
  c.headers[1].second = "kvajT1Ptam85bY51eRf/AJRuM3w=";  // published for :443 in the URI
  EXPECT_TRUE(judge(c));
  c.headers[0].second = "mycompany.com:443";
  EXPECT_TRUE(judge(c));
  c.headers[1].second = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
  EXPECT_TRUE(judge(c));
}

TEST(TwilioScheme, RefusesAJsonBodyWithoutItsHash) {
  Case c = genuine()[18];
  ASSERT_EQ(c.scheme, "twilio");
  c.body = "{}";
  EXPECT_EQ(error_of(judge(c)), ProviderError::SignatureWrong);
}

TEST(BearerScheme, ComparesTheWordWithoutCaseAndTheTokenWith) {
  const auto with = [](const std::string& value) {
    return judge({"bearer", {"secret-token"}, "{}", {{"Authorization", value}}});
  };
  EXPECT_TRUE(with("Bearer secret-token"));
  EXPECT_TRUE(with("bearer secret-token"));
  EXPECT_TRUE(with("BEARER  secret-token"));
  EXPECT_EQ(error_of(with("Bearer Secret-token")), ProviderError::TokenWrong);
  EXPECT_EQ(error_of(with("Bearer")), ProviderError::TokenWrong);
  EXPECT_EQ(error_of(with("Basic secret-token")), ProviderError::SignatureMissing);
  EXPECT_EQ(error_of(judge({"bearer", {"k"}, "{}", {}})), ProviderError::SignatureMissing);
  EXPECT_EQ(error_of(judge({"bearer", {""}, "{}", {{"Authorization", "Bearer "}}})),
            ProviderError::TokenWrong);
}

TEST(GraphScheme, WantsTheTokenInEveryNotification) {
  const auto with = [](const std::string& body) {
    return judge({"microsoftgraph", {"state"}, body, {}});
  };
  EXPECT_TRUE(with(R"({"value":[{"clientState":"state"},{"clientState":"state"}]})"));
  EXPECT_EQ(error_of(with(R"({"value":[{"clientState":"state"},{"clientState":"other"}]})")),
            ProviderError::TokenWrong);
  EXPECT_EQ(error_of(with(R"({"value":[{"clientState":"state"},{}]})")), ProviderError::TokenWrong);
  EXPECT_EQ(error_of(with(R"({"value":[{"clientState":null}]})")), ProviderError::TokenWrong);
  EXPECT_EQ(error_of(with(R"({"value":[]})")), ProviderError::SignatureMissing);
  EXPECT_EQ(error_of(with(R"({"clientState":"state"})")), ProviderError::SignatureMissing);
  EXPECT_EQ(error_of(with("{")), ProviderError::MalformedJson);
  EXPECT_EQ(error_of(judge({"microsoftgraph", {""}, R"({"value":[{"clientState":""}]})", {}})),
            ProviderError::TokenWrong);
}

TEST(SchemeTable, HasEveryRowOnceAndWhole) {
  EXPECT_EQ(schemes().size(), 17U);
  for (const Scheme& scheme : schemes()) {
    EXPECT_EQ(find_scheme(scheme.name), &scheme);
    EXPECT_EQ(scheme.signature[0].empty(), scheme.proof == Proof::ClientState) << scheme.name;
    EXPECT_EQ(scheme.text.back(), Piece::End) << scheme.name;
  }
  EXPECT_EQ(find_scheme("nothing"), nullptr);
}

}  // namespace
}  // namespace eventrelay::providers
