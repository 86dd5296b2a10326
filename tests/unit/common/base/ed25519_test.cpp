#include "common/base/ed25519.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "common/base/crypto.hpp"

namespace eventrelay::crypto {
namespace {

// RFC 8032, section 7.1, test 2.
const std::string kSeed =
    *from_hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
const std::string kPublic =
    *from_hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
const std::string kSignature = *from_hex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");

TEST(Ed25519Key, SignsAndVerifiesThePublishedVector) {
  const Ed25519Key pair("whsk_" + base64(kSeed));
  EXPECT_EQ(hex(pair.sign("\x72")), hex(kSignature));
  EXPECT_EQ(pair.public_text(), "whpk_" + base64(kPublic));
  const Ed25519Key verifier("whpk_" + base64(kPublic));
  EXPECT_TRUE(verifier.verifies("\x72", kSignature));
  EXPECT_FALSE(verifier.verifies("\x73", kSignature));
  EXPECT_FALSE(verifier.verifies("\x72", kSignature.substr(1)));
  EXPECT_FALSE(verifier.verifies("\x72", ""));
}

TEST(Ed25519Key, TakesASeedWithItsPublicHalf) {
  const Ed25519Key pair("whsk_" + base64(kSeed + kPublic));
  EXPECT_EQ(pair.sign("\x72"), kSignature);
  EXPECT_THROW(Ed25519Key("whsk_" + base64(kSeed + kSeed)), std::runtime_error);
}

TEST(Ed25519Key, RefusesOtherKeysWithoutSayingThem) {
  for (const std::string& text : {std::string("whsec_AAAA"), std::string("whpk_"),
                                  std::string("whpk_!!!!"), "whpk_" + base64(kPublic + "x"),
                                  "whpk_" + base64(kSeed + kPublic), "whsk_" + base64("k")}) {
    try {
      const Ed25519Key key(text);
      FAIL() << text;
    } catch (const std::runtime_error& problem) {
      const std::string body = text.substr(5);
      if (body.size() < 5) continue;
      EXPECT_EQ(std::string(problem.what()).find(body), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace eventrelay::crypto
