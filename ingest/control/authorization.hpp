// Who calls: the Authorization header taken apart, and the users of the configuration.
//
//   Authorization: User <secret>, Organization <secret>     the platform's paths
//   Authorization: User <secret>, Element <token>           an instance's own paths
//
// Why:     a secret is looked up by its hash and compared in constant time, so that neither the
//          time of an answer nor its bytes tell how near a guess was.
// Thread:  immutable; any.
// Bounds:  header 8 KiB (the listener's); 1,000 users.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/clock.hpp"
#include "common/config/config.hpp"

namespace eventrelay::control {

// The parts of the header; empty where absent. Thread: views into the header.
struct Credentials {
  std::string_view user;
  std::string_view organization;
  std::string_view element;
};

// Words without regard to case, any order, each once. Nothing: malformed, or no User part.
[[nodiscard]] std::optional<Credentials> parse_authorization(std::string_view header);

// A user of the configuration, with where it belongs.
struct Caller {
  const OrganizationConfig* organization = nullptr;
  const AccountConfig* account = nullptr;
  const UserConfig* user = nullptr;

  [[nodiscard]] bool admin() const noexcept { return user->role == UserRole::Admin; }
};

// All users, by the hash of their secret. Thread: immutable.  Bounds: as the configuration.
class Callers {
 public:
  explicit Callers(const ControlConfig& config);
  Callers(const Callers&) = delete;
  Callers& operator=(const Callers&) = delete;

  [[nodiscard]] std::optional<Caller> user(std::string_view secret) const;
  // True if `secret` is the one of the caller's organization.
  [[nodiscard]] static bool belongs(const Caller& caller, std::string_view secret);
  // A user by id, with where it belongs.
  [[nodiscard]] std::optional<Caller> by_id(std::uint64_t id) const;
  // Of an account and a user by id, for answers; null if the configuration has none any more.
  [[nodiscard]] const UserConfig* find_user(std::uint64_t id) const;

 private:
  std::vector<OrganizationConfig> organizations_;
  std::unordered_map<std::string, Caller> by_hash_;
  std::unordered_map<std::uint64_t, Caller> by_id_;
};

// Failed authorizations of one address within the last minute; above the limit it is told to wait.
//
// Why:     a secret must not be guessed at the speed of the network.
// Thread:  one owner.
// Bounds:  kAddressesMax addresses; the one that has not failed for longest goes first.
class FailureLimit {
 public:
  static constexpr std::size_t kAddressesMax = 10'000;

  // Seconds to wait; nothing: go on. `per_minute` 0 is no limit.
  [[nodiscard]] std::optional<unsigned> wait(std::string_view address, std::uint32_t per_minute,
                                             TimePoint now);
  void failed(std::string_view address, TimePoint now);

 private:
  struct Window {
    TimePoint since{};
    std::uint32_t count = 0;
  };
  std::unordered_map<std::string, Window> windows_;
};

}  // namespace eventrelay::control
