// Ed25519: the public key of a secret one.
//
// Thread:  any; no state.  Bounds: 32 bytes each way.
// Errors:  std::runtime_error where OpenSSL offers no Ed25519.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace eventrelay::crypto {

inline constexpr std::size_t kEd25519Bytes = 32;

// `seed` has exactly kEd25519Bytes.
[[nodiscard]] std::string ed25519_public_key(std::string_view seed);

}  // namespace eventrelay::crypto
