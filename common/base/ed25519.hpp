// Signatures by Ed25519 (RFC 8032), with the key forms of Standard Webhooks.
//
// Why:     a receiver that holds a public key alone can not forge what it verifies.
// Thread:  a key belongs to one thread.  Bounds: 64 bytes a signature; it allocates per use.
// Errors:  construction throws std::runtime_error without the key; nothing later fails.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace eventrelay::crypto {

inline constexpr std::size_t kEd25519KeyBytes = 32;
inline constexpr std::size_t kEd25519SignatureBytes = 64;
inline constexpr std::string_view kPublicKeyPrefix = "whpk_";
inline constexpr std::string_view kPrivateKeyPrefix = "whsk_";

// Thread: one owner.  Bounds: one OpenSSL key.
class Ed25519Key {
 public:
  // `whpk_<base64>` of 32 bytes: verifies. `whsk_<base64>` of the seed (32 bytes), or of seed and
  // public key (64 bytes): also signs.
  explicit Ed25519Key(std::string_view text);
  Ed25519Key(Ed25519Key&&) noexcept;
  Ed25519Key& operator=(Ed25519Key&&) noexcept;
  ~Ed25519Key();

  [[nodiscard]] bool verifies(std::string_view message, std::string_view signature) const;
  // Pre: made from a `whsk_` key.
  [[nodiscard]] std::string sign(std::string_view message) const;
  // `whpk_` and the base64 of the public half.
  [[nodiscard]] std::string public_text() const;

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

// Does the text name a key of this kind by its prefix?
[[nodiscard]] bool is_ed25519_key(std::string_view text) noexcept;

}  // namespace eventrelay::crypto
