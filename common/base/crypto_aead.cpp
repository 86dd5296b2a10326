#include "common/base/crypto_aead.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <memory>

#include "common/base/assert.hpp"
#include "common/base/text_bytes.hpp"

namespace eventrelay::crypto {

namespace {

using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

// Looked up once: the look-up takes locks shared by all threads.
const EVP_CIPHER* implementation() {
  static const EVP_CIPHER* const fetched = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  return fetched;
}

unsigned char* room_of(std::string& text) noexcept {
  return reinterpret_cast<unsigned char*>(text.data());
}

enum class Way : int { Open = 0, Seal = 1 };

CipherContext start(Way way, std::string_view key, std::string_view nonce,
                    std::string_view associated) {
  EVENTRELAY_ASSERT(key.size() == kAeadKeyBytes && nonce.size() == kAeadNonceBytes);
  CipherContext context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  EVENTRELAY_ASSERT(context != nullptr && implementation() != nullptr);
  EVENTRELAY_ASSERT(EVP_CipherInit_ex2(context.get(), implementation(), bytes_of(key),
                                       bytes_of(nonce), static_cast<int>(way), nullptr) == 1);
  int size = 0;
  if (!associated.empty()) {
    EVENTRELAY_ASSERT(EVP_CipherUpdate(context.get(), nullptr, &size, bytes_of(associated),
                                       static_cast<int>(associated.size())) == 1);
  }
  return context;
}

// Encrypts or decrypts `from` to `to`, which has the same size.
void run(EVP_CIPHER_CTX* context, std::string_view from, std::string& to) {
  int size = 0;
  if (from.empty()) return;
  EVENTRELAY_ASSERT(EVP_CipherUpdate(context, room_of(to), &size, bytes_of(from),
                                     static_cast<int>(from.size())) == 1);
}

}  // namespace

std::string aead_seal(std::string_view key, std::string_view nonce, std::string_view associated,
                      std::string_view plain) {
  const CipherContext context = start(Way::Seal, key, nonce, associated);
  std::string out(plain.size(), '\0');
  run(context.get(), plain, out);
  int size = 0;
  std::string tag(kAeadTagBytes, '\0');
  EVENTRELAY_ASSERT(EVP_CipherFinal_ex(context.get(), room_of(tag), &size) == 1);
  EVENTRELAY_ASSERT(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG,
                                        static_cast<int>(kAeadTagBytes), tag.data()) == 1);
  return out + tag;
}

std::optional<std::string> aead_open(std::string_view key, std::string_view nonce,
                                     std::string_view associated, std::string_view sealed) {
  if (sealed.size() < kAeadTagBytes) return std::nullopt;
  const CipherContext context = start(Way::Open, key, nonce, associated);
  const std::string_view cipher = sealed.substr(0, sealed.size() - kAeadTagBytes);
  std::string tag(sealed.substr(cipher.size()));
  std::string out(cipher.size(), '\0');
  run(context.get(), cipher, out);
  EVENTRELAY_ASSERT(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG,
                                        static_cast<int>(kAeadTagBytes), tag.data()) == 1);
  int size = 0;
  std::string rest(kAeadTagBytes, '\0');
  if (EVP_CipherFinal_ex(context.get(), room_of(rest), &size) != 1) {
    OPENSSL_cleanse(out.data(), out.size());
    return std::nullopt;
  }
  return out;
}

}  // namespace eventrelay::crypto
