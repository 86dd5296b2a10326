// Master keys, and the secrets of the registry sealed with them.
//
// Why:     the registry is a Kafka topic; a reader of it must not learn a signature key or a
//          token. Several master keys are live at once, so that one can be replaced at run time.
// Owner:   the follower and the writer of the registry, one copy each.
// Thread:  immutable after construction.
// Bounds:  1..8 keys of 32 bytes; a sealed secret is base64(nonce, cipher text, tag).
// Errors:  OpenError; the constructor throws std::invalid_argument naming the key's id.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/expected.hpp"
#include "common/base/secret.hpp"

namespace eventrelay {

inline constexpr std::size_t kMasterKeysMax = 8;

// One master key as configured: the bytes, not their base64.
struct MasterKey {
  std::string id;  // [a-z0-9-]{1,32}
  Secret key;      // 32 bytes
};

enum class OpenError : std::uint8_t {
  UnknownKey,  // no master key of that id
  Malformed,   // not base64, or shorter than nonce and tag
  Refused,     // changed bytes, another key, or another record's secret
};

// The first key seals, all open. Thread: any.  Bounds: kMasterKeysMax.
class Keyring {
 public:
  Keyring() = default;
  explicit Keyring(std::vector<MasterKey> keys);

  [[nodiscard]] bool empty() const noexcept { return keys_.empty(); }
  // Id of the key that seals. Not on an empty keyring.
  [[nodiscard]] const std::string& first_id() const noexcept { return keys_.front().id; }
  [[nodiscard]] bool has(std::string_view id) const noexcept { return find(id) != nullptr; }

  // `record_key` is bound to the sealed text: it opens for that record only.
  [[nodiscard]] std::string seal(std::string_view plain, std::string_view record_key) const;
  [[nodiscard]] Expected<Secret, OpenError> open(std::string_view key_id, std::string_view sealed,
                                                 std::string_view record_key) const;

 private:
  [[nodiscard]] const MasterKey* find(std::string_view id) const noexcept;
  std::vector<MasterKey> keys_;
};

// The key in a configuration value: base64 of exactly 32 bytes. Nothing if it is something else.
[[nodiscard]] std::optional<Secret> master_key_bytes(std::string_view base64_text);
// A new master key as base64, for `eventrelay keygen seal`.
[[nodiscard]] std::string new_master_key();
// What a master key may be called.
[[nodiscard]] bool is_master_key_id(std::string_view id) noexcept;

}  // namespace eventrelay
