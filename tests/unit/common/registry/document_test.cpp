// Documents of the registry: what is written is read back whole, nothing secret is readable, and
// every bad value is told apart without showing it.
#include "common/registry/document.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace eventrelay {
namespace {

using Kind = DocumentError::Kind;

Keyring ring(const std::string& id = "k1", char fill = 'a') {
  return Keyring({{id, Secret(std::string(32, fill))}});
}

// Everything a document can hold, each member unlike its default.
Document full() {
  Document out;
  InstanceConfig& instance = out.instance;
  instance.id = 427236;
  instance.name = "docs \"quoted\" \u00fc";
  instance.element = "box";
  instance.tags = {"Docs", "two words"};
  instance.events_enabled = true;
  instance.callback_url = "https://mycoolapp.com/events?a=b";
  instance.signature_key = Secret("planted-signature-key");
  instance.oauth_user_id = "226067247";
  instance.configuration = {{"oauth.api.key", "planted-api-key"},
                            {"oauth.api.secret", "planted-api-secret"},
                            {"oauth.callback.url", "https://mycoolapp.com/auth"},
                            {"events.list.ids", "$HOME ${X}"}};
  instance.delivery.headers = {{"X-Plain", "planted-header"}, {"Authorization", "planted-auth"}};
  instance.delivery.signature = Signature::Standard;
  instance.delivery.signature_given = true;
  instance.delivery.keys = {Secret("planted-old-key")};
  instance.delivery.timeout = milliseconds{1500};
  instance.delivery.retry_delays = {milliseconds{5000}, milliseconds{30000}};
  instance.delivery.fatal_statuses = {400, 410};
  instance.delivery.ports = {9443};
  instance.delivery.allow_http = true;
  SubscriptionConfig audit;
  audit.name = "audit";
  audit.url = "https://audit.example/x";
  audit.key = Secret("planted-audit-key");
  audit.filter.event_types = {"CREATED"};
  audit.delivery.concurrency = 3;
  instance.subscriptions = {audit};
  out.company = 1;
  out.account = 10;
  out.user = 100;
  out.created = WallTime{milliseconds{1'700'000'000'123}};
  out.token_hash = element_token_hash("planted-element-token");
  out.disabled = true;
  out.external_authentication = "initial";
  out.problem = "authorization was withdrawn";
  out.oauth = OAuthTokens{Secret("planted-access"), Secret("planted-refresh"),
                          WallTime{milliseconds{1'700'003'600'000}},
                          WallTime{milliseconds{1'700'000'000'000}}};
  out.webhooks = {{"4133",
                   "0815",
                   "folder",
                   {"FILE.UPLOADED", "FILE.DELETED"},
                   "https://hooks.example/e",
                   WebhookState::NoSession,
                   "no session"}};
  return out;
}

TEST(Document, ReadsBackWhatWasWritten) {
  const Document before = full();
  const std::string text = encode_document(before, ring());
  const auto read = decode_document("427236", text, ring());
  ASSERT_TRUE(read.has_value()) << read.error().what;
  EXPECT_EQ(read->instance.id, 427236U);
  EXPECT_EQ(read->instance.signature_key->reveal(), "planted-signature-key");
  EXPECT_EQ(read->instance.configuration, before.instance.configuration);
  EXPECT_EQ(read->instance.delivery.headers, before.instance.delivery.headers);
  EXPECT_TRUE(read->instance.delivery.signature_given);
  EXPECT_EQ(read->instance.delivery.keys.at(0).reveal(), "planted-old-key");
  EXPECT_EQ(read->instance.subscriptions.at(0).key->reveal(), "planted-audit-key");
  EXPECT_EQ(read->oauth->refresh.reveal(), "planted-refresh");
  EXPECT_EQ(read->oauth->expires, before.oauth->expires);
  EXPECT_EQ(read->webhooks.at(0).triggers, before.webhooks.at(0).triggers);
  EXPECT_EQ(read->webhooks.at(0).state, WebhookState::NoSession);
  EXPECT_EQ(read->problem, before.problem);
  EXPECT_EQ(read->created, before.created);
  EXPECT_TRUE(read->disabled);
  // All other members: the text of both is the same once the sealed values, which are never
  // alike, are taken out.
  const auto plain = [](const std::string& document) {
    std::string out = document;
    for (std::size_t at = 0; (at = out.find("\"sealed\":\"", at)) != std::string::npos; ++at) {
      out.erase(at + 10, out.find('"', at + 10) - at - 10);
    }
    return out;
  };
  EXPECT_EQ(plain(encode_document(*read, ring())), plain(text));
}

TEST(Document, NothingSecretIsReadable) {
  const std::string text = encode_document(full(), ring());
  EXPECT_EQ(text.find("planted"), std::string::npos) << text;
  EXPECT_NE(text.find("mycoolapp.com"), std::string::npos);
}

TEST(Document, DefaultsTakeNoRoom) {
  Document small;
  small.instance.id = 1;
  small.instance.name = "a";
  small.instance.element = "box";
  const std::string text = encode_document(small, ring());
  EXPECT_EQ(text.find("delivery"), std::string::npos) << text;
  EXPECT_LT(text.size(), 200U);
}

TEST(Document, AnUnsignedInstanceIsNotFrozenAsUnsigned) {
  Document unsigned_one;
  unsigned_one.instance.id = 1;
  unsigned_one.instance.element = "box";
  unsigned_one.instance.delivery.signature = Signature::None;  // as resolved without a key
  const auto read = decode_document("1", encode_document(unsigned_one, ring()), ring());
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->instance.delivery.signature_given);
  EXPECT_EQ(read->instance.delivery.signature, Signature::Elements);
}

