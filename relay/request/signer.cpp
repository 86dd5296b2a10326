#include "relay/request/signer.hpp"

#include <array>
#include <charconv>
#include <stdexcept>

#include "relay/request/outgoing_head.hpp"

namespace eventrelay::relay {

namespace {

void append_base64(const crypto::Mac& mac, std::string& out) {
  std::array<char, 4 * ((crypto::kMacMax + 2) / 3)> text;
  out.append(text.data(), crypto::base64_into(mac.view(), text.data()));
}

void hash_body(crypto::Hmac& key, const Body& body) {
  key.update(body.prefix);
  key.update(body.raw);
  key.update(body.suffix);
}

crypto::Hmac keyed(Signature scheme, const Secret& key) {
  const std::string_view text = key.reveal();
  if (scheme != Signature::Standard) return crypto::Hmac(crypto::Digest::Sha256, text);
  // As crypto::key_from_whsec() reads it where a signature is verified: base64, prefix or not.
  constexpr std::string_view kPrefix = "whsec_";
  const std::string_view coded = text.substr(text.starts_with(kPrefix) ? kPrefix.size() : 0);
  std::optional<std::string> decoded = crypto::from_base64(coded, crypto::Padding::Optional);
  if (!decoded || decoded->empty()) {
    throw std::invalid_argument(
        "a key of signature standard is base64, with or without whsec_ in front");
  }
  const Secret bytes(std::move(*decoded));  // wiped when this returns
  return crypto::Hmac(crypto::Digest::Sha256, bytes.reveal());
}

}  // namespace

Signer::Signer(Signature scheme, std::span<const Secret> keys) : scheme_(scheme) {
  if (scheme == Signature::StandardEd25519) {
    throw std::invalid_argument("signature standard-ed25519 is not offered; use standard");
  }
  if (scheme == Signature::None) return;
  if (keys.size() > kSignatureKeysMax) {
    throw std::invalid_argument("at most " + std::to_string(kSignatureKeysMax) +
                                " signature keys may be live, not " + std::to_string(keys.size()));
  }
  keys_.reserve(keys.size());
  for (const Secret& key : keys) {
    if (key.empty()) throw std::invalid_argument("a signature key must not be empty");
    keys_.push_back(keyed(scheme, key));
  }
}

void Signer::append_fields(std::string_view event_id, const Body& body, WallTime now,
                           std::string& head) {
  if (scheme_ == Signature::Standard) {
    append_standard(event_id, body, now, head);
  } else {
    append_elements(event_id, body, head);
  }
}

void Signer::append_elements(std::string_view id, const Body& body, std::string& head) {
  append_event_field("Elements-Webhook-Id", id, head);
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    keys_[i].start();
    hash_body(keys_[i], body);
    if (i == 0) head.append("Elements-Webhook-Signature: sha256=");
    if (i == 1) head.append("\r\nElements-Webhook-Signature-Previous: sha256=");
    if (i > 1) head.append(", sha256=");
    append_base64(keys_[i].finish(), head);
  }
  if (!keys_.empty()) head.append("\r\n");
}

void Signer::append_standard(std::string_view id, const Body& body, WallTime now,
                             std::string& head) {
  // The id is signed as it is sent: cut and encoded, never a second form of it.
  const std::size_t id_at = head.size() + std::string_view{"webhook-id: "}.size();
  append_event_field("webhook-id", id, head);
  const std::size_t id_end = head.size() < id_at ? id_at : head.size() - 2;
  std::array<char, 24> digits;
  const auto end =
      std::to_chars(digits.data(), digits.data() + digits.size(), unix_seconds(now)).ptr;
  const std::string_view seconds(digits.data(), static_cast<std::size_t>(end - digits.data()));
  append_field("webhook-timestamp", seconds, head);
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    keys_[i].start();
    if (id_end > id_at) keys_[i].update(std::string_view(head).substr(id_at, id_end - id_at));
    keys_[i].update(".");
    keys_[i].update(seconds);
    keys_[i].update(".");
    hash_body(keys_[i], body);
    head.append(i == 0 ? "webhook-signature: v1," : " v1,");
    append_base64(keys_[i].finish(), head);
  }
  if (!keys_.empty()) head.append("\r\n");
}

}  // namespace eventrelay::relay
