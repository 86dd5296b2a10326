// Every way in which a provider's request can be wrong, in words that go into answers as they are.
//
// Why:     the services answer with it and the command line prints it; one table has the sentences.
// Thread:  constants.  Bounds: static text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/base/expected.hpp"
#include "common/text/json.hpp"

namespace eventrelay::providers {

// Closed; each member has one sentence below.
enum class ProviderError : std::uint8_t {
  MalformedRequest,  // a form, a field or a list that does not follow its grammar
  MalformedJson,
  JsonTooDeep,
  MalformedBase64,  // a signature that is neither hex nor base64
  DuplicateHeader,
  BadTimestamp,
  SignatureMissing,
  SignatureWrong,
  SignatureTooOld,
  SignatureTooNew,
  TokenWrong,
  TooManyObjects,
  BadChallenge,  // of a handshake: absent, too long, or not printable ASCII
};
inline constexpr std::size_t kProviderErrors = 13;

// The sentence for the sender and for a terminal.
[[nodiscard]] constexpr std::string_view describe(ProviderError error) noexcept {
  constexpr std::array<std::string_view, kProviderErrors> kSentences{
      "The request is malformed.",
      "The body is not valid JSON, or names a member twice.",
      "The body nests deeper than 1023 levels.",
      "The signature is not valid base64 or hex.",
      "A header that may occur once occurs more often.",
      "The timestamp of the signature is malformed.",
      "The request is not signed.",
      "The signature does not match.",
      "The signature is too old.",
      "The signature is from the future.",
      "The token does not match.",
      "The body holds more than 5000 objects.",
      "The challenge is not 1 to 1024 characters of printable ASCII.",
  };
  return kSentences[static_cast<std::size_t>(error)];
}

[[nodiscard]] inline Unexpected<ProviderError> refuse(ProviderError error) noexcept {
  return Unexpected<ProviderError>(error);
}

// What a body that can not be read is called; a key that occurs twice makes two readers differ.
[[nodiscard]] constexpr ProviderError provider_error(json::ScanError error) noexcept {
  return error == json::ScanError::TooDeep ? ProviderError::JsonTooDeep
                                           : ProviderError::MalformedJson;
}

}  // namespace eventrelay::providers
