#include "common/base/crypto.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "common/base/assert.hpp"
#include "common/base/hex.hpp"
#include "common/base/text_bytes.hpp"

namespace eventrelay::crypto {

namespace {

constexpr std::string_view kBase64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kBad = 0xFF;

constexpr std::array<std::uint8_t, 256> reverse_of(std::string_view digits) {
  std::array<std::uint8_t, 256> table{};
  table.fill(kBad);
  for (std::size_t i = 0; i < digits.size(); ++i) {
    table[static_cast<unsigned char>(digits[i])] = static_cast<std::uint8_t>(i);
  }
  return table;
}
constexpr auto kBase64Values = reverse_of(kBase64Digits);
constexpr auto kHexValues = reverse_of(kHexDigits);

constexpr std::uint32_t byte_of(char c) noexcept {
  return static_cast<unsigned char>(c);
}
constexpr char char_of(std::uint32_t bits) noexcept {
  return static_cast<char>(bits & 0xFFU);
}

// The implementation of HMAC, looked up once: the look-up takes locks shared by all threads.
EVP_MAC* hmac_implementation() {
  static EVP_MAC* const fetched = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  return fetched;
}
const EVP_MD* sha256_implementation() {
  static const EVP_MD* const fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return fetched;
}

// Bytes that `text` decodes to, or nothing if its length or padding is wrong. `text` loses its
// padding.
std::optional<std::size_t> base64_size(std::string_view& text, Padding padding) noexcept {
  std::size_t pads = 0;
  while (pads < 2 && !text.empty() && text.back() == '=') {
    text.remove_suffix(1);
    ++pads;
  }
  const std::size_t tail = text.size() % 4;
  if (tail == 1) return std::nullopt;
  const std::size_t due = tail == 0 ? 0 : 4 - tail;
  const bool absent = pads == 0 && padding == Padding::Optional;
  if (pads != due && !absent) return std::nullopt;
  return text.size() / 4 * 3 + (tail == 0 ? 0 : tail - 1);
}

// Decodes digits without padding; false on a foreign character or on bits that belong to no byte.
bool base64_decode(std::string_view text, char* out) noexcept {
  std::uint32_t seen = 0;  // collects the high bits of kBad, so that one check at the end is enough
  std::size_t i = 0;
  for (; i + 4 <= text.size(); i += 4) {
    const std::uint32_t a = kBase64Values[byte_of(text[i])];
    const std::uint32_t b = kBase64Values[byte_of(text[i + 1])];
    const std::uint32_t c = kBase64Values[byte_of(text[i + 2])];
    const std::uint32_t d = kBase64Values[byte_of(text[i + 3])];
    seen |= a | b | c | d;
    const std::uint32_t bits = a << 18U | b << 12U | c << 6U | d;
    *out++ = char_of(bits >> 16U);
    *out++ = char_of(bits >> 8U);
    *out++ = char_of(bits);
  }
  const std::size_t tail = text.size() - i;
  if (tail == 0) return seen < 64;
  const std::uint32_t a = kBase64Values[byte_of(text[i])];
  const std::uint32_t b = kBase64Values[byte_of(text[i + 1])];
  const std::uint32_t c = tail == 3 ? kBase64Values[byte_of(text[i + 2])] : 0U;
  seen |= a | b | c;
  *out++ = char_of(a << 2U | b >> 4U);
  if (tail == 3) *out = char_of(b << 4U | c >> 2U);
  const std::uint32_t stray = tail == 2 ? b & 0x0FU : c & 0x03U;
  return seen < 64 && stray == 0;
}

bool hex_decode(std::string_view text, char* out) noexcept {
  std::uint32_t seen = 0;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    const std::uint32_t high = kHexValues[byte_of(text[i])];
    const std::uint32_t low = kHexValues[byte_of(text[i + 1])];
    seen |= high | low;
    *out++ = char_of(high << 4U | low);
  }
  return seen < 16;
}

}  // namespace

// A context that keeps its key. Bounds: one OpenSSL context.
struct Hmac::Context {
  struct Free {
    void operator()(EVP_MAC_CTX* context) const noexcept { EVP_MAC_CTX_free(context); }
  };
  Context(Digest digest, std::string_view key);
  [[nodiscard]] static Context& shared(Digest digest);

  std::unique_ptr<EVP_MAC_CTX, Free> mac;
};

Hmac::Context::Context(Digest digest, std::string_view key) {
  EVP_MAC* const implementation = hmac_implementation();
  if (implementation != nullptr) mac.reset(EVP_MAC_CTX_new(implementation));
  std::string name = digest == Digest::Sha1 ? "SHA1" : "SHA256";
  const std::array<OSSL_PARAM, 2> params{
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name.data(), 0),
      OSSL_PARAM_construct_end()};
  if (!mac || EVP_MAC_init(mac.get(), bytes_of(key), key.size(), params.data()) != 1) {
    throw std::runtime_error("OpenSSL offers no HMAC with " + name);
  }
}

// What keys that are used seldom share in one thread.
Hmac::Context& Hmac::Context::shared(Digest digest) {
  thread_local std::array<std::unique_ptr<Context>, 2> contexts;
  std::unique_ptr<Context>& context = contexts[digest == Digest::Sha1 ? 0 : 1];
  if (context == nullptr) context = std::make_unique<Context>(digest, "any");
  return *context;
}

Hmac::Hmac(Digest digest, std::string_view key) : digest_(digest), key_(std::string(key)) {
  if (key.empty()) throw std::runtime_error("an HMAC key must not be empty");
  static_cast<void>(Context::shared(digest));
}

