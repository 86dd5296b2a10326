// Handshakes answer their own provider's form, and nothing else.
#include "common/providers/handshake.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace eventrelay::providers {
namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

const Secret kToken("verify-me");

IncomingHead head_of(Method method, const Lines& lines = {}) {
  IncomingHead head;
  head.method = method;
  for (const auto& [name, value] : lines) head.add(name, value);
  return head;
}

// The reply, or the word of what went wrong.
std::string reply(Handshake kind, Method method, const std::string& query) {
  const IncomingHead head = head_of(method);
  if (!is_handshake(kind, head, query)) return "(none)";
  const auto answer = answer_handshake(kind, head, query, kToken);
  return answer ? answer->reply : "(" + std::string(describe(answer.error())) + ")";
}

const std::string kBad = "(" + std::string(describe(ProviderError::BadChallenge)) + ")";

TEST(Handshake, OfDropboxEchoesTheChallenge) {
  EXPECT_EQ(reply(Handshake::Dropbox, Method::Get, "challenge=abc-123"), "abc-123");
  EXPECT_EQ(reply(Handshake::Dropbox, Method::Get, "a=1&challenge=%3Cb%3E"), "<b>");
  EXPECT_EQ(reply(Handshake::Dropbox, Method::Get, "challenge="), kBad);
  EXPECT_EQ(reply(Handshake::Dropbox, Method::Get, "challenge=a%0Ab"), kBad);
  EXPECT_EQ(reply(Handshake::Dropbox, Method::Get, "challenge=%C3%A9"), kBad);
  EXPECT_EQ(reply(Handshake::Dropbox, Method::Get, "challenge=%zz"), kBad);
  EXPECT_EQ(reply(Handshake::Dropbox, Method::Get, "challenge=" + std::string(1024, 'x')),
            std::string(1024, 'x'));
  EXPECT_EQ(reply(Handshake::Dropbox, Method::Get, "challenge=" + std::string(1025, 'x')), kBad);
  EXPECT_EQ(reply(Handshake::Dropbox, Method::Get, ""), "(none)");
  EXPECT_EQ(reply(Handshake::Dropbox, Method::Post, "challenge=abc"), "(none)");
  EXPECT_EQ(reply(Handshake::None, Method::Get, "challenge=abc"), "(none)");
}

TEST(Handshake, OfMetaWantsTheVerifyToken) {
  const std::string query = "hub.mode=subscribe&hub.challenge=115&hub.verify_token=";
  EXPECT_EQ(reply(Handshake::Meta, Method::Get, query + "verify-me"), "115");
  const std::string wrong = "(" + std::string(describe(ProviderError::TokenWrong)) + ")";
  EXPECT_EQ(reply(Handshake::Meta, Method::Get, query + "other"), wrong);
  EXPECT_EQ(reply(Handshake::Meta, Method::Get, "hub.mode=subscribe&hub.challenge=1"), wrong);
  EXPECT_EQ(reply(Handshake::Meta, Method::Get, "hub.mode=subscribe&hub.verify_token=verify-me"),
            kBad);
  EXPECT_EQ(reply(Handshake::Meta, Method::Get, "hub.challenge=1"), "(none)");
  const IncomingHead head = head_of(Method::Get);
  EXPECT_FALSE(answer_handshake(Handshake::Meta, head, query, Secret())) << "no token, no echo";
}

TEST(Handshake, OfGraphEchoesTheDecodedToken) {
  EXPECT_EQ(reply(Handshake::Graph, Method::Post, "validationToken=Validation%3A+Test%20ok"),
            "Validation: Test ok");
  EXPECT_EQ(reply(Handshake::Graph, Method::Get, "validationToken=x"), "(none)");
  EXPECT_EQ(reply(Handshake::Graph, Method::Post, "validationToken"), kBad);
}

TEST(Handshake, OfCloudEventsGrantsTheOriginAndTheRate) {
  const auto fields = [](const Lines& lines) {
    const IncomingHead head = head_of(Method::Options, lines);
    if (!is_handshake(Handshake::CloudEvents, head, "")) return std::string("(none)");
    const auto answer = answer_handshake(Handshake::CloudEvents, head, "", Secret());
    return answer ? answer->reply + answer->fields : std::string("(error)");
  };
  const std::string origin = "WebHook-Allowed-Origin: eventemitter.example.com\r\n";
  EXPECT_EQ(fields({{"WebHook-Request-Origin", "eventemitter.example.com"}}),
            origin + "Allow: POST\r\n");
  EXPECT_EQ(fields({{"webhook-request-origin", "eventemitter.example.com"},
                    {"WebHook-Request-Rate", "120"}}),
            origin + "WebHook-Allowed-Rate: 120\r\nAllow: POST\r\n");
  EXPECT_EQ(fields({{"WebHook-Request-Origin", "a"}, {"WebHook-Request-Rate", "many"}}), "(error)");
  EXPECT_EQ(fields({{"WebHook-Request-Origin", ""}}), "(error)");
  EXPECT_EQ(fields({}), "(none)");
}

// What a signed body is answered with; the scanner's padding behind it.
std::string signed_reply(Handshake kind, std::string body, const Lines& lines = {}) {
  json::Scanner scanner;
  const IncomingHead head = head_of(Method::Post, lines);
  const std::size_t size = body.size();
  body.append(json::kPadding, '\0');
  const auto answer =
      answer_signed_handshake(kind, head, std::string_view(body).substr(0, size), scanner);
  if (!answer) return "(" + std::string(describe(answer.error())) + ")";
  if (!*answer) return "(event)";
  return (*answer)->reply + std::string((*answer)->reason);
}

TEST(Handshake, OfSlackIsASignedCall) {
  EXPECT_FALSE(is_handshake(Handshake::Slack, head_of(Method::Post), ""));
  EXPECT_EQ(signed_reply(Handshake::Slack,
                         R"({"token":"t","challenge":"3eZbrw1a","type":"url_verification"})"),
            "3eZbrw1a");
  EXPECT_EQ(signed_reply(Handshake::Slack, R"({"type":"url_verification"})"), kBad);
  EXPECT_EQ(signed_reply(Handshake::Slack, R"({"type":"event_callback","challenge":"x",)"
                                           R"("event":{"text":"url_verification"}})"),
            "(event)");
  EXPECT_EQ(signed_reply(Handshake::Github, R"({"type":"url_verification","challenge":"x"})"),
            "(event)");
}

TEST(Handshake, OfGithubIsItsPing) {
  EXPECT_EQ(signed_reply(Handshake::Github, R"({"zen":"x"})", {{"X-GitHub-Event", "ping"}}),
            "ping");
  EXPECT_EQ(signed_reply(Handshake::Github, "{}", {{"X-GitHub-Event", "push"}}), "(event)");
  EXPECT_EQ(signed_reply(Handshake::None, "{}", {{"X-GitHub-Event", "ping"}}), "(event)");
}

TEST(Handshake, IsKnownByTheWordsOfTheConfiguration) {
  for (const char* word : {"none", "dropbox", "slack", "meta", "graph", "cloudevents"}) {
    const auto kind = handshake_named(word);
    ASSERT_TRUE(kind) << word;
    EXPECT_EQ(handshake_word(*kind), word);
  }
  EXPECT_FALSE(handshake_named("github"));
  EXPECT_FALSE(handshake_named(""));
}

}  // namespace
}  // namespace eventrelay::providers
