// AES-256-GCM: encrypts, and on the way back proves that neither the text nor what it belongs to
// was changed.
//
// Why:     secrets that are kept in Kafka must not be readable without a master key, and a
//          sealed value that was copied to another record must not open.
// Thread:  any; no state.
// Bounds:  plain text up to 64 KiB in this program; 28 bytes longer when sealed.
// Errors:  open() returns nothing for a wrong key, changed bytes or other associated data.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace eventrelay::crypto {

inline constexpr std::size_t kAeadKeyBytes = 32;
inline constexpr std::size_t kAeadNonceBytes = 12;
inline constexpr std::size_t kAeadTagBytes = 16;

// Key and nonce have exactly their sizes; a nonce is used once per key.
// Returns the cipher text with the tag behind it.
[[nodiscard]] std::string aead_seal(std::string_view key, std::string_view nonce,
                                    std::string_view associated, std::string_view plain);
[[nodiscard]] std::optional<std::string> aead_open(std::string_view key, std::string_view nonce,
                                                   std::string_view associated,
                                                   std::string_view sealed);

}  // namespace eventrelay::crypto
