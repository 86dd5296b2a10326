// Signature schemes as rows of one table: what a provider signs, with what, and where it says so.
//
// Why:     nearly all providers do the same thing with other words; a row is data, checked by the
//          provider's own vectors, where a class per provider would be many chances to be wrong.
// Thread:  the table is constant; a Verifier belongs to one shard (it holds keyed contexts).
// Bounds:  kKeysMax live keys, kCandidatesMax items in one list of signatures. HMAC over what a row
//          names does not allocate per event; ed25519, twilio, hubspot-v1, hubspot-v2 and
//          microsoftgraph do.
// Errors:  ProviderError; all well-formed wrong signatures take one path through the code.
#pragma once

#include <array>
#include <bitset>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/crypto.hpp"
#include "common/base/ed25519.hpp"
#include "common/base/expected.hpp"
#include "common/base/secret.hpp"
#include "common/providers/incoming_head.hpp"
#include "common/providers/provider_error.hpp"
#include "common/providers/stamp.hpp"
#include "common/text/json.hpp"

namespace eventrelay::providers {

inline constexpr std::size_t kKeysMax = 3;
// Some of a source's keys, by their places in its list.
using KeySet = std::bitset<kKeysMax>;
inline constexpr std::size_t kCandidatesMax = 64;

// The member of a body of Microsoft Graph that is the shared token.
inline constexpr std::string_view kClientState = "clientState";

// Hmac: over `text`. Hash: of `text`, the key being a part of it. Twilio: HMAC over the URI and the
// sorted parameters of a form, or over the URI that carries the hash of a JSON body. ClientState:
// nothing is signed, each `clientState` of the body is the key. Bearer: nothing is signed, the
// field is `Bearer <key>`.
enum class Proof : std::uint8_t { Hmac, Hash, Twilio, ClientState, Bearer };
enum class KeyCoding : std::uint8_t { Raw, Whsec };  // whsec_ + base64; the padding may be missing
enum class Coding : std::uint8_t { Hex, Base64 };
// Plain: the code alone. Prefix: `sha256=<code>`. KeyValueList: `t=..,v1=<code>,v1=<code>`.
// SpaceList: `v1,<code> v1,<code>`.
enum class Form : std::uint8_t { Plain, Prefix, KeyValueList, SpaceList };
// One piece of the signed text. Dot, Colon and V0 stand for themselves.
enum class Piece : std::uint8_t { End, Key, Method, Uri, Id, Timestamp, Body, Dot, Colon, V0 };
// OnePerHeader: the first key belongs to the first header, the second to the second, never crossed.
enum class Keys : std::uint8_t { AnyKey, OnePerHeader };
// As it came, or with the escapes undone that HubSpot undoes before it signs.
enum class UriForm : std::uint8_t { AsReceived, HubspotDecoded };

// A header that must have exactly this value.
struct FixedField {
  std::string_view name;
  std::string_view value;
  bool may_be_absent = false;
};

// How far a signed timestamp may be from now.
struct Window {
  std::chrono::milliseconds past{600'000};
  std::chrono::milliseconds future{60'000};
};

// One row.
struct Scheme {
  std::string_view name{};
  Proof proof = Proof::Hmac;
  crypto::Digest digest = crypto::Digest::Sha256;
  KeyCoding key = KeyCoding::Raw;
  std::array<Piece, 8> text{};
  UriForm uri = UriForm::AsReceived;
  Coding coding = Coding::Hex;
  Form form = Form::Plain;
  std::string_view tag{};         // prefix, or the version word of a list
  std::string_view public_tag{};  // version word of ed25519 signatures; empty: none are taken
  Keys keys = Keys::AnyKey;
  std::array<std::string_view, 2> signature{};  // header; second: second slot, or another spelling
  std::string_view timestamp{};                 // header; empty: none, or the list's `t`
  Stamp stamp = Stamp::None;
  Window window{};        // unless the source says otherwise
  std::string_view id{};  // header with the id of the message
  std::array<FixedField, 2> fixed{};
};

[[nodiscard]] std::span<const Scheme> schemes() noexcept;
[[nodiscard]] const Scheme* find_scheme(std::string_view name) noexcept;

// Is this piece, or for the twilio scheme the URI, under the signature?
[[nodiscard]] bool signs(const Scheme& scheme, Piece wanted) noexcept;

// One source's scheme with its keys, ready to run. An empty key never verifies.
// Thread: one shard.  Bounds: kKeysMax keys.
class Verifier {
 public:
  // At most kKeysMax keys. `origin` is the scheme, host and port under which the provider reaches
  // this service, without a slash at its end; empty: https:// and the Host field of each request.
  // std::runtime_error on a key that the scheme cannot read.
  Verifier(const Scheme& scheme, std::span<const Secret> keys, Window window,
           std::string origin = {});

  // The keys that have verified it; at least one.
  [[nodiscard]] Expected<KeySet, ProviderError> verify(const IncomingHead& head,
                                                       std::string_view body, WallTime now);
  [[nodiscard]] const Scheme& scheme() const noexcept { return *scheme_; }

 private:
  [[nodiscard]] Expected<KeySet, ProviderError> verify_bearer(const IncomingHead& head) const;
  [[nodiscard]] Expected<KeySet, ProviderError> verify_client_state(std::string_view body);

  const Scheme* scheme_;
  std::array<std::optional<crypto::Hmac>, kKeysMax> macs_;
  std::array<std::optional<crypto::Ed25519Key>, kKeysMax> public_keys_;
  std::array<Secret, kKeysMax> secrets_;  // of schemes that do not key an HMAC
  Window window_;
  std::string origin_;
  std::unique_ptr<json::Scanner> scanner_;  // ClientState alone reads the body
};

// What is signed.
struct SignInput {
  std::string_view method = "POST";
  std::string_view uri{};
  std::string_view id{};
  std::string_view timestamp{};  // as it will stand in its header
  std::string_view body{};
};

// One header line of a sender.
struct SignedField {
  std::string name;
  std::string value;
};

// The header lines a sender adds; none if every key is empty, or the proof lies in the body.
// std::runtime_error on a key that the scheme cannot read or cannot sign with.
[[nodiscard]] std::vector<SignedField> sign(const Scheme& scheme, std::span<const Secret> keys,
                                            const SignInput& input);

}  // namespace eventrelay::providers
