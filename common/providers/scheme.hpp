// Signature schemes as rows of one table: what a provider signs, with what, and where it says so.
//
// Why:     nearly all providers do the same thing with other words; a row is data, checked by the
//          provider's own vectors, where a class per provider would be eleven chances to be wrong.
// Thread:  the table is constant; a Verifier belongs to one shard (it holds keyed contexts).
// Bounds:  kKeysMax live keys, kCandidatesMax signatures in one request; no allocation per event.
// Errors:  ProviderError; all well-formed wrong signatures take one path through the code.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/crypto.hpp"
#include "common/base/expected.hpp"
#include "common/base/secret.hpp"
#include "common/providers/incoming_head.hpp"
#include "common/providers/provider_error.hpp"
#include "common/providers/stamp.hpp"

namespace eventrelay::providers {

inline constexpr std::size_t kKeysMax = 3;
inline constexpr std::size_t kCandidatesMax = 5;

enum class KeyCoding : std::uint8_t { Raw, Whsec };  // whsec_ + base64; the padding may be missing
enum class Coding : std::uint8_t { Hex, Base64 };
// Plain: the code alone. Prefix: `sha256=<code>`. KeyValueList: `t=..,v1=<code>,v1=<code>`.
// SpaceList: `v1,<code> v1,<code>`.
enum class Form : std::uint8_t { Plain, Prefix, KeyValueList, SpaceList };
// One piece of the signed text. Dot, Colon and V0 stand for themselves.
enum class Piece : std::uint8_t { End, Method, Uri, Id, Timestamp, Body, Dot, Colon, V0 };
// Slots: the first key belongs to the first header, the second to the second, never crossed.
enum class Keys : std::uint8_t { AnyKey, Slots };

// A header that must be there with exactly this value. Thread: constant.  Bounds: static text.
struct FixedField {
  std::string_view name;
  std::string_view value;
};

// How far a signed timestamp may be from now.
struct Window {
  std::chrono::milliseconds past{600'000};
  std::chrono::milliseconds future{60'000};
};

// One row. Thread: constant.  Bounds: static text.
struct Scheme {
  std::string_view name{};
  crypto::Digest digest = crypto::Digest::Sha256;
  KeyCoding key = KeyCoding::Raw;
  std::array<Piece, 8> text{};
  Coding coding = Coding::Hex;
  Form form = Form::Plain;
  std::string_view tag{};  // prefix, or the version word of a list
  Keys keys = Keys::AnyKey;
  std::array<std::string_view, 2> signature{};  // header; second: second slot, or another spelling
  std::string_view timestamp{};                 // header; empty: none, or the list's `t`
  Stamp stamp = Stamp::None;
  Window window{};        // unless the source says otherwise
  std::string_view id{};  // header with the id of the message
  std::array<FixedField, 2> fixed{};
  // Top-level key of the body that keeps its value when the provider sends again; empty: the id
  // header does.
  std::string_view stable_id_field{};
};

[[nodiscard]] std::span<const Scheme> schemes() noexcept;
[[nodiscard]] const Scheme* find_scheme(std::string_view name) noexcept;

// One source's scheme with its keys, ready to run. An empty key never verifies.
// Thread: one shard.  Bounds: kKeysMax contexts; verify() does not allocate.
class Verifier {
 public:
  // At most kKeysMax keys. std::runtime_error on a key that the scheme cannot read.
  Verifier(const Scheme& scheme, std::span<const Secret> keys, Window window);

  [[nodiscard]] Expected<void, ProviderError> verify(const IncomingHead& head,
                                                     std::string_view body, WallTime now) noexcept;
  [[nodiscard]] const Scheme& scheme() const noexcept { return *scheme_; }

 private:
  const Scheme* scheme_;
  std::array<std::optional<crypto::Hmac>, kKeysMax> macs_;
  Window window_;
};

// What is signed.
struct SignInput {
  std::string_view method = "POST";
  std::string_view uri{};
  std::string_view id{};
  std::string_view timestamp{};  // as it will stand in its header
  std::string_view body{};
};

// One header line of a sender. Bounds: its text.
struct SignedField {
  std::string name;
  std::string value;
};

// The header lines a sender adds; none if every key is empty. std::runtime_error on a key that the
// scheme cannot read.
[[nodiscard]] std::vector<SignedField> sign(const Scheme& scheme, std::span<const Secret> keys,
                                            const SignInput& input);

}  // namespace eventrelay::providers
