// Box webhooks V2: published vectors A to H, both slots, and every way not to be genuine.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "common/providers/scheme.hpp"

namespace eventrelay::providers {
namespace {

constexpr std::string_view kStamp = "2020-01-01T00:00:00-07:00";
constexpr std::string_view kNow = "2020-01-01T07:00:30Z";
constexpr std::string_view kPrimary = "SamplePrimaryKey";
constexpr std::string_view kSecondary = "SampleSecondaryKey";

const std::string kNamed = R"({"webhook":{"id":"1234567890"},"trigger":"FILE.UPLOADED",)"
                           R"("source":{"id":"1234567890","type":"file","name":")";
const std::string kBodyA =
    R"({"type":"webhook_event","webhook":{"id":"1234567890"},"trigger":"FILE.UPLOADED",)"
    R"("source":{"id":"1234567890","type":"file","name":"Test.txt"}})";
constexpr std::string_view kPrimaryA = "6TfeAW3A1PASkgboxxA5yqHNKOwFyMWuEXny/FPD5hI=";
constexpr std::string_view kSecondaryA = "v+1CD1Jdo3muIcbpv5lxxgPglOqMfsNHPV899xWYydo=";

// A call of Box, genuine unless changed.
struct Call {
  std::string body = kBodyA;
  std::string timestamp{kStamp};
  std::string version = "1";
  std::string algorithm = "HmacSHA256";
  std::string primary{kPrimaryA};
  std::string secondary{kSecondaryA};
  std::string primary_key{kPrimary};
  std::string secondary_key{kSecondary};
  std::string now{kNow};
  Window window{};
};

Expected<KeySet, ProviderError> judge(const Call& call) {
  IncomingHead head;
  head.method = Method::Post;
  const auto add = [&head](std::string_view name, const std::string& value) {
    if (value != "absent") head.add(name, value);
  };
  add("BOX-DELIVERY-ID", "f96bb54b-ee16-4fc5-aa65-8c2d9e5b546f");
  add("BOX-DELIVERY-TIMESTAMP", call.timestamp);
  add("BOX-SIGNATURE-VERSION", call.version);
  add("BOX-SIGNATURE-ALGORITHM", call.algorithm);
  add("BOX-SIGNATURE-PRIMARY", call.primary);
  add("BOX-SIGNATURE-SECONDARY", call.secondary);
  const std::vector<Secret> keys{Secret(call.primary_key), Secret(call.secondary_key)};
  Verifier verifier(*find_scheme("box-v2"), keys, call.window);
  return verifier.verify(head, call.body, *parse_stamp(Stamp::Rfc3339, call.now));
}

ProviderError refused(const Call& call) {
  const auto verdict = judge(call);
  EXPECT_FALSE(verdict) << "was taken as genuine";
  return verdict ? ProviderError::MalformedRequest : verdict.error();
}

TEST(BoxV2Scheme, VerifiesPublishedVectorsInThePrimarySlot) {
  const std::vector<std::pair<std::string, std::string>> vectors{
      {kBodyA, std::string{kPrimaryA}},
      {kNamed + R"(\u30b9\u30af\u30ea\u30fc\u30f3\u30b7\u30e7\u30c3\u30c8 2020-08-05.txt"}})",
       "LV2uCu+5NJtIHrCXDYgZ0v/PP5THGRuegw3RtdnEyuE="},
      {kNamed + R"(\ud83d\ude00 2020-08-05.txt"}})",
       "xF/SDZosX4le+v4A0Qn59sZhuD1RqY5KRUKzVMSbh0E="},
      {kNamed + R"(test \r"}})", "SVkbKgy3dEEf2PbbzpNu2lDZS7zZ/aboU7HOZgBGrJk="},
      {kNamed + R"(\/"}})", "t41PWT5ZB6OcysnD6SDy9Ud+p9hdXxIdXqcdweyZv/Q="},
      {kNamed + R"(\\"}})", "ERpMZwUQsGDTfj82ehdX6VvDZfvOhK5ULNfVmwVAGe0="},
      {kNamed + R"(Test.txt","shared_link":{"url":"https:\/\/app.test.com\/s\/test123"}}})",
       "+hKJH+wxkEBpkQRag11Ij1Wh4+7QrgUeRe0PPSoGWOI="},
  };
  for (const auto& [body, primary] : vectors) {
    Call call;
    call.body = body;
    call.primary = primary;
    call.secondary = "absent";
    EXPECT_TRUE(judge(call)) << body;
  }
}

