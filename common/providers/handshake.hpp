// Handshakes: the calls by which a provider asks whether an address is willing, before any event.
//
// Why:     echoing what a stranger sends is a reflected-content hole, so each kind answers its own
//          provider's form alone, bounded and as plain text.
// Thread:  any; pure.  Bounds: kChallengeMax characters of printable ASCII.
// Errors:  BadChallenge, TokenWrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/expected.hpp"
#include "common/base/secret.hpp"
#include "common/providers/incoming_head.hpp"
#include "common/providers/provider_error.hpp"
#include "common/text/json.hpp"

namespace eventrelay::providers {

inline constexpr std::size_t kChallengeMax = 1024;

enum class Handshake : std::uint8_t { None, Dropbox, Slack, Meta, Graph, CloudEvents, Github };

// The words of the configuration and of the metric; Github is no word of the configuration.
[[nodiscard]] std::string_view handshake_word(Handshake kind) noexcept;
// Nothing for another word. `none dropbox slack meta graph cloudevents`.
[[nodiscard]] std::optional<Handshake> handshake_named(std::string_view word) noexcept;

// The answer to one.
struct HandshakeAnswer {
  std::string reply;          // the body of the 200
  std::string fields;         // header lines with their ends
  std::string_view reason{};  // github: answered as a call with nothing to store
};

// Is this call a handshake of that kind that comes before, and instead of, a signed event?
[[nodiscard]] bool is_handshake(Handshake kind, const IncomingHead& head, std::string_view query);

// The answer to a call for which is_handshake() holds. `token`: what Meta's verify token must be.
[[nodiscard]] Expected<HandshakeAnswer, ProviderError> answer_handshake(Handshake kind,
                                                                        const IncomingHead& head,
                                                                        std::string_view query,
                                                                        const Secret& token);

// The answer to a handshake that is signed as an event is: slack and github. Nothing: an event.
// `body` has been verified and is followed by json::kPadding bytes.
[[nodiscard]] Expected<std::optional<HandshakeAnswer>, ProviderError> answer_signed_handshake(
    Handshake kind, const IncomingHead& head, std::string_view body, json::Scanner& scanner);

// The methods besides POST that a source with this handshake takes, for the Allow header.
[[nodiscard]] std::optional<Method> handshake_method(Handshake kind) noexcept;

}  // namespace eventrelay::providers
