#include "cli/webhook/signing.hpp"

#include <gtest/gtest.h>

#include "cli/command/command.hpp"
#include "common/providers/provider.hpp"

namespace eventrelay::cli {
namespace {

constexpr WallTime kNow{std::chrono::seconds(1'600'000'000)};

Signed signed_by(const std::string& scheme, const std::vector<std::string>& keys) {
  Signed message;
  const auto& row = scheme_named(scheme);
  message.body = providers::sample_body(*providers::provider_of_scheme(scheme), 1, 2, keys.front());
  message.target = "https://a.example/x";
  const std::string timestamp = providers::format_stamp(row.stamp, kNow);
  providers::SignInput input;
  input.uri = message.target;
  input.id = "msg_1";
  input.timestamp = timestamp;
  input.body = message.body;
  for (auto& field : providers::sign(row, keys_from(keys), input)) {
    message.headers.emplace_back(field.name, field.value);
  }
  return message;
}

TEST(Signing, EverySchemeJudgesItsOwnSignatureGenuine) {
  for (const auto& scheme : providers::schemes()) {
    const std::string name(scheme.name);
    const std::string key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const Signed message = signed_by(name, {key});
    EXPECT_EQ(judge(scheme, keys_from({key}), message, kNow), "") << name;
  }
}

TEST(Signing, EverySchemeRefusesAnotherKeyAndAChangedBody) {
  for (const auto& scheme : providers::schemes()) {
    const std::string name(scheme.name);
    const std::string key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    Signed message = signed_by(name, {key});
    EXPECT_NE(judge(scheme, keys_from({"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}), message, kNow),
              "")
        << name;
    const bool signs_body =
        scheme.proof != providers::Proof::Bearer && scheme.proof != providers::Proof::ClientState;
    message.body += " ";
    EXPECT_EQ(judge(scheme, keys_from({key}), message, kNow).empty(), !signs_body) << name;
  }
}

TEST(Signing, WantsTheUriAndTheIdWhereTheyAreSigned) {
  for (const char* scheme : {"hubspot-v3", "hubspot-v2", "twilio"}) {
    EXPECT_THROW(require_uri(scheme_named(scheme), ""), Failure) << scheme;
    EXPECT_THROW(require_uri(scheme_named(scheme), "/path"), Failure) << scheme;
    EXPECT_NO_THROW(require_uri(scheme_named(scheme), "https://a.example/path")) << scheme;
  }
  EXPECT_NO_THROW(require_uri(scheme_named("github"), ""));
  EXPECT_THROW(require_id(scheme_named("standard"), ""), Failure);
  EXPECT_THROW(require_id(scheme_named("svix"), ""), Failure);
  EXPECT_NO_THROW(require_id(scheme_named("box-v2"), "")) << "it carries an id and signs none";
  EXPECT_EQ(uri_signed_for("http://127.0.0.1:8080/a?b"), "https://127.0.0.1:8080/a?b");
}

TEST(Signing, NamesTheSchemesWhenOneIsUnknown) {
  try {
    (void)scheme_named("md5");
    FAIL() << "accepted";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), Exit::Usage);
    EXPECT_NE(std::string(failure.what()).find("box-v2"), std::string::npos) << failure.what();
  }
}

TEST(Signing, RefusesAnEmptyKeyAndTooManyKeysWithoutPrintingOne) {
  EXPECT_THROW((void)keys_from({""}), Failure);
  try {
    (void)keys_from({"secret-a", "secret-b", "secret-c", "secret-d"});
    FAIL() << "accepted";
  } catch (const Failure& failure) {
    EXPECT_EQ(std::string(failure.what()).find("secret-"), std::string::npos) << failure.what();
  }
}

TEST(Signing, SaysWhichKeyFileCannotBeRead) {
  EXPECT_THROW((void)keys_from({"@/nonexistent/key"}), Failure);
}

}  // namespace
}  // namespace eventrelay::cli
