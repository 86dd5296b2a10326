// One document of the registry: an instance, whose it is, and what its provider gave; as JSON.
//
//   topic `<prefix>instances`, key = instance id in decimal, value = {"v":1,"seal":"k1",..}
//
// Why:     the control API writes it, every replica reads it; keys, tokens and header values are
//          sealed inside, so that the topic may be read and kept without harm.
// Thread:  any; pure.
// Bounds:  kDocumentMax bytes.
// Errors:  DocumentError: what is wrong, without any value of the document.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/expected.hpp"
#include "common/base/seal.hpp"
#include "common/config/config.hpp"

namespace eventrelay {

inline constexpr std::size_t kDocumentMax = 64 * 1024;
inline constexpr std::uint64_t kInstanceIdMax = 9007199254740991;  // what JSON readers keep exactly

// What the provider's token endpoint gave.
struct OAuthTokens {
  Secret access;
  Secret refresh;        // good once
  WallTime expires{};    // of the access token
  WallTime refreshed{};  // when this pair was given
};

enum class WebhookState : std::uint8_t { Active, Deleted, NoSession };
[[nodiscard]] std::string_view to_word(WebhookState state) noexcept;

// A webhook that was made at the provider for this instance.
struct Webhook {
  std::string id;  // 1..20 digits
  std::string target_id;
  std::string target_type;  // file or folder
  std::vector<std::string> triggers;
  std::string address;
  WebhookState state = WebhookState::Active;
  std::string reason;
};

// Bounds: kDocumentMax as JSON.
struct Document {
  InstanceConfig instance;    // as given: defaults that depend on other keys are not resolved
  std::uint64_t company = 0;  // ids of control.organizations
  std::uint64_t account = 0;
  std::uint64_t user = 0;
  WallTime created{};
  std::string token_hash;  // SHA-256 in hex of the element token, which is not stored
  bool disabled = false;
  std::string external_authentication = "none";  // or initial
  std::string problem;                           // why it is not valid; empty: valid
  std::optional<OAuthTokens> oauth;
  std::vector<Webhook> webhooks;
  WallTime
      deleted{};  // under a cleanup key only: since when it is to be cleaned up at the provider
};

struct DocumentError {
  enum class Kind : std::uint8_t { Malformed, Version, MasterKey, Sealed };
  Kind kind = Kind::Malformed;
  std::string what;  // e.g. `seal: no master key k1`
};

// The record key of an instance, and back; nothing for keys that are not of an instance.
[[nodiscard]] std::string record_key(std::uint64_t id);
[[nodiscard]] std::optional<std::uint64_t> instance_of(std::string_view record_key) noexcept;

// What is left to do at the provider for a deleted instance stands under `cleanup/<id>`.
[[nodiscard]] std::string cleanup_key(std::uint64_t id);
[[nodiscard]] std::optional<std::uint64_t> cleanup_of(std::string_view record_key) noexcept;

// Secrets are sealed under the first key of `keys`, for the record key.
[[nodiscard]] std::string encode_document(const Document& document, const Keyring& keys,
                                          std::string_view record_key);
[[nodiscard]] std::string encode_document(const Document& document, const Keyring& keys);
[[nodiscard]] Expected<Document, DocumentError> decode_document(std::string_view record_key,
                                                                std::string_view value,
                                                                const Keyring& keys);
// What a document is looked up by.
struct DocumentSummary {
  std::uint64_t account = 0;
  std::string element;
  std::vector<std::string> tags;
  std::string token_hash;
  WallTime refreshed{};  // of the provider's tokens; the epoch: none, or they are not good
  bool disabled = false;
  bool valid = true;
};

// The summary alone: no secret is opened and the instance is not judged, so a document that passes
// here may still be refused whole.
[[nodiscard]] Expected<DocumentSummary, DocumentError> summarize_document(std::string_view value,
                                                                          const Keyring& keys);

// The id of the master key a value is sealed with; empty if that can not be read.
[[nodiscard]] std::string master_key_of(std::string_view value);

// The master keys of a checked configuration.
[[nodiscard]] Keyring keyring_of(const SealConfig& config);

// A new element token: 256 random bits as text. And what is stored of it.
[[nodiscard]] std::string new_element_token();
[[nodiscard]] std::string element_token_hash(std::string_view token);

}  // namespace eventrelay
