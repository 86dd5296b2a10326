// All documents of the registry as the control process holds them: sealed, with what they are
// looked up by.
//
// Why:     a list by tag must not decode 100,000 documents, and a document that is not asked for
//          should cost no more than its text.
// Owner:   ControlApi.  Thread: control.
// Bounds:  100,000 instances; the text of each and about 200 bytes beside it.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/clock.hpp"
#include "common/registry/document.hpp"
#include "common/registry/follower.hpp"

namespace eventrelay::control {

// SHA-256 of an element token. Thread: value.
using TokenHash = std::array<char, 32>;

struct StoredInstance {
  std::uint64_t id = 0;
  std::uint64_t account = 0;
  std::string element;
  std::vector<std::string> tags;
  TokenHash token{};     // all zero: it has none
  WallTime refreshed{};  // of its provider's tokens; the epoch: it has none, or they are not good
  bool disabled = false;
  bool valid = true;
  std::string value;  // as in the topic
};

// Thread: control.  Bounds: as above.
class InstanceStore {
 public:
  // A record of the topic whose key is an instance's, a cleanup's, an intent's or kIdsKey.
  // False if it can not be read: the former one stays.
  bool apply(RegistryRecord record, const Keyring& keys);
  // All records of the topic, while nothing is known yet. There is no former version that would
  // have to stay, so documents are not read whole: whether one can be is seen when it is asked for.
  void load(std::vector<RegistryRecord> records, const Keyring& keys);

  [[nodiscard]] const StoredInstance* find(std::uint64_t id) const;
  [[nodiscard]] const StoredInstance* by_token(std::string_view token) const;
  // In the order of their ids.
  [[nodiscard]] const std::map<std::uint64_t, StoredInstance>& all() const noexcept {
    return instances_;
  }
  // Values under `cleanup/..`, by record key.
  [[nodiscard]] const std::map<std::string, std::string>& cleanups() const noexcept {
    return cleanups_;
  }
  [[nodiscard]] const std::map<std::string, std::string>& intents() const noexcept {
    return intents_;
  }
  // Values under `replay/..`, by record key.
  [[nodiscard]] const std::map<std::string, std::string>& replays() const noexcept {
    return replays_;
  }
  // Values under `account/..`, by record key.
  [[nodiscard]] const std::map<std::string, std::string>& accounts() const noexcept {
    return accounts_;
  }
  // The highest id that was ever given.
  [[nodiscard]] std::uint64_t last_id() const noexcept { return last_id_; }

 private:
  enum class Reading : std::uint8_t { Whole, Summary };
  // A hash is as good as any part of it.
  struct HashOfHash {
    std::size_t operator()(const TokenHash& hash) const noexcept {
      std::size_t out = 0;
      std::memcpy(&out, hash.data(), sizeof out);
      return out;
    }
  };

  bool take(RegistryRecord record, const Keyring& keys, Reading reading);
  void forget(std::uint64_t id);

  std::map<std::uint64_t, StoredInstance> instances_;
  std::unordered_map<TokenHash, std::uint64_t, HashOfHash> by_token_;
  std::map<std::string, std::string> cleanups_;
  std::map<std::string, std::string> intents_;
  std::map<std::string, std::string> replays_;
  std::map<std::string, std::string> accounts_;
  std::uint64_t last_id_ = 0;
};

// A webhook that may exist at the provider though no document has it yet: `intent/<id>/<random>`.
inline constexpr std::string_view kIntentPrefix = "intent/";
inline constexpr std::string_view kReplayPrefix = "replay/";
// The settings of an account: `account/<id>`.
inline constexpr std::string_view kAccountPrefix = "account/";

}  // namespace eventrelay::control
