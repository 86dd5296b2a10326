#include "relay/request/signer.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

namespace eventrelay::relay {
namespace {

constexpr WallTime kNow{std::chrono::seconds{1'614'265'330}};

std::vector<Secret> keys_of(std::initializer_list<std::string_view> texts) {
  std::vector<Secret> keys;
  for (const std::string_view text : texts) keys.emplace_back(std::string(text));
  return keys;
}

std::string fields(Signature scheme, const std::vector<Secret>& keys, const Body& body,
                   std::string_view id = "e1") {
  Signer signer(scheme, keys);
  std::string head;
  signer.append_fields(id, body, kNow, head);
  return head;
}

// docs.cloud-elements.com/home/hash-verification
TEST(Signer, SignsThePublishedVectorOfCloudElements) {
  const Body body{"", "<INSERT_EVENT_NOTIFICATION_RESPONSE_BODY>", ""};
  EXPECT_EQ(fields(Signature::Elements, keys_of({"MySecretEventSignatureKey"}), body),
            "Elements-Webhook-Id: e1\r\n"
            "Elements-Webhook-Signature: sha256=jHdbRx5EZAsOfTwAPJOGkNUzQMVVdu5VJlxcsk+G6jQ=\r\n");
}

TEST(Signer, SignsABodyInPiecesAsOneText) {
  const std::string expected =
      "Elements-Webhook-Id: e1\r\n"
      "Elements-Webhook-Signature: sha256=K85qmTIlvEkOr6S+WiOKj/yfELQSC8lsRD0RALn7fLE=\r\n";
  const std::string_view whole = R"({"message":{"eventId":"1"}})";
  for (std::size_t i = 0; i <= whole.size(); i += 3) {
    for (std::size_t j = i; j <= whole.size(); j += 4) {
      const Body body{whole.substr(0, i), whole.substr(i, j - i), whole.substr(j)};
      EXPECT_EQ(fields(Signature::Elements, keys_of({"abcd1234efgh5678"}), body), expected);
    }
  }
}

// github.com/svix/svix-webhooks, go/webhook_test.go
TEST(Signer, SignsThePublishedVectorOfStandardWebhooks) {
  const Body body{R"({"test": )", "2432232314", "}"};
  EXPECT_EQ(fields(Signature::Standard, keys_of({"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}), body,
                   "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\r\n"
            "webhook-timestamp: 1614265330\r\n"
            "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\r\n");
}

TEST(Signer, GivesTheSameSignatureEveryTime) {
  Signer signer(Signature::Elements, keys_of({"abcd1234efgh5678"}));
  std::string first;
  signer.append_fields("e1", Body{"a", "b", "c"}, kNow, first);
  for (int i = 0; i < 3; ++i) {
    std::string other;
    signer.append_fields("e2", Body{"x", "", ""}, kNow, other);
    std::string again;
    signer.append_fields("e1", Body{"a", "b", "c"}, kNow, again);
    EXPECT_EQ(again, first);
  }
}

TEST(Signer, KeepsTheNewestKeyAloneInTheElementsFieldWhileKeysRotate) {
  const Body body{"", R"({"message":{"eventId":"1"}})", ""};
  const std::string rotating =
      fields(Signature::Elements, keys_of({"abcd1234efgh5678", "old", "older"}), body);
  const std::string newest = fields(Signature::Elements, keys_of({"abcd1234efgh5678"}), body);
  const auto value_with = [&body](std::string_view key) {
    const std::string line = fields(Signature::Elements, keys_of({key}), body);
    const std::size_t at = line.find("sha256=");
    return line.substr(at, line.size() - 2 - at);
  };
  EXPECT_EQ(rotating, newest + "Elements-Webhook-Signature-Previous: " + value_with("old") + ", " +
                          value_with("older") + "\r\n");
}

TEST(Signer, ListsOneStandardSignaturePerLiveKey) {
  const Body body{R"({"test": 2432232314})", "", ""};
  const std::string both = fields(
      Signature::Standard, keys_of({"bmV3LWtleQ==", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}),
      body, "msg_p5jXN8AQM9LWM0D4loKWxJek");
  const std::string list = both.substr(both.find("webhook-signature: "));
  EXPECT_EQ(list.substr(19, 3), "v1,");
  EXPECT_EQ(list.substr(19 + 47), " v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\r\n");
}

TEST(Signer, ReadsAStandardKeyWithAndWithoutItsPrefixAsTheVerifierDoes) {
  const Body body{R"({"test": 2432232314})", "", ""};
  const std::string id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
  EXPECT_EQ(
      fields(Signature::Standard, keys_of({"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}), body, id),
      fields(Signature::Standard, keys_of({"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}), body, id));
}

TEST(Signer, SignsTheStandardIdAsItIsSent) {
  const std::string_view dirty = "a\r\nX: y";
  const std::string encoded = "a%0D%0AX:%20y";
  const auto signature_of = [](std::string_view id) {
    const std::string text = fields(Signature::Standard, keys_of({"aw=="}), Body{"b", "", ""}, id);
    return text.substr(text.find("webhook-signature"));
  };
  EXPECT_EQ(signature_of(dirty).size(), 68U);
  Signer signer(Signature::Standard, keys_of({"aw=="}));
  std::string head;
  signer.append_fields(dirty, Body{"b", "", ""}, kNow, head);
  EXPECT_TRUE(head.starts_with("webhook-id: " + encoded + "\r\nwebhook-timestamp: ")) << head;
  crypto::Hmac reference(crypto::Digest::Sha256, "k");
  reference.start();
  reference.update(encoded + ".1614265330.b");
  EXPECT_NE(head.find("v1," + crypto::base64(reference.finish().view()) + "\r\n"),
            std::string::npos);
}

TEST(Signer, SendsTheIdAloneWithoutAKey) {
  const Body body{"x", "", ""};
  EXPECT_EQ(fields(Signature::Elements, {}, body), "Elements-Webhook-Id: e1\r\n");
  EXPECT_EQ(fields(Signature::None, keys_of({"k"}), body), "Elements-Webhook-Id: e1\r\n");
  EXPECT_EQ(fields(Signature::Standard, {}, body),
            "webhook-id: e1\r\nwebhook-timestamp: 1614265330\r\n");
}

TEST(Signer, TakesAnElementsKeyAsItsBytesEvenIfItLooksEncoded) {
  const Body body{"x", "", ""};
  crypto::Hmac reference(crypto::Digest::Sha256, "whsec_MfKQ");
  reference.start();
  reference.update("x");
  const std::string signature = crypto::base64(reference.finish().view());
  EXPECT_NE(fields(Signature::Elements, keys_of({"whsec_MfKQ"}), body).find(signature),
            std::string::npos);
}

TEST(Signer, RefusesKeysAndSchemesItCanNotUse) {
  EXPECT_THROW(Signer(Signature::Elements, keys_of({""})), std::invalid_argument);
  EXPECT_THROW(Signer(Signature::Standard, keys_of({"whsec_"})), std::invalid_argument);
  EXPECT_THROW(Signer(Signature::Standard, keys_of({"whsec_!!!"})), std::invalid_argument);
  EXPECT_THROW(Signer(Signature::Standard, keys_of({"no base64"})), std::invalid_argument);
  EXPECT_THROW(Signer(Signature::Elements, keys_of({"1", "2", "3", "4", "5"})),
               std::invalid_argument);
  EXPECT_THROW(Signer(Signature::StandardEd25519, keys_of({"k"})), std::invalid_argument);
}

}  // namespace
}  // namespace eventrelay::relay
