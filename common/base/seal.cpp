#include "common/base/seal.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "common/base/crypto.hpp"
#include "common/base/crypto_aead.hpp"

namespace eventrelay {

Keyring::Keyring(std::vector<MasterKey> keys) : keys_(std::move(keys)) {
  if (keys_.size() > kMasterKeysMax) throw std::invalid_argument("more than 8 master keys");
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    const MasterKey& each = keys_[i];
    if (!is_master_key_id(each.id)) {
      throw std::invalid_argument("id \"" + each.id + "\" is not 1..32 of a-z, 0-9 and -");
    }
    if (each.key.reveal().size() != crypto::kAeadKeyBytes) {
      throw std::invalid_argument(each.id + ": the key is not 32 bytes in base64");
    }
    if (find(each.id) != &each) throw std::invalid_argument(each.id + ": the id is given twice");
  }
}

const MasterKey* Keyring::find(std::string_view id) const noexcept {
  const auto found = std::find_if(keys_.begin(), keys_.end(),
                                  [&](const MasterKey& each) { return each.id == id; });
  return found == keys_.end() ? nullptr : &*found;
}

std::string Keyring::seal(std::string_view plain, std::string_view record_key) const {
  std::string nonce(crypto::kAeadNonceBytes, '\0');
  crypto::random_bytes(nonce.data(), nonce.size());
  const std::string sealed =
      crypto::aead_seal(keys_.front().key.reveal(), nonce, record_key, plain);
  return crypto::base64(nonce + sealed);
}

Expected<Secret, OpenError> Keyring::open(std::string_view key_id, std::string_view sealed,
                                          std::string_view record_key) const {
  const MasterKey* const key = find(key_id);
  if (key == nullptr) return Unexpected<OpenError>(OpenError::UnknownKey);
  const std::optional<std::string> bytes = crypto::from_base64(sealed);
  if (!bytes || bytes->size() < crypto::kAeadNonceBytes + crypto::kAeadTagBytes) {
    return Unexpected<OpenError>(OpenError::Malformed);
  }
  const std::string_view all = *bytes;
  std::optional<std::string> plain =
      crypto::aead_open(key->key.reveal(), all.substr(0, crypto::kAeadNonceBytes), record_key,
                        all.substr(crypto::kAeadNonceBytes));
  if (!plain) return Unexpected<OpenError>(OpenError::Refused);
  Secret opened(std::move(*plain));
  return opened;
}

std::optional<Secret> master_key_bytes(std::string_view base64_text) {
  const std::optional<std::string> bytes =
      crypto::from_base64(base64_text, crypto::Padding::Optional);
  std::optional<Secret> key;
  if (bytes && bytes->size() == crypto::kAeadKeyBytes) key.emplace(std::string(*bytes));
  return key;
}

std::string new_master_key() {
  std::array<char, crypto::kAeadKeyBytes> bytes{};
  crypto::random_bytes(bytes.data(), bytes.size());
  return crypto::base64({bytes.data(), bytes.size()});
}

bool is_master_key_id(std::string_view id) noexcept {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  return !id.empty() && id.size() <= 32 && std::all_of(id.begin(), id.end(), allowed);
}

}  // namespace eventrelay
