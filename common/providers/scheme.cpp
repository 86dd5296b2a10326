#include "common/providers/scheme.hpp"

#include "common/base/assert.hpp"

namespace eventrelay::providers {

namespace {

using Verdict = Expected<void, ProviderError>;
using crypto::Hmac;
using crypto::Mac;

Unexpected<ProviderError> refuse(ProviderError error) noexcept {
  return Unexpected<ProviderError>(error);
}

// The one value of a header: absent = null data, twice = DuplicateHeader.
Expected<std::string_view, ProviderError> single(const IncomingHead& head,
                                                 std::string_view name) noexcept {
  std::string_view value;
  bool found = false;
  for (std::size_t i = 0; i < head.field_count; ++i) {
    if (!equal_without_case(head.fields[i].name, name)) continue;
    if (found) return refuse(ProviderError::DuplicateHeader);
    found = true;
    value = head.fields[i].value;
  }
  return value;
}

// What a request says about its signature. Thread: value.  Bounds: kCandidatesMax.
struct Claim {
  std::array<Mac, kCandidatesMax> macs;
  std::array<std::uint8_t, kCandidatesMax> slots{};
  std::size_t count = 0;
  std::string_view timestamp;
  std::string_view id;
};

// Everything that can be put under a MAC. The URI comes in parts, so that nothing is copied.
// Thread: value.  Bounds: views.
struct Parts {
  std::string_view method;
  std::array<std::string_view, 3> uri;
  std::string_view id;
  std::string_view timestamp;
  std::string_view body;
};

Mac compute(Hmac& hmac, const Scheme& scheme, const Parts& parts) noexcept {
  hmac.start();
  for (const Piece piece : scheme.text) {
    switch (piece) {
      case Piece::End:
        return hmac.finish();
      case Piece::Method:
        hmac.update(parts.method);
        break;
      case Piece::Uri:
        for (const std::string_view part : parts.uri) hmac.update(part);
        break;
      case Piece::Id:
        hmac.update(parts.id);
        break;
      case Piece::Timestamp:
        hmac.update(parts.timestamp);
        break;
      case Piece::Body:
        hmac.update(parts.body);
        break;
      case Piece::Dot:
        hmac.update(".");
        break;
      case Piece::Colon:
        hmac.update(":");
        break;
      case Piece::V0:
        hmac.update("v0");
        break;
    }
  }
  return hmac.finish();
}

Verdict add_code(const Scheme& scheme, std::string_view code, std::uint8_t slot, Claim& claim) {
  if (claim.count == kCandidatesMax) return refuse(ProviderError::MalformedRequest);
  const std::optional<Mac> mac =
      scheme.coding == Coding::Hex ? crypto::mac_from_hex(code) : crypto::mac_from_base64(code);
  if (!mac) return refuse(ProviderError::MalformedBase64);
  claim.slots[claim.count] = slot;
  claim.macs[claim.count++] = *mac;
  return {};
}

// One element of a list: `v1=<code>`, `t=<time>`, or `v1,<code>`; other versions are passed over.
Verdict read_item(const Scheme& scheme, std::string_view item, Claim& claim) {
  const char separator = scheme.form == Form::KeyValueList ? '=' : ',';
  const std::size_t at = item.find(separator);
  if (at == std::string_view::npos) return refuse(ProviderError::MalformedRequest);
  const std::string_view word = item.substr(0, at);
  const std::string_view value = item.substr(at + 1);
  if (word == scheme.tag) return add_code(scheme, value, 0, claim);
  if (scheme.form == Form::KeyValueList && word == "t") {
    if (claim.timestamp.data() != nullptr) return refuse(ProviderError::DuplicateHeader);
    claim.timestamp = value;
  }
  return {};
}

Verdict read_signature(const Scheme& scheme, std::string_view value, std::uint8_t slot,
                       Claim& claim) {
  if (scheme.form == Form::Plain) return add_code(scheme, value, slot, claim);
  if (scheme.form == Form::Prefix) {
    if (!value.starts_with(scheme.tag)) return refuse(ProviderError::SignatureWrong);
    return add_code(scheme, value.substr(scheme.tag.size()), slot, claim);
  }
  const char separator = scheme.form == Form::KeyValueList ? ',' : ' ';
  for (bool more = true; more;) {
    const std::size_t at = value.find(separator);
    const Verdict item = read_item(scheme, value.substr(0, at), claim);
    if (!item) return item;
    more = at != std::string_view::npos;
    if (more) value.remove_prefix(at + 1);
  }
  return {};
}

// Both slots of Box; elsewhere the first spelling that is there.
Verdict read_signatures(const Scheme& scheme, const IncomingHead& head, Claim& claim) {
  for (std::size_t slot = 0; slot < scheme.signature.size(); ++slot) {
    if (scheme.signature[slot].empty()) break;
    const auto value = single(head, scheme.signature[slot]);
    if (!value) return refuse(value.error());
    if (value->empty()) continue;
    const Verdict read = read_signature(scheme, *value, static_cast<std::uint8_t>(slot), claim);
    if (!read) return read;
    if (scheme.keys == Keys::AnyKey) break;
  }
  return claim.count == 0 ? Verdict{refuse(ProviderError::SignatureMissing)} : Verdict{};
}

bool signs(const Scheme& scheme, Piece wanted) noexcept {
  for (const Piece piece : scheme.text) {
    if (piece == wanted) return true;
  }
  return false;
}

Verdict read_claim(const Scheme& scheme, const IncomingHead& head, Claim& claim) {
  for (const FixedField& fixed : scheme.fixed) {
    if (fixed.name.empty()) break;
    const auto value = single(head, fixed.name);
    if (!value) return refuse(value.error());
    if (value->data() == nullptr) return refuse(ProviderError::SignatureMissing);
    if (*value != fixed.value) return refuse(ProviderError::SignatureWrong);
  }
  if (!scheme.timestamp.empty()) {
    const auto value = single(head, scheme.timestamp);
    if (!value) return refuse(value.error());
    claim.timestamp = *value;
  }
  if (signs(scheme, Piece::Id)) {
    const auto value = single(head, scheme.id);
    if (!value) return refuse(value.error());
    if (value->empty()) return refuse(ProviderError::SignatureMissing);
    claim.id = *value;
  }
  const Verdict read = read_signatures(scheme, head, claim);
  if (!read) return read;
  const bool stamped = claim.timestamp.data() != nullptr;
  return scheme.stamp != Stamp::None && !stamped ? Verdict{refuse(ProviderError::SignatureMissing)}
                                                 : Verdict{};
}

Verdict judge_time(const Scheme& scheme, const Window& window, std::string_view text,
                   WallTime now) noexcept {
  const std::optional<WallTime> signed_at = parse_stamp(scheme.stamp, text);
  if (!signed_at) return refuse(ProviderError::BadTimestamp);
  if (now - *signed_at > window.past) return refuse(ProviderError::SignatureTooOld);
  if (*signed_at - now > window.future) return refuse(ProviderError::SignatureTooNew);
  return {};
}

std::string_view method_word(Method method) noexcept {
  switch (method) {
    case Method::Get:
      return "GET";
    case Method::Post:
      return "POST";
    case Method::Options:
      return "OPTIONS";
    case Method::Other:
      break;
  }
  return "";
}

std::optional<Hmac> keyed(const Scheme& scheme, const Secret& key) {
  if (key.empty()) return std::nullopt;
  if (scheme.key == KeyCoding::Raw) return Hmac(scheme.digest, key.reveal());
  const Secret decoded(crypto::key_from_whsec(key.reveal()));
  return Hmac(scheme.digest, decoded.reveal());
}

std::string encode(const Scheme& scheme, const Mac& mac) {
  return scheme.coding == Coding::Hex ? crypto::hex(mac.view()) : crypto::base64(mac.view());
}

// The value of the signature header: one code, or all codes of a list.
std::string signature_value(const Scheme& scheme, std::span<const std::string> codes,
                            std::string_view timestamp) {
  const std::string tag{scheme.tag};
  if (scheme.form == Form::Plain) return codes.front();
  if (scheme.form == Form::Prefix) return tag + codes.front();
  std::string value;
  if (scheme.form == Form::KeyValueList) value.append("t=").append(timestamp);
  for (const std::string& code : codes) {
    if (!value.empty()) value += scheme.form == Form::KeyValueList ? ',' : ' ';
    value.append(tag).append(scheme.form == Form::KeyValueList ? "=" : ",").append(code);
  }
  return value;
}

}  // namespace

Verifier::Verifier(const Scheme& scheme, std::span<const Secret> keys, Window window)
    : scheme_(&scheme), window_(window) {
  EVENTRELAY_ASSERT(keys.size() <= kKeysMax);
  for (std::size_t i = 0; i < keys.size(); ++i) macs_[i] = keyed(scheme, keys[i]);
}

Verdict Verifier::verify(const IncomingHead& head, std::string_view body, WallTime now) noexcept {
  Claim claim;
  const Verdict read = read_claim(*scheme_, head, claim);
  if (!read) return read;
  if (scheme_->stamp != Stamp::None) {
    const Verdict timely = judge_time(*scheme_, window_, claim.timestamp, now);
    if (!timely) return timely;
  }
  const Parts parts{.method = method_word(head.method),
                    .uri = {"https://", head.find("host"), head.target},
                    .id = claim.id,
                    .timestamp = claim.timestamp,
                    .body = body};
  const bool slots = scheme_->keys == Keys::Slots;
  bool genuine = false;
  // Every key and every candidate is tried, whatever came before: how long it takes says nothing.
  for (std::size_t key = 0; key < kKeysMax; ++key) {
    if (!macs_[key]) continue;
    const Mac mac = compute(*macs_[key], *scheme_, parts);
    for (std::size_t i = 0; i < claim.count; ++i) {
      if (slots && claim.slots[i] != key) continue;
      genuine |= crypto::equal_constant_time(mac.view(), claim.macs[i].view());
    }
  }
  return genuine ? Verdict{} : Verdict{refuse(ProviderError::SignatureWrong)};
}

std::vector<SignedField> sign(const Scheme& scheme, std::span<const Secret> keys,
                              const SignInput& input) {
  const Parts parts{.method = input.method,
                    .uri = {input.uri, {}, {}},
                    .id = input.id,
                    .timestamp = input.timestamp,
                    .body = input.body};
  std::vector<SignedField> fields;
  if (!scheme.id.empty() && !input.id.empty()) {
    fields.push_back({std::string{scheme.id}, std::string{input.id}});
  }
  if (!scheme.timestamp.empty()) {
    fields.push_back({std::string{scheme.timestamp}, std::string{input.timestamp}});
  }
  for (const FixedField& fixed : scheme.fixed) {
    if (fixed.name.empty()) break;
    fields.push_back({std::string{fixed.name}, std::string{fixed.value}});
  }
  std::vector<std::string> codes;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    std::optional<Hmac> hmac = keyed(scheme, keys[i]);
    if (!hmac) continue;
    codes.push_back(encode(scheme, compute(*hmac, scheme, parts)));
    if (scheme.keys == Keys::Slots && i < scheme.signature.size()) {
      fields.push_back({std::string{scheme.signature[i]}, codes.back()});
    }
  }
  if (codes.empty()) return {};
  if (scheme.keys == Keys::AnyKey) {
    fields.push_back(
        {std::string{scheme.signature[0]}, signature_value(scheme, codes, input.timestamp)});
  }
  return fields;
}

}  // namespace eventrelay::providers