TEST(BoxV2Scheme, VerifiesTheSecondarySlotAlone) {
  Call call;
  call.primary = "absent";
  EXPECT_TRUE(judge(call));
  call.primary_key = "";
  EXPECT_TRUE(judge(call));
}

TEST(BoxV2Scheme, VerifiesTheVectorOfTheOlderSdk) {
  Call call;
  call.body = R"({ "payload" : "test" })";
  call.timestamp = "2016-07-08T01:20:32-07:00";
  call.now = "2016-07-08T08:20:32Z";
  call.primary_key = "faqZQdZ2dbNVaFdPWRsVMjZOC4nVwgp0";
  call.secondary_key = "4SidLLVJLIx3L3RAvMhybvvpmJHUd4iD";
  call.primary = "R54s9jpedqP/Og92+77Ip8hVtfWjR4pnaJXcvRGafCQ=";
  call.secondary = "V4b6jfPoCaTpcPvUDaaYLfVC4+DUZ3/B6F0pz44shEE=";
  EXPECT_TRUE(judge(call));
  call.primary = "absent";
  EXPECT_TRUE(judge(call));
}

TEST(BoxV2Scheme, DoesNotVerifyTheUnescapedFormOfABody) {
  Call call;
  call.body = kNamed + "スクリーンショット 2020-08-05.txt\"}}";
  call.primary = "LV2uCu+5NJtIHrCXDYgZ0v/PP5THGRuegw3RtdnEyuE=";
  call.secondary = "absent";
  EXPECT_EQ(refused(call), ProviderError::SignatureWrong);
  call.primary = "cc2mzyQ0LQLr+jIQ0A0aS3iKuSH5gaOzJoSVBlrj9k0=";
  EXPECT_TRUE(judge(call)) << "the bytes as they are";
}

TEST(BoxV2Scheme, NeverCrossesSlots) {
  Call call;
  call.secondary_key = "";
  call.primary = "absent";
  call.secondary = kPrimaryA;
  EXPECT_EQ(refused(call), ProviderError::SignatureWrong) << "primary code in the secondary header";
  call = Call{};
  call.primary_key = "";
  call.secondary = "absent";
  call.primary = kSecondaryA;
  EXPECT_EQ(refused(call), ProviderError::SignatureWrong) << "secondary code in the primary header";
  call = Call{};
  call.primary = kSecondaryA;
  call.secondary = kPrimaryA;
  EXPECT_EQ(refused(call), ProviderError::SignatureWrong) << "both swapped";
  call = Call{};
  call.primary_key = kSecondary;
  call.secondary_key = kPrimary;
  EXPECT_EQ(refused(call), ProviderError::SignatureWrong) << "keys swapped";
}

TEST(BoxV2Scheme, HoldsWithOneRightSlotOfTwoWhileKeysRotate) {
  Call call;
  call.primary_key = "a new key that Box does not use yet";
  EXPECT_TRUE(judge(call));
  call = Call{};
  call.secondary_key = "a new key that Box does not use yet";
  EXPECT_TRUE(judge(call));
}

TEST(BoxV2Scheme, RefusesOtherVersionsAndAlgorithms) {
  for (const char* version : {"2", "-1", "", "01", "1 ", "1.0"}) {
    Call call;
    call.version = version;
    EXPECT_EQ(refused(call), ProviderError::SignatureWrong) << version;
  }
  for (const char* algorithm : {"XXX", "HmacSHA1", "none", "", "hmacsha256", "HmacSHA256,none"}) {
    Call call;
    call.algorithm = algorithm;
    EXPECT_EQ(refused(call), ProviderError::SignatureWrong) << algorithm;
  }
}

TEST(BoxV2Scheme, SaysThatHeadersAreMissing) {
  for (std::string Call::*part : {&Call::timestamp, &Call::version, &Call::algorithm}) {
    Call call;
    call.*part = "absent";
    EXPECT_EQ(refused(call), ProviderError::SignatureMissing);
  }
  Call call;
  call.primary = call.secondary = "absent";
  EXPECT_EQ(refused(call), ProviderError::SignatureMissing);
  call.primary = call.secondary = "";
  EXPECT_EQ(refused(call), ProviderError::SignatureMissing);
}

TEST(BoxV2Scheme, NeverVerifiesWithoutKeys) {
  Call call;
  call.primary_key = call.secondary_key = "";
  EXPECT_EQ(refused(call), ProviderError::SignatureWrong);
}

