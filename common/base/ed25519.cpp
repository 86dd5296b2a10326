#include "common/base/ed25519.hpp"

#include <openssl/evp.h>

#include <array>
#include <optional>
#include <stdexcept>

#include "common/base/assert.hpp"
#include "common/base/crypto.hpp"
#include "common/base/secret.hpp"
#include "common/base/text_bytes.hpp"

namespace eventrelay::crypto {

namespace {

struct FreeKey {
  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
};
struct FreeContext {
  void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

}  // namespace

struct Ed25519Key::Handle {
  std::unique_ptr<EVP_PKEY, FreeKey> key;
};

bool is_ed25519_key(std::string_view text) noexcept {
  return text.starts_with(kPublicKeyPrefix) || text.starts_with(kPrivateKeyPrefix);
}

Ed25519Key::Ed25519Key(std::string_view text) : handle_(std::make_unique<Handle>()) {
  const bool secret = text.starts_with(kPrivateKeyPrefix);
  if (!secret && !text.starts_with(kPublicKeyPrefix)) {
    throw std::runtime_error("an ed25519 key begins with whpk_ or whsk_");
  }
  auto decoded = from_base64(text.substr(kPublicKeyPrefix.size()), Padding::Optional);
  const Secret bytes(decoded ? std::move(*decoded) : std::string());  // wiped when this returns
  const std::string_view raw = bytes.reveal();
  const bool fits =
      raw.size() == kEd25519KeyBytes || (secret && raw.size() == 2 * kEd25519KeyBytes);
  if (!fits) {
    throw std::runtime_error(secret ? "a whsk_ key is the base64 of 32 or 64 bytes"
                                    : "a whpk_ key is the base64 of 32 bytes");
  }
  const auto make = secret ? EVP_PKEY_new_raw_private_key : EVP_PKEY_new_raw_public_key;
  handle_->key.reset(make(EVP_PKEY_ED25519, nullptr, bytes_of(raw), kEd25519KeyBytes));
  if (!handle_->key) throw std::runtime_error("OpenSSL does not take the ed25519 key");
  if (raw.size() > kEd25519KeyBytes &&
      public_text() != std::string(kPublicKeyPrefix) + base64(raw.substr(kEd25519KeyBytes))) {
    throw std::runtime_error("the two halves of a whsk_ key do not belong together");
  }
}

Ed25519Key::Ed25519Key(Ed25519Key&&) noexcept = default;
Ed25519Key& Ed25519Key::operator=(Ed25519Key&&) noexcept = default;
Ed25519Key::~Ed25519Key() = default;

bool Ed25519Key::verifies(std::string_view message, std::string_view signature) const {
  const Context context(EVP_MD_CTX_new());
  EVENTRELAY_ASSERT(context != nullptr);
  return EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, handle_->key.get()) == 1 &&
         EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message),
                          message.size()) == 1;
}

std::string Ed25519Key::sign(std::string_view message) const {
  const Context context(EVP_MD_CTX_new());
  EVENTRELAY_ASSERT(context != nullptr);
  std::array<unsigned char, kEd25519SignatureBytes> signature{};
  std::size_t size = signature.size();
  EVENTRELAY_ASSERT(
      EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, handle_->key.get()) == 1 &&
      EVP_DigestSign(context.get(), signature.data(), &size, bytes_of(message), message.size()) ==
          1);
  return {reinterpret_cast<const char*>(signature.data()), size};
}

std::string Ed25519Key::public_text() const {
  std::array<unsigned char, kEd25519KeyBytes> raw{};
  std::size_t size = raw.size();
  EVENTRELAY_ASSERT(EVP_PKEY_get_raw_public_key(handle_->key.get(), raw.data(), &size) == 1);
  return std::string(kPublicKeyPrefix) + base64({reinterpret_cast<const char*>(raw.data()), size});
}

}  // namespace eventrelay::crypto
