#include "common/providers/scheme.hpp"

#include <algorithm>
#include <stdexcept>

#include "common/base/assert.hpp"
#include "common/providers/twilio.hpp"

namespace eventrelay::providers {

namespace {

using Verdict = Expected<void, ProviderError>;
using VerifiedBy = Expected<KeySet, ProviderError>;
using crypto::Hmac;
using crypto::Mac;

constexpr std::string_view kBearer = "Bearer";
constexpr std::string_view kClientStatePointer = "/clientState";

VerifiedBy judged(KeySet genuine, ProviderError otherwise) {
  if (genuine.none()) return refuse(otherwise);
  return genuine;
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

// What a request says about its signature. A list is read where it stands, item by item; other
// forms are decoded, one code per slot.
struct Claim {
  std::array<Mac, 2> macs;
  std::array<std::uint8_t, 2> slots{};
  std::size_t count = 0;
  std::string_view list;
  std::string_view timestamp;
  std::string_view id;
};

// Everything that can be put under a MAC. The URI comes in parts, so that nothing is copied.
struct Parts {
  std::string_view method;
  std::array<std::string_view, 3> uri;
  std::string_view id;
  std::string_view timestamp;
  std::string_view body;
};

// The character for which HubSpot's `%XX` at the front of `text` stands; 0 if it keeps it as it is.
char hubspot_decoded(std::string_view text) noexcept {
  constexpr std::array<std::string_view, 12> kCodes{"3A", "2F", "3F", "40", "21", "24",
                                                    "27", "28", "29", "2A", "2C", "3B"};
  constexpr std::string_view kCharacters = ":/?@!$'()*,;";
  if (text.size() < 3) return 0;
  for (std::size_t i = 0; i < kCodes.size(); ++i) {
    if (equal_without_case(text.substr(1, 2), kCodes[i])) return kCharacters[i];
  }
  return 0;
}

template <class Sink>
void feed_uri(const Scheme& scheme, const Parts& parts, const Sink& sink) {
  for (std::string_view part : parts.uri) {
    while (scheme.uri == UriForm::HubspotDecoded && !part.empty()) {
      const std::size_t percent = std::min(part.find('%'), part.size());
      sink(part.substr(0, percent));
      part.remove_prefix(percent);
      if (part.empty()) break;
      const char decoded = hubspot_decoded(part);
      sink(decoded != 0 ? std::string_view(&decoded, 1) : part.substr(0, 1));
      part.remove_prefix(decoded != 0 ? 3 : 1);
    }
    sink(part);
  }
}

// Hands over each piece of the signed text in its order.
template <class Sink>
void feed(const Scheme& scheme, const Parts& parts, std::string_view key, const Sink& sink) {
  for (const Piece piece : scheme.text) {
    switch (piece) {
      case Piece::End:
        return;
      case Piece::Key:
        sink(key);
        break;
      case Piece::Method:
        sink(parts.method);
        break;
      case Piece::Uri:
        feed_uri(scheme, parts, sink);
        break;
      case Piece::Id:
        sink(parts.id);
        break;
      case Piece::Timestamp:
        sink(parts.timestamp);
        break;
      case Piece::Body:
        sink(parts.body);
        break;
      case Piece::Dot:
        sink(".");
        break;
      case Piece::Colon:
        sink(":");
        break;
      case Piece::V0:
        sink("v0");
        break;
    }
  }
}

Mac compute(Hmac& hmac, const Scheme& scheme, const Parts& parts) noexcept {
  hmac.start();
  feed(scheme, parts, {}, [&hmac](std::string_view piece) { hmac.update(piece); });
  return hmac.finish();
}

std::string signed_text(const Scheme& scheme, const Parts& parts, std::string_view key) {
  std::string text;
  feed(scheme, parts, key, [&text](std::string_view piece) { text.append(piece); });
  return text;
}

std::optional<Mac> decoded(const Scheme& scheme, std::string_view code) noexcept {
  return scheme.coding == Coding::Hex ? crypto::mac_from_hex(code) : crypto::mac_from_base64(code);
}

Verdict add_code(const Scheme& scheme, std::string_view code, std::uint8_t slot, Claim& claim) {
  const std::optional<Mac> mac = decoded(scheme, code);
  if (!mac) return refuse(ProviderError::MalformedBase64);
  claim.slots[claim.count] = slot;
  claim.macs[claim.count++] = *mac;
  return {};
}

bool is_list(const Scheme& scheme) noexcept {
  return scheme.form == Form::KeyValueList || scheme.form == Form::SpaceList;
}

// One element of a list: `v1=<code>`, `t=<time>`, or `v1,<code>`.
struct Item {
  std::string_view word;
  std::string_view value;
};

// Calls `take` with each item that has a word and a value; what has not is passed over.
template <class Take>
void each_item(const Scheme& scheme, std::string_view list, const Take& take) {
  const bool pairs = scheme.form == Form::KeyValueList;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(pairs ? ',' : ' '), list.size());
    std::string_view item = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
    const std::size_t at = item.find(pairs ? '=' : ',');
    if (at != std::string_view::npos) take(Item{item.substr(0, at), item.substr(at + 1)});
  }
}

// The time of a list, and whether it says anything that this scheme could verify.
Verdict read_list(const Scheme& scheme, std::string_view value, Claim& claim) {
  std::size_t items = 0;
  std::size_t codes = 0;
  std::size_t times = 0;
  std::size_t readable = 0;
  each_item(scheme, value, [&](const Item& item) {
    ++items;
    const bool mac = item.word == scheme.tag;
    const bool signature = !scheme.public_tag.empty() && item.word == scheme.public_tag;
    if (mac || signature) ++codes;
    if ((mac && decoded(scheme, item.value)) ||
        (signature && crypto::mac_from_base64(item.value))) {
      ++readable;
    }
    if (scheme.form == Form::KeyValueList && item.word == "t" && ++times == 1) {
      claim.timestamp = item.value;
    }
  });
  if (items > kCandidatesMax) return refuse(ProviderError::MalformedRequest);
  if (times > 1) return refuse(ProviderError::DuplicateHeader);
  if (codes == 0) return refuse(ProviderError::SignatureMissing);
  if (readable == 0) return refuse(ProviderError::MalformedBase64);
  claim.list = value;
  return {};
}

Verdict read_signature(const Scheme& scheme, std::string_view value, std::uint8_t slot,
                       Claim& claim) {
  if (is_list(scheme)) return read_list(scheme, value, claim);
  if (scheme.form == Form::Prefix) {
    if (!value.starts_with(scheme.tag)) return refuse(ProviderError::SignatureWrong);
    value.remove_prefix(scheme.tag.size());
  }
  return add_code(scheme, value, slot, claim);
}

// Both slots of Box; elsewhere the first spelling that is there.
Verdict read_signatures(const Scheme& scheme, const IncomingHead& head, Claim& claim) {
  bool found = false;
  for (std::size_t slot = 0; slot < scheme.signature.size(); ++slot) {
    if (scheme.signature[slot].empty()) break;
    const auto value = single(head, scheme.signature[slot]);
    if (!value) return refuse(value.error());
    if (value->empty()) continue;
    const Verdict read = read_signature(scheme, *value, static_cast<std::uint8_t>(slot), claim);
    if (!read) return read;
    found = true;
    if (scheme.keys == Keys::AnyKey) break;
  }
  return found ? Verdict{} : Verdict{refuse(ProviderError::SignatureMissing)};
}

Verdict read_claim(const Scheme& scheme, const IncomingHead& head, Claim& claim) {
  for (const FixedField& fixed : scheme.fixed) {
    if (fixed.name.empty()) break;
    const auto value = single(head, fixed.name);
    if (!value) return refuse(value.error());
    if (value->data() == nullptr && fixed.may_be_absent) continue;
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

// The target from its path on; an absolute one (RFC 9112 3.2.2) names a host before.
std::string_view path_of(std::string_view target) noexcept {
  const std::size_t authority = target.find("://");
  if (target.starts_with('/') || authority == std::string_view::npos) return target;
  return target.substr(std::min(target.find('/', authority + 3), target.size()));
}

// Is the MAC one of those that the request carries for this key?
bool among(const Scheme& scheme, const Claim& claim, std::size_t key, const Mac& mac) {
  bool genuine = false;
  // Every candidate is compared, whatever came before: how long it takes says nothing.
  for (std::size_t i = 0; i < claim.count; ++i) {
    if (scheme.keys == Keys::OnePerHeader && claim.slots[i] != key) continue;
    genuine |= crypto::equal_constant_time(mac.view(), claim.macs[i].view());
  }
  each_item(scheme, claim.list, [&](const Item& item) {
    if (item.word != scheme.tag) return;
    const std::optional<Mac> given = decoded(scheme, item.value);
    if (given) genuine |= crypto::equal_constant_time(mac.view(), given->view());
  });
  return genuine;
}

bool signature_among(const Scheme& scheme, const Claim& claim, const crypto::Ed25519Key& key,
                     std::string_view text) {
  bool genuine = false;
  each_item(scheme, claim.list, [&](const Item& item) {
    if (item.word != scheme.public_tag) return;
    const std::optional<Mac> given = crypto::mac_from_base64(item.value);
    if (given) genuine |= key.verifies(text, given->view());
  });
  return genuine;
}

bool takes_ed25519(const Scheme& scheme, const Secret& key) noexcept {
  return !scheme.public_tag.empty() && crypto::is_ed25519_key(key.reveal());
}

std::optional<Hmac> keyed(const Scheme& scheme, const Secret& key) {
  if (key.empty()) return std::nullopt;
  if (scheme.key == KeyCoding::Raw) return Hmac(scheme.digest, key.reveal());
  const Secret bytes(crypto::key_from_whsec(key.reveal()));
  return Hmac(scheme.digest, bytes.reveal());
}

std::string encode(const Scheme& scheme, const Mac& mac) {
  return scheme.coding == Coding::Hex ? crypto::hex(mac.view()) : crypto::base64(mac.view());
}

// One code of a sender, with the word of its version before it where the scheme has lists.
std::string code_of(const Scheme& scheme, const Secret& key, const SignInput& input,
                    const Parts& parts) {
  if (takes_ed25519(scheme, key)) {
    if (key.reveal().starts_with(crypto::kPublicKeyPrefix)) {
      throw std::runtime_error("a whpk_ key verifies and cannot sign; give the whsk_ key");
    }
    const crypto::Ed25519Key pair(key.reveal());
    return std::string(scheme.public_tag) + "," +
           crypto::base64(pair.sign(signed_text(scheme, parts, {})));
  }
  std::string code;
  if (scheme.proof == Proof::Hash) {
    code = encode(scheme, crypto::sha256(signed_text(scheme, parts, key.reveal())));
  } else if (scheme.proof == Proof::Twilio) {
    Hmac hmac(scheme.digest, key.reveal());
    hmac.start();
    hmac.update(twilio_text(input.uri, input.body));
    code = encode(scheme, hmac.finish());
  } else {
    std::optional<Hmac> hmac = keyed(scheme, key);
    code = encode(scheme, compute(*hmac, scheme, parts));
  }
  const char* const between = scheme.form == Form::KeyValueList ? "=" : ",";
  return is_list(scheme) ? std::string(scheme.tag) + between + code : code;
}

// The value of the signature header: one code, or all codes of a list.
std::string signature_value(const Scheme& scheme, std::span<const std::string> codes,
                            std::string_view timestamp) {
  if (!is_list(scheme)) return std::string(scheme.tag) + codes.front();
  std::string value;
  if (scheme.form == Form::KeyValueList) value.append("t=").append(timestamp);
  for (const std::string& code : codes) {
    if (!value.empty()) value += scheme.form == Form::KeyValueList ? ',' : ' ';
    value += code;
  }
  return value;
}

}  // namespace

bool signs(const Scheme& scheme, Piece wanted) noexcept {
  if (scheme.proof == Proof::Twilio) return wanted == Piece::Uri;
  return std::find(scheme.text.begin(), scheme.text.end(), wanted) != scheme.text.end() &&
         wanted != Piece::End;
}

Verifier::Verifier(const Scheme& scheme, std::span<const Secret> keys, Window window,
                   std::string origin)
    : scheme_(&scheme), window_(window), origin_(std::move(origin)) {
  EVENTRELAY_ASSERT(keys.size() <= kKeysMax);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (takes_ed25519(scheme, keys[i])) {
      public_keys_[i].emplace(keys[i].reveal());
    } else if (scheme.proof == Proof::Hmac || scheme.proof == Proof::Twilio) {
      macs_[i] = keyed(scheme, keys[i]);
    } else {
      secrets_[i] = keys[i];
    }
  }
  if (scheme.proof == Proof::ClientState) scanner_ = std::make_unique<json::Scanner>();
}

VerifiedBy Verifier::verify_bearer(const IncomingHead& head) const {
  const auto value = single(head, scheme_->signature[0]);
  if (!value) return refuse(value.error());
  if (value->empty()) return refuse(ProviderError::SignatureMissing);
  // RFC 9110 11.1: the word is compared without case, blanks divide it from the token.
  const std::size_t blank = std::min(value->find(' '), value->size());
  if (!equal_without_case(value->substr(0, blank), kBearer)) {
    return refuse(ProviderError::SignatureMissing);
  }
  const std::size_t begin = std::min(value->find_first_not_of(' ', blank), value->size());
  const std::string_view given = value->substr(begin);
  KeySet genuine;
  for (std::size_t key = 0; key < kKeysMax; ++key) {
    const Secret& secret = secrets_[key];
    genuine[key] = !secret.empty() && crypto::equal_constant_time(secret.reveal(), given);
  }
  return judged(genuine, ProviderError::TokenWrong);
}

VerifiedBy Verifier::verify_client_state(std::string_view body) {
  std::string padded(body);
  padded.resize(body.size() + json::kPadding);
  const auto top = scanner_->parse(std::string_view(padded).substr(0, body.size()));
  if (!top) return refuse(provider_error(top.error()));
  const auto count = scanner_->open_list("/value");
  if (!count) return refuse(provider_error(count.error()));
  if (!*count || **count == 0) return refuse(ProviderError::SignatureMissing);
  KeySet genuine;
  bool all = true;  // each of them, by whichever key
  for (std::size_t i = 0; i < **count; ++i) {
    const auto given = scanner_->at(i, kClientStatePointer);
    if (!given) return refuse(provider_error(given.error()));
    KeySet matches;
    for (std::size_t key = 0; key < kKeysMax; ++key) {
      const Secret& secret = secrets_[key];
      matches[key] = !secret.empty() && given->kind == json::Kind::String &&
                     crypto::equal_constant_time(secret.reveal(), given->text);
    }
    genuine |= matches;
    all &= matches.any();
  }
  return judged(all ? genuine : KeySet{}, ProviderError::TokenWrong);
}

VerifiedBy Verifier::verify(const IncomingHead& head, std::string_view body, WallTime now) {
  if (scheme_->proof == Proof::Bearer) return verify_bearer(head);
  if (scheme_->proof == Proof::ClientState) return verify_client_state(body);
  Claim claim;
  const Verdict read = read_claim(*scheme_, head, claim);
  if (!read) return refuse(read.error());
  if (scheme_->stamp != Stamp::None) {
    const Verdict timely = judge_time(*scheme_, window_, claim.timestamp, now);
    if (!timely) return refuse(timely.error());
  }
  const bool own = !origin_.empty();
  const Parts parts{.method = method_word(head.method),
                    .uri = {own ? std::string_view(origin_) : "https://",
                            own ? std::string_view{} : head.find("host"), path_of(head.target)},
                    .id = claim.id,
                    .timestamp = claim.timestamp,
                    .body = body};
  KeySet genuine;
  // Every key is tried, whatever came before.
  for (std::size_t key = 0; key < kKeysMax; ++key) {
    if (public_keys_[key]) {
      genuine[key] =
          signature_among(*scheme_, claim, *public_keys_[key], signed_text(*scheme_, parts, {}));
    } else if (scheme_->proof == Proof::Twilio && macs_[key]) {
      std::string uri;
      for (const std::string_view part : parts.uri) uri.append(part);
      for (const std::string& text : twilio_texts(uri, body, head.content_type)) {
        macs_[key]->start();
        macs_[key]->update(text);
        if (among(*scheme_, claim, key, macs_[key]->finish())) genuine.set(key);
      }
    } else if (macs_[key]) {
      genuine[key] = among(*scheme_, claim, key, compute(*macs_[key], *scheme_, parts));
    } else if (!secrets_[key].empty()) {
      const std::string text = signed_text(*scheme_, parts, secrets_[key].reveal());
      genuine[key] = among(*scheme_, claim, key, crypto::sha256(text));
    }
  }
  return judged(genuine, ProviderError::SignatureWrong);
}

std::vector<SignedField> sign(const Scheme& scheme, std::span<const Secret> keys,
                              const SignInput& input) {
  const Parts parts{.method = input.method,
                    .uri = {input.uri, {}, {}},
                    .id = input.id,
                    .timestamp = input.timestamp,
                    .body = input.body};
  std::vector<SignedField> fields;
  if (scheme.proof == Proof::ClientState) return fields;
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
    if (keys[i].empty()) continue;
    if (scheme.proof == Proof::Bearer) {
      return {{std::string{scheme.signature[0]},
               std::string(kBearer) + " " + std::string(keys[i].reveal())}};
    }
    codes.push_back(code_of(scheme, keys[i], input, parts));
    if (scheme.keys == Keys::OnePerHeader && i < scheme.signature.size()) {
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