TEST(BoxV2Scheme, RefusesSignaturesThatAreNotBase64) {
  for (const char* text : {"6TfeAW3A1PASkgboxxA5yqHNKOwFyMWuEXny/FPD5hI",
                           "6TfeAW3A1PASkgboxxA5yqHNKOwFyMWuEXny/FPD5hI==",
                           "6TfeAW3A1PASkgboxxA5yqHNKOwFyMWuEXny_FPD5hI=",
                           "6TfeAW3A1PASkgboxxA5yqHNKOwFyMWuEXny/FPD5hJ=",
                           "6TfeAW3A1PASkgboxxA5 qHNKOwFyMWuEXny/FPD5hI=", "=", "!", "AAAAA"}) {
    Call call;
    call.primary = text;
    EXPECT_EQ(refused(call), ProviderError::MalformedBase64) << text;
  }
}

TEST(BoxV2Scheme, RefusesCodesOfAnotherLength) {
  for (const char* text : {"6Tfe", "6TfeAW3A1PASkgboxxA5yqHNKOwFyMWuEXny/FPD5hIA"}) {
    Call call;
    call.secondary = "absent";
    call.primary = text;
    EXPECT_EQ(refused(call), ProviderError::SignatureWrong) << text;
  }
}

TEST(BoxV2Scheme, RefusesEverySingleBitFlipOfACode) {
  const auto genuine = *crypto::from_base64(kPrimaryA);
  for (std::size_t bit = 0; bit < genuine.size() * 8; ++bit) {
    std::string flipped = genuine;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ static_cast<char>(1U << (bit % 8)));
    Call call;
    call.secondary = "absent";
    call.primary = crypto::base64(flipped);
    ASSERT_EQ(refused(call), ProviderError::SignatureWrong) << "bit " << bit;
  }
}

TEST(BoxV2Scheme, RefusesEverySingleBitFlipOfTheBody) {
  for (std::size_t bit = 0; bit < kBodyA.size() * 8; ++bit) {
    Call call;
    call.body[bit / 8] = static_cast<char>(call.body[bit / 8] ^ static_cast<char>(1U << (bit % 8)));
    ASSERT_EQ(refused(call), ProviderError::SignatureWrong) << "bit " << bit;
  }
}

TEST(BoxV2Scheme, RefusesAnotherSpellingOfTheSameTime) {
  Call call;
  call.timestamp = "2020-01-01T07:00:00+00:00";
  EXPECT_EQ(refused(call), ProviderError::SignatureWrong);
}

TEST(BoxV2Scheme, HoldsItsWindowToTheSecond) {
  Call call;
  call.now = "2020-01-01T07:10:00Z";
  EXPECT_TRUE(judge(call)) << "ten minutes old";
  call.now = "2020-01-01T07:10:01Z";
  EXPECT_EQ(refused(call), ProviderError::SignatureTooOld);
  call.now = "2020-01-01T06:59:00Z";
  EXPECT_TRUE(judge(call)) << "a minute ahead";
  call.now = "2020-01-01T06:58:59Z";
  EXPECT_EQ(refused(call), ProviderError::SignatureTooNew);
}

TEST(BoxV2Scheme, TakesAFifteenMinuteOldCallOnlyWithAWiderWindow) {
  Call call;
  call.now = "2020-01-01T07:15:00Z";
  EXPECT_EQ(refused(call), ProviderError::SignatureTooOld);
  call.window.past = std::chrono::minutes{20};
  EXPECT_TRUE(judge(call));
}

TEST(BoxV2Scheme, RefusesTimestampsThatAreNotRfc3339) {
  for (const char* text : {"",
                           "now",
                           "1577862000",
                           "2020-01-01",
                           "2020-01-01T00:00:00",
                           "2020-01-01 00:00:00-07:00",
                           "2020-01-01t00:00:00-07:00",
                           "2020-01-01T00:00:00-0700",
                           "2020-01-01T00:00:00-07",
                           "2020-13-01T00:00:00Z",
                           "2020-00-01T00:00:00Z",
                           "2020-02-30T00:00:00Z",
                           "2021-02-29T00:00:00Z",
                           "2020-01-32T00:00:00Z",
                           "2020-01-01T24:00:00Z",
                           "2020-01-01T00:60:00Z",
                           "2020-01-01T00:00:61Z",
                           "2020-01-01T00:00:00+24:00",
                           "2020-01-01T00:00:00+07:60",
                           "2020-01-01T00:00:00.Z",
                           "2020-01-01T00:00:00.1234567890Z",
                           "2020-01-01T00:00:00Z ",
                           " 2020-01-01T00:00:00Z",
                           "2020-01-01T00:00:00ZZ",
                           "+020-01-01T00:00:00Z",
                           "20200-01-01T00:00:00Z",
                           "2020-1-1T0:0:0Z"}) {
    Call call;
    call.timestamp = text;
    EXPECT_EQ(refused(call), ProviderError::BadTimestamp) << text;
  }
}

