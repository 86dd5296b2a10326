#include "common/providers/handshake.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "common/providers/form.hpp"
#include "common/providers/shared_token.hpp"

namespace eventrelay::providers {

namespace {

constexpr std::string_view kOrigin = "WebHook-Request-Origin";
constexpr std::string_view kRate = "WebHook-Request-Rate";

constexpr std::array<std::pair<Handshake, std::string_view>, 7> kWords{
    {{Handshake::None, "none"},
     {Handshake::Dropbox, "dropbox"},
     {Handshake::Slack, "slack"},
     {Handshake::Meta, "meta"},
     {Handshake::Graph, "graph"},
     {Handshake::CloudEvents, "cloudevents"},
     {Handshake::Github, "github"}}};

bool is_challenge(std::string_view text) noexcept {
  return !text.empty() && text.size() <= kChallengeMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7E; });
}

Expected<HandshakeAnswer, ProviderError> echo(const std::optional<std::string>& challenge) {
  if (!challenge || !is_challenge(*challenge)) return refuse(ProviderError::BadChallenge);
  return HandshakeAnswer{*challenge, {}};
}

// Is there a parameter of that name, whatever its value?
bool has_parameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view piece = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (form_decoded(piece.substr(0, piece.find('='))) == name) return true;
  }
  return false;
}

Expected<HandshakeAnswer, ProviderError> answer_cloudevents(const IncomingHead& head) {
  const std::string_view origin = head.find(kOrigin);
  const std::string_view rate = head.find(kRate);
  if (!is_challenge(origin) || head.count(kOrigin) > 1) return refuse(ProviderError::BadChallenge);
  HandshakeAnswer answer;
  answer.fields.append("WebHook-Allowed-Origin: ").append(origin).append("\r\n");
  if (rate.data() != nullptr) {
    const bool number = !rate.empty() && rate.size() <= 10 &&
                        rate.find_first_not_of("0123456789") == std::string_view::npos;
    if (!number || head.count(kRate) > 1) return refuse(ProviderError::BadChallenge);
    answer.fields.append("WebHook-Allowed-Rate: ").append(rate).append("\r\n");
  }
  answer.fields.append("Allow: POST\r\n");
  return answer;
}

}  // namespace

std::string_view handshake_word(Handshake kind) noexcept {
  return kWords[static_cast<std::size_t>(kind)].second;
}

std::optional<Handshake> handshake_named(std::string_view word) noexcept {
  for (const auto& [kind, its_word] : kWords) {
    if (its_word == word && kind != Handshake::Github) return kind;
  }
  return std::nullopt;
}

std::optional<Method> handshake_method(Handshake kind) noexcept {
  if (kind == Handshake::Dropbox || kind == Handshake::Meta) return Method::Get;
  if (kind == Handshake::CloudEvents) return Method::Options;
  return std::nullopt;
}

bool is_handshake(Handshake kind, const IncomingHead& head, std::string_view query) {
  switch (kind) {
    case Handshake::Dropbox:
      return head.method == Method::Get && has_parameter(query, "challenge");
    case Handshake::Meta:
      return head.method == Method::Get && form_value(query, "hub.mode") == "subscribe";
    case Handshake::Graph:
      return head.method == Method::Post && has_parameter(query, "validationToken");
    case Handshake::CloudEvents:
      return head.method == Method::Options && head.count(kOrigin) > 0;
    case Handshake::None:
    case Handshake::Slack:
    case Handshake::Github:
      break;
  }
  return false;
}

Expected<HandshakeAnswer, ProviderError> answer_handshake(Handshake kind, const IncomingHead& head,
                                                          std::string_view query,
                                                          const Secret& token) {
  if (kind == Handshake::CloudEvents) return answer_cloudevents(head);
  if (kind == Handshake::Dropbox) return echo(form_value(query, "challenge"));
  if (kind == Handshake::Graph) return echo(form_value(query, "validationToken"));
  if (!token_matches(token, form_value(query, "hub.verify_token").value_or(""))) {
    return refuse(ProviderError::TokenWrong);
  }
  return echo(form_value(query, "hub.challenge"));
}

Expected<std::optional<HandshakeAnswer>, ProviderError> answer_signed_handshake(
    Handshake kind, const IncomingHead& head, std::string_view body, json::Scanner& scanner) {
  if (kind == Handshake::Github && head.find("X-GitHub-Event") == "ping") {
    HandshakeAnswer answer;
    answer.reason = "ping";
    return std::optional(std::move(answer));
  }
  if (kind != Handshake::Slack || body.find("url_verification") == std::string_view::npos) {
    return std::nullopt;
  }
  constexpr std::array<json::Wanted, 2> kWanted{{{"", "type"}, {"", "challenge"}}};
  std::array<json::Found, 2> found;
  const auto top = scanner.scan(body, kWanted, found);
  if (!top) return refuse(provider_error(top.error()));
  if (found[0].text != "url_verification") return std::nullopt;
  auto answer = echo(std::string(found[1].text));
  if (!answer) return refuse(answer.error());
  return std::optional(std::move(*answer));
}

}  // namespace eventrelay::providers
