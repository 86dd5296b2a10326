// Hashes, MACs and their text forms; the only header over OpenSSL's digests.
//
// Why:     contexts are keyed once per shard and key and re-initialised per message: a fetch per
//          message costs 4 x and takes locks shared by all threads. A context of its own takes ten
//          allocations and 2.7 us to make, so a key that is used seldom shares one of its thread,
//          which it keys anew for 0.3 us per message.
// Thread:  an Hmac belongs to one thread; free functions may run anywhere.
// Bounds:  a MAC is at most kMacMax bytes; no allocation after construction.
// Errors:  construction throws std::runtime_error (start only); nothing later fails.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/secret.hpp"

namespace eventrelay::crypto {

inline constexpr std::size_t kMacMax = 64;

enum class Digest : std::uint8_t { Sha1, Sha256 };

// The bytes of one MAC or hash.
struct Mac {
  std::array<char, kMacMax> bytes{};
  std::size_t size = 0;

  [[nodiscard]] std::string_view view() const noexcept { return {bytes.data(), size}; }
};

// A keyed HMAC, used again for every message; from start() to finish() no other one of its thread
// may be started. Thread: one owner.  Bounds: no allocation per use once it has a context of its
// own, from the kSeldom-th message on.
class Hmac {
 public:
  // Throws std::runtime_error on an empty key or a missing digest.
  Hmac(Digest digest, std::string_view key);
  Hmac(Hmac&&) noexcept;
  Hmac& operator=(Hmac&&) noexcept;
  ~Hmac();

  static constexpr unsigned kSeldom = 16;

  void start() noexcept;
  void update(std::string_view part) noexcept;
  [[nodiscard]] Mac finish() noexcept;

 private:
  struct Context;

  Digest digest_;
  unsigned used_ = 0;  // until it has a context of its own
  Secret key_;         // likewise
  std::unique_ptr<Context> own_;
  Context* context_ = nullptr;  // of the message at hand
};

[[nodiscard]] Mac sha256(std::string_view bytes);

// Equal in a time that depends on the sizes alone.
[[nodiscard]] bool equal_constant_time(std::string_view a, std::string_view b) noexcept;

[[nodiscard]] std::string hex(std::string_view bytes);     // lower case
[[nodiscard]] std::string base64(std::string_view bytes);  // padded
// Writes the padded base64 of `bytes` to `out` (4 * ceil(n/3) bytes); returns the length.
std::size_t base64_into(std::string_view bytes, char* out) noexcept;
// Strict: no white space, right padding (none allowed when `Padding::Optional`), no stray bits.
enum class Padding : std::uint8_t { Required, Optional };
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text,
                                                     Padding padding = Padding::Required);
[[nodiscard]] std::optional<std::string> from_hex(std::string_view text);  // lower case only
// Decodes straight into a Mac, for signatures; nothing if malformed or over kMacMax.
[[nodiscard]] std::optional<Mac> mac_from_base64(std::string_view text) noexcept;
[[nodiscard]] std::optional<Mac> mac_from_hex(std::string_view text) noexcept;

// The bytes of a key written as base64, `whsec_` in front or not, padded or not.
// Throws std::runtime_error, without the key, on anything else; start only.
[[nodiscard]] std::string key_from_whsec(std::string_view text);

void random_bytes(char* out, std::size_t size);

// Version of OpenSSL as loaded, e.g. 3.0.17.
[[nodiscard]] std::string_view library_version() noexcept;

}  // namespace eventrelay::crypto