TEST(BoxV2Scheme, SignsWhatItVerifies) {
  const std::vector<Secret> keys{Secret(std::string{kPrimary}), Secret(std::string{kSecondary})};
  const auto fields =
      sign(*find_scheme("box-v2"), keys, {.id = "delivery", .timestamp = kStamp, .body = kBodyA});
  ASSERT_EQ(fields.size(), 6U);
  EXPECT_EQ(fields[0].name, "BOX-DELIVERY-ID");
  EXPECT_EQ(fields[1].value, kStamp);
  EXPECT_EQ(fields[2].value, "1");
  EXPECT_EQ(fields[3].value, "HmacSHA256");
  EXPECT_EQ(fields[4].name, "BOX-SIGNATURE-PRIMARY");
  EXPECT_EQ(fields[4].value, kPrimaryA);
  EXPECT_EQ(fields[5].name, "BOX-SIGNATURE-SECONDARY");
  EXPECT_EQ(fields[5].value, kSecondaryA);
}

TEST(BoxV2Scheme, SignsWithTheSecondaryKeyAlone) {
  const std::vector<Secret> keys{Secret(), Secret(std::string{kSecondary})};
  const auto fields = sign(*find_scheme("box-v2"), keys, {.timestamp = kStamp, .body = kBodyA});
  ASSERT_FALSE(fields.empty());
  EXPECT_EQ(fields.back().name, "BOX-SIGNATURE-SECONDARY");
  EXPECT_EQ(fields.back().value, kSecondaryA);
  EXPECT_TRUE(sign(*find_scheme("box-v2"), {}, {.timestamp = kStamp}).empty());
}

TEST(Stamp, ReadsOffsetsFractionsAndUnixTimes) {
  const auto ms = [](Stamp stamp, std::string_view text) {
    const auto time = parse_stamp(stamp, text);
    return time ? unix_ms(*time) : -1;
  };
  EXPECT_EQ(ms(Stamp::Rfc3339, "1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(ms(Stamp::Rfc3339, "2016-07-11T10:10:33-07:00"), 1468257033000);
  EXPECT_EQ(ms(Stamp::Rfc3339, "2016-07-11T10:10:33.25+05:30"), 1468212033250);
  EXPECT_EQ(ms(Stamp::Rfc3339, "2000-02-29T23:59:59.999999999Z"), 951868799999);
  EXPECT_EQ(ms(Stamp::Seconds, "1533204620"), 1533204620000);
  EXPECT_EQ(ms(Stamp::Millis, "1564113600001"), 1564113600001);
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "1.0", "0x1", "1e3", "9999999999999"}) {
    EXPECT_EQ(ms(Stamp::Seconds, text), -1) << text;
  }
  EXPECT_EQ(ms(Stamp::Millis, "9999999999999999"), -1);
  EXPECT_EQ(ms(Stamp::None, "1"), -1);
}

TEST(Stamp, WritesWhatItReads) {
  const WallTime time{std::chrono::milliseconds{1468257033000}};
  EXPECT_EQ(format_stamp(Stamp::Rfc3339, time), "2016-07-11T17:10:33Z");
  EXPECT_EQ(format_stamp(Stamp::Seconds, time), "1468257033");
  EXPECT_EQ(format_stamp(Stamp::Millis, time), "1468257033000");
  EXPECT_EQ(format_stamp(Stamp::None, time), "");
}

// While a key is changed the old one must be seen to be in use, or no longer.
TEST(BoxV2, TellsWhichKeysHaveVerified) {
  EXPECT_EQ(judge(Call{}), KeySet(0b11));
  EXPECT_EQ(judge(Call{.secondary_key = "changed"}), KeySet(0b01));
  EXPECT_EQ(judge(Call{.primary_key = "changed"}), KeySet(0b10));
  EXPECT_EQ(judge(Call{.primary = "absent"}), KeySet(0b10));
}

}  // namespace
}  // namespace eventrelay::providers