TEST(Document, TellsWhatIsWrong) {
  const std::string good = encode_document(full(), ring());
  const auto kind = [](const std::string& key, const std::string& text, const Keyring& keys) {
    const auto read = decode_document(key, text, keys);
    return read ? std::string("read") : std::to_string(static_cast<int>(read.error().kind));
  };
  const std::string malformed = std::to_string(static_cast<int>(Kind::Malformed));
  const std::string sealed = std::to_string(static_cast<int>(Kind::Sealed));
  EXPECT_EQ(kind("427236", good, ring("k2")), std::to_string(static_cast<int>(Kind::MasterKey)));
  EXPECT_EQ(kind("427236", good, ring("k1", 'b')), sealed);
  EXPECT_EQ(kind("427237", good, ring()), sealed);  // another record's secrets
  EXPECT_EQ(kind("x", good, ring()), malformed);
  EXPECT_EQ(kind("poller/1", good, ring()), malformed);
  for (const char* text : {"", "{", "[]", "null", "{}", R"({"v":"1"})", R"({"v":1})",
                           R"({"v":1,"seal":"k1"})", R"({"v":1,"seal":"k1","instance":[]})",
                           R"({"v":1,"seal":"k1","instance":{"name":5,"element":"box"}})",
                           R"({"v":1,"seal":"k1","instance":{},"oauth":1})",
                           R"({"v":1,"seal":"k1","instance":{},"oauth":{"access":"plain"}})",
                           R"({"v":1,"seal":"k1","instance":{},"webhooks":{}})",
                           R"({"v":1,"seal":"k1","instance":{},"webhooks":[{"state":"x"}]})",
                           R"({"v":1,"seal":"k1","instance":{},"account":-1})",
                           R"({"v":1,"seal":"k1","instance":{},"disabled":"no"})",
                           R"({"v":1,"seal":"k1","instance":{"frobnicate":true}})"}) {
    const std::string got = kind("1", text, ring());
    EXPECT_TRUE(got == malformed || got == std::to_string(static_cast<int>(Kind::MasterKey)))
        << text << " " << got;
  }
  EXPECT_EQ(kind("1", R"({"v":2,"seal":"k1"})", ring()),
            std::to_string(static_cast<int>(Kind::Version)));
  EXPECT_EQ(kind("1", std::string(kDocumentMax + 1, ' '), ring()), malformed);
}

TEST(Document, EveryCutAndEveryChangedByteIsHarmless) {
  const std::string good = encode_document(full(), ring());
  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    EXPECT_FALSE(decode_document("427236", std::string_view(good).substr(0, cut), ring()));
  }
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string changed = good;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    const auto read = decode_document("427236", changed, ring());
    if (!read) {
      EXPECT_EQ(read.error().what.find("planted"), std::string::npos);
    }
  }
}

TEST(Document, KeysOfRecords) {
  EXPECT_EQ(instance_of("1"), 1U);
  EXPECT_EQ(instance_of("9007199254740991"), kInstanceIdMax);
  for (const char* key : {"", "0", "01", "-1", "+1", "1 ", " 1", "1a", "9007199254740992",
                          "99999999999999999999999", "poller/1", "control/ids"}) {
    EXPECT_FALSE(instance_of(key)) << key;
  }
  EXPECT_EQ(master_key_of(encode_document(full(), ring("k7"))), "k7");
  EXPECT_EQ(master_key_of("{"), "");
}

TEST(Document, ElementTokensAreLongAndNeverAlike) {
  const std::string token = new_element_token();
  EXPECT_EQ(token.size(), 44U);
  EXPECT_NE(token, new_element_token());
  EXPECT_EQ(element_token_hash("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Document, ItsSummaryIsThatOfTheWhole) {
  Document document = full();
  document.problem.clear();
  const std::string value = encode_document(document, ring());
  const auto summary = summarize_document(value, ring());
  ASSERT_TRUE(summary.has_value()) << summary.error().what;
  EXPECT_EQ(summary->account, document.account);
  EXPECT_EQ(summary->element, document.instance.element);
  EXPECT_EQ(summary->tags, document.instance.tags);
  EXPECT_EQ(summary->token_hash, document.token_hash);
  EXPECT_EQ(summary->refreshed, document.oauth->refreshed);
  document.problem = "withdrawn";
  EXPECT_EQ(summarize_document(encode_document(document, ring()), ring())->refreshed, WallTime{});
  document.instance.tags.clear();
  document.oauth.reset();
  EXPECT_TRUE(summarize_document(encode_document(document, ring()), ring())->tags.empty());
  EXPECT_EQ(summarize_document(value, ring("k2")).error().kind, Kind::MasterKey);
  for (const char* bad : {"", "[]", "{}", R"({"v":2})", R"({"v":1,"seal":"k1"})",
                          R"({"v":1,"seal":"k1","instance":[]})",
                          R"({"v":1,"seal":"k1","account":"x","instance":{}})",
                          R"({"v":1,"seal":"k1","instance":{"tags":[1]}})",
                          R"({"v":1,"seal":"k1","instance":{"element":1}})"}) {
    EXPECT_FALSE(summarize_document(bad, ring()).has_value()) << bad;
  }
}

}  // namespace
}  // namespace eventrelay
