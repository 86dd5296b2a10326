#include "common/base/crypto.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace eventrelay::crypto {
namespace {

std::string hmac_hex(Digest digest, std::string_view key, std::string_view message) {
  Hmac hmac(digest, key);
  hmac.start();
  hmac.update(message);
  return hex(hmac.finish().view());
}

TEST(Hmac, MatchesTheVectorsOfRfc4231AndRfc2202) {
  EXPECT_EQ(hmac_hex(Digest::Sha256, std::string(20, '\x0b'), "Hi There"),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hmac_hex(Digest::Sha256, "Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hmac_hex(Digest::Sha256, std::string(131, '\xaa'),
                     "Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  EXPECT_EQ(hmac_hex(Digest::Sha1, "Jefe", "what do ya want for nothing?"),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
}

TEST(Hmac, ForgetsTheMessageBefore) {
  Hmac hmac(Digest::Sha256, "Jefe");
  hmac.start();
  hmac.update("something else");
  hmac.start();
  for (const char c : std::string_view{"what do ya want for nothing?"}) hmac.update({&c, 1});
  EXPECT_EQ(hex(hmac.finish().view()).substr(0, 8), "5bdcc146");
  hmac.start();
  hmac.update("what do ya want ");
  hmac.update("");
  hmac.update("for nothing?");
  EXPECT_EQ(hex(hmac.finish().view()).substr(0, 8), "5bdcc146");
}

TEST(Hmac, MovesWithItsKey) {
  Hmac first(Digest::Sha256, "Jefe");
  Hmac second(std::move(first));
  second.start();
  second.update("what do ya want for nothing?");
  EXPECT_EQ(second.finish().size, 32U);
}

// Until each has a context of its own they take turns in one.
TEST(Hmac, KeepsKeysApartHoweverOftenEachIsUsed) {
  Hmac first(Digest::Sha256, "Jefe");
  Hmac second(Digest::Sha256, std::string(20, '\x0b'));
  for (unsigned i = 0; i < 2 * Hmac::kSeldom; ++i) {
    first.start();
    first.update("what do ya want for nothing?");
    EXPECT_EQ(hex(first.finish().view()).substr(0, 8), "5bdcc146");
    second.start();
    second.update("Hi There");
    EXPECT_EQ(hex(second.finish().view()).substr(0, 8), "b0344c61");
  }
}

TEST(Hmac, RefusesAnEmptyKey) {
  EXPECT_THROW(Hmac(Digest::Sha256, ""), std::runtime_error);
}

TEST(Sha256, MatchesFips180) {
  EXPECT_EQ(hex(sha256("abc").view()),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(sha256("").view()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Base64, MatchesRfc4648) {
  const std::pair<std::string, std::string> rows[] = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
  };
  for (const auto& [bytes, text] : rows) {
    EXPECT_EQ(base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes);
  }
}

TEST(Base64, ReturnsEveryByte) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  for (std::size_t n = 0; n <= bytes.size(); ++n) {
    const std::string part = bytes.substr(0, n);
    EXPECT_EQ(from_base64(base64(part)), part);
    EXPECT_EQ(from_hex(hex(part)), part);
  }
}

TEST(Base64, IsStrict) {
  for (const char* text :
       {"Z", "Zg", "Zg=", "Zg===", "Zm8", "=", "====", "Zg==Zg==", "Zm9v=", "Zh==", "Zm9=", "Zm 9v",
        "Zm9v\n", " Zm9v", "Zm-_", "Zm9\xC3\xA9", "Z=g="}) {
    EXPECT_FALSE(from_base64(text)) << text;
  }
}

TEST(Base64, MayLackItsPaddingWhereThatIsSaid) {
  EXPECT_EQ(from_base64("Zg", Padding::Optional), "f");
  EXPECT_EQ(from_base64("Zm8", Padding::Optional), "fo");
  EXPECT_EQ(from_base64("Zg==", Padding::Optional), "f");
  EXPECT_FALSE(from_base64("Zg=", Padding::Optional));
  EXPECT_FALSE(from_base64("Zh", Padding::Optional));
  EXPECT_FALSE(from_base64("Z", Padding::Optional));
}

TEST(Hex, IsLowerCaseAndEven) {
  EXPECT_EQ(from_hex("00ff7f"), std::string("\0\xff\x7f", 3));
  for (const char* text : {"0", "0F", "FF", "0x", "0g", " 0", "00 "}) {
    EXPECT_FALSE(from_hex(text)) << text;
  }
}

TEST(MacText, DecodesAtMostItsRoom) {
  EXPECT_EQ(mac_from_hex(std::string(128, 'a'))->size, 64U);
  EXPECT_FALSE(mac_from_hex(std::string(130, 'a')));
  EXPECT_FALSE(mac_from_hex(""));
  EXPECT_EQ(mac_from_base64("Zm9v")->view(), "foo");
  EXPECT_FALSE(mac_from_base64(base64(std::string(65, 'x'))));
  EXPECT_FALSE(mac_from_base64(""));
}

TEST(Compare, NeedsEqualSizesAndBytes) {
  EXPECT_TRUE(equal_constant_time("abc", "abc"));
  EXPECT_TRUE(equal_constant_time("", ""));
  EXPECT_FALSE(equal_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_constant_time("abc", "ab"));
}

TEST(WhsecKey, IsBase64WithOrWithoutItsPrefix) {
  EXPECT_EQ(key_from_whsec("whsec_Zm9v"), "foo");
  EXPECT_EQ(key_from_whsec("Zm8"), "fo");
  for (const char* text : {"", "whsec_", "whsec_!", "whsec_whsec_Zm9v"}) {
    EXPECT_THROW(static_cast<void>(key_from_whsec(text)), std::runtime_error) << text;
  }
}

TEST(RandomBytes, DifferFromCallToCall) {
  std::string first(32, '\0');
  std::string second(32, '\0');
  random_bytes(first.data(), first.size());
  random_bytes(second.data(), second.size());
  EXPECT_NE(first, second);
}

}  // namespace
}  // namespace eventrelay::crypto
