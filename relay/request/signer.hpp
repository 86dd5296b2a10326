// Id and signature fields of an outgoing request, over the exact bytes that are sent.
//
// elements  `Elements-Webhook-Id: <event id>`, `Elements-Webhook-Signature: sha256=<base64>` with
//           HMAC-SHA256 over the body (docs.cloud-elements.com/home/hash-verification).
//           A receiver of this scheme compares the whole value with the one it computed from its
//           one key, so a second value in that field would break every receiver. While keys
//           rotate, the field therefore carries the newest key's signature alone, and each older
//           live key's stands in `Elements-Webhook-Signature-Previous: sha256=...[, sha256=...]`:
//           a delivery verifies with either key, and a receiver that knows only the newest key
//           sees what it always saw.
// standard  `webhook-id`, `webhook-timestamp` (Unix seconds of this attempt), `webhook-signature`
//           = `v1,<base64>` per live key, separated by spaces, over `id.timestamp.body`
//           (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md).
//           A key written `whsec_<base64>` is decoded, any other is used as its bytes.
//
// Why:     a context is keyed once and used again: 0.3-0.5 us less per key and delivery.
// Owner:   RequestTemplate; one per shard and subscription.
// Thread:  shard-local: its contexts have one user.
// Bounds:  kSignatureKeysMax contexts; no allocation per call beyond the head's buffer.
// Errors:  construction throws std::invalid_argument; sign() can not fail.
#pragma once

#include <boost/container/small_vector.hpp>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/base/crypto.hpp"
#include "common/base/secret.hpp"
#include "common/config/config.hpp"
#include "relay/request/format.hpp"

namespace eventrelay::relay {

inline constexpr std::size_t kSignatureKeysMax = 4;

// Thread: shard-local.  Bounds: kSignatureKeysMax contexts.
class Signer {
 public:
  // `keys` newest first; none: id fields only. Throws std::invalid_argument on a key that is empty
  // or no base64 behind `whsec_`, on too many keys, and on a scheme that is not offered
  // (standard-ed25519).
  Signer(Signature scheme, std::span<const Secret> keys);

  // Appends the id and signature fields, each line ended, to a request head.
  void append_fields(std::string_view event_id, const Body& body, WallTime now, std::string& head);

 private:
  void append_elements(std::string_view id, const Body& body, std::string& head);
  void append_standard(std::string_view id, const Body& body, WallTime now, std::string& head);

  Signature scheme_;
  boost::container::small_vector<crypto::Hmac, 1> keys_;
};

}  // namespace eventrelay::relay