Hmac::Hmac(Hmac&&) noexcept = default;
Hmac& Hmac::operator=(Hmac&&) noexcept = default;
Hmac::~Hmac() = default;

void Hmac::start() noexcept {
  std::string_view key;
  if (own_ == nullptr && ++used_ < kSeldom) {
    context_ = &Context::shared(digest_);
    key = key_.reveal();
  } else if (own_ == nullptr) {
    own_ = std::make_unique<Context>(digest_, key_.reveal());
    key_ = Secret();
  }
  // Without a key the context returns to its state after the key block, and nothing is looked up.
  if (own_ != nullptr) context_ = own_.get();
  EVENTRELAY_ASSERT(EVP_MAC_init(context_->mac.get(), key.empty() ? nullptr : bytes_of(key),
                                 key.size(), nullptr) == 1);
}

void Hmac::update(std::string_view part) noexcept {
  if (part.empty()) return;
  EVENTRELAY_ASSERT(EVP_MAC_update(context_->mac.get(), bytes_of(part), part.size()) == 1);
}

Mac Hmac::finish() noexcept {
  Mac mac;
  EVENTRELAY_ASSERT(EVP_MAC_final(context_->mac.get(),
                                  reinterpret_cast<unsigned char*>(mac.bytes.data()), &mac.size,
                                  mac.bytes.size()) == 1);
  return mac;
}

Mac sha256(std::string_view bytes) {
  Mac mac;
  unsigned int size = 0;
  // Each thread keeps one context, because making it costs more than hashing an id.
  thread_local const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{
      EVP_MD_CTX_new(), &EVP_MD_CTX_free};
  EVENTRELAY_ASSERT(context != nullptr);
  EVENTRELAY_ASSERT(EVP_DigestInit_ex(context.get(), sha256_implementation(), nullptr) == 1);
  EVENTRELAY_ASSERT(EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) == 1);
  EVENTRELAY_ASSERT(EVP_DigestFinal_ex(context.get(),
                                       reinterpret_cast<unsigned char*>(mac.bytes.data()),
                                       &size) == 1);
  mac.size = size;
  return mac;
}

bool equal_constant_time(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string hex(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    text.push_back(kHexDigits[byte_of(c) >> 4U]);
    text.push_back(kHexDigits[byte_of(c) & 0x0FU]);
  }
  return text;
}

std::size_t base64_into(std::string_view bytes, char* out) noexcept {
  const char* const begin = out;
  std::size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3) {
    const std::uint32_t bits =
        byte_of(bytes[i]) << 16U | byte_of(bytes[i + 1]) << 8U | byte_of(bytes[i + 2]);
    *out++ = kBase64Digits[bits >> 18U];
    *out++ = kBase64Digits[bits >> 12U & 63U];
    *out++ = kBase64Digits[bits >> 6U & 63U];
    *out++ = kBase64Digits[bits & 63U];
  }
  const std::size_t tail = bytes.size() - i;
  if (tail != 0) {
    const std::uint32_t second = tail == 2 ? byte_of(bytes[i + 1]) : 0U;
    const std::uint32_t bits = byte_of(bytes[i]) << 16U | second << 8U;
    *out++ = kBase64Digits[bits >> 18U];
    *out++ = kBase64Digits[bits >> 12U & 63U];
    *out++ = tail == 2 ? kBase64Digits[bits >> 6U & 63U] : '=';
    *out++ = '=';
  }
  return static_cast<std::size_t>(out - begin);
}

std::string base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4, '\0');
  base64_into(bytes, text.data());
  return text;
}

std::optional<std::string> from_base64(std::string_view text, Padding padding) {
  const std::optional<std::size_t> size = base64_size(text, padding);
  if (!size) return std::nullopt;
  std::string bytes(*size, '\0');
  if (!base64_decode(text, bytes.data())) return std::nullopt;
  return bytes;
}

std::optional<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes(text.size() / 2, '\0');
  if (!hex_decode(text, bytes.data())) return std::nullopt;
  return bytes;
}

std::optional<Mac> mac_from_base64(std::string_view text) noexcept {
  Mac mac;
  const std::optional<std::size_t> size = base64_size(text, Padding::Required);
  if (!size || *size == 0 || *size > kMacMax) return std::nullopt;
  mac.size = *size;
  if (!base64_decode(text, mac.bytes.data())) return std::nullopt;
  return mac;
}

std::optional<Mac> mac_from_hex(std::string_view text) noexcept {
  if (text.empty() || text.size() % 2 != 0 || text.size() / 2 > kMacMax) return std::nullopt;
  Mac mac;
  mac.size = text.size() / 2;
  if (!hex_decode(text, mac.bytes.data())) return std::nullopt;
  return mac;
}

std::string key_from_whsec(std::string_view text) {
  constexpr std::string_view kPrefix = "whsec_";
  if (text.starts_with(kPrefix)) text.remove_prefix(kPrefix.size());
  std::optional<std::string> bytes = from_base64(text, Padding::Optional);
  if (!bytes || bytes->empty()) {
    throw std::runtime_error("a key of this scheme is base64, with or without whsec_ in front");
  }
  return *std::move(bytes);
}

void random_bytes(char* out, std::size_t size) {
  EVENTRELAY_ASSERT(RAND_bytes(reinterpret_cast<unsigned char*>(out), static_cast<int>(size)) == 1);
}

std::string_view library_version() noexcept {
  return OpenSSL_version(OPENSSL_VERSION_STRING);
}

}  // namespace eventrelay::crypto
