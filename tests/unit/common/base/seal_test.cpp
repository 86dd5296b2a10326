// Sealing against the published AES-256-GCM vectors (McGrew and Viega, as in NIST's validation
// suite), and against everything that must not open.
#include "common/base/seal.hpp"

#include <gtest/gtest.h>

#include <set>
#include <stdexcept>

#include "common/base/crypto.hpp"
#include "common/base/crypto_aead.hpp"

namespace eventrelay {
namespace {

std::string bytes(std::string_view hex) {
  return crypto::from_hex(hex).value();
}

struct Vector {
  const char* key;
  const char* nonce;
  const char* associated;
  const char* plain;
  const char* sealed;  // with the tag
};

// Test cases 13 to 16 of "The Galois/Counter Mode of Operation".
constexpr Vector kVectors[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
     "b094dac5d93471bdec1a502270e3cc6c"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

TEST(CryptoAead, GivesThePublishedVectors) {
  for (const Vector& each : kVectors) {
    const std::string sealed = crypto::aead_seal(bytes(each.key), bytes(each.nonce),
                                                 bytes(each.associated), bytes(each.plain));
    EXPECT_EQ(crypto::hex(sealed), each.sealed);
    EXPECT_EQ(crypto::aead_open(bytes(each.key), bytes(each.nonce), bytes(each.associated), sealed),
              bytes(each.plain));
  }
}

TEST(CryptoAead, EveryChangedBitIsRefused) {
  const Vector& one = kVectors[3];
  const std::string sealed = bytes(one.sealed);
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    std::string changed = sealed;
    changed[bit / 8] =
        static_cast<char>(static_cast<unsigned char>(changed[bit / 8]) ^ (1U << (bit % 8)));
    EXPECT_FALSE(
        crypto::aead_open(bytes(one.key), bytes(one.nonce), bytes(one.associated), changed));
  }
  EXPECT_FALSE(crypto::aead_open(bytes(one.key), bytes(one.nonce), bytes(one.associated),
                                 std::string_view(sealed).substr(0, 15)));
}

MasterKey key(std::string id, char fill) {
  return {std::move(id), Secret(std::string(32, fill))};
}

TEST(Keyring, OpensWhatItSealed) {
  const Keyring ring({key("k2", 'b'), key("k1", 'a')});
  for (const std::string& plain : {std::string(), std::string("x"), std::string(65536, 'z')}) {
    const std::string sealed = ring.seal(plain, "427236");
    const auto opened = ring.open("k2", sealed, "427236");
    ASSERT_TRUE(opened.has_value());
    EXPECT_EQ(opened->reveal(), plain);
  }
}

TEST(Keyring, TheFirstSealsAndOldOnesStillOpen) {
  const Keyring before({key("k1", 'a')});
  const std::string sealed = before.seal("secret", "1");
  const Keyring rotated({key("k2", 'b'), key("k1", 'a')});
  EXPECT_EQ(rotated.first_id(), "k2");
  EXPECT_EQ(rotated.open("k1", sealed, "1")->reveal(), "secret");
  const Keyring after({key("k2", 'b')});
  EXPECT_EQ(after.open("k1", sealed, "1").error(), OpenError::UnknownKey);
}

TEST(Keyring, RefusesAnotherKeyAnotherRecordAndChangedText) {
  const Keyring ring({key("k1", 'a')});
  const std::string sealed = ring.seal("secret", "1");
  EXPECT_EQ(Keyring({key("k1", 'b')}).open("k1", sealed, "1").error(), OpenError::Refused);
  EXPECT_EQ(ring.open("k1", sealed, "2").error(), OpenError::Refused);
  EXPECT_EQ(ring.open("k1", sealed, "").error(), OpenError::Refused);
  std::string changed = sealed;
  changed[20] = changed[20] == 'A' ? 'B' : 'A';
  EXPECT_EQ(ring.open("k1", changed, "1").error(), OpenError::Refused);
  EXPECT_EQ(ring.open("k1", "", "1").error(), OpenError::Malformed);
  EXPECT_EQ(ring.open("k1", "????", "1").error(), OpenError::Malformed);
  EXPECT_EQ(ring.open("k1", sealed.substr(0, 36), "1").error(), OpenError::Malformed);
}

TEST(Keyring, NeverSealsTheSameTextAlike) {
  const Keyring ring({key("k1", 'a')});
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(ring.seal("secret", "1"));
  EXPECT_EQ(seen.size(), 1000U);
  for (const std::string& each : seen) EXPECT_EQ(each.find("secret"), std::string::npos);
}

TEST(Keyring, NamesWhatIsWrongWithAKey) {
  const auto problem = [](std::vector<MasterKey> keys) -> std::string {
    try {
      const Keyring ring(std::move(keys));
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return {};
  };
  EXPECT_NE(problem({{"k1", Secret("short")}}).find("k1: the key is not 32 bytes"),
            std::string::npos);
  EXPECT_NE(problem({key("K1", 'a')}).find("a-z"), std::string::npos);
  EXPECT_NE(problem({key("", 'a')}).find("a-z"), std::string::npos);
  EXPECT_NE(problem({key("a", 'a'), key("a", 'b')}).find("twice"), std::string::npos);
  EXPECT_NE(problem(std::vector<MasterKey>(9, key("a", 'a'))).find("more than 8"),
            std::string::npos);
}

TEST(Keyring, ReadsAndMakesMasterKeys) {
  const std::optional<Secret> made = master_key_bytes(new_master_key());
  ASSERT_TRUE(made);
  EXPECT_EQ(made->reveal().size(), 32U);
  EXPECT_NE(new_master_key(), new_master_key());
  EXPECT_FALSE(master_key_bytes(""));
  EXPECT_FALSE(master_key_bytes(crypto::base64(std::string(31, 'a'))));
  EXPECT_FALSE(master_key_bytes(crypto::base64(std::string(33, 'a'))));
  EXPECT_FALSE(master_key_bytes("not base64 not base64 not base64 not base64!"));
}

}  // namespace
}  // namespace eventrelay
