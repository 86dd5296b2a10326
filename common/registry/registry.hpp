// All instances, their subscriptions and the sources: what both services look events up in.
//
// Owner:   Settings; immutable, swapped whole, one shared_ptr copy per shard.
// Thread:  any; read only.
// Bounds:  100 000 instances; O(1) look-up by id and by (element, user).
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/ids.hpp"
#include "common/config/callback_url.hpp"
#include "common/config/config.hpp"

namespace eventrelay {

// Where the events of one instance go, and how. Thread: immutable.  Bounds: as its config.
struct Subscription {
  std::string id;    // `<instance>` for the callback, `<instance>/<name>` for the others
  std::string name;  // empty for the callback
  CallbackUrl url;
  std::vector<Secret> keys;  // live signature keys, newest first; empty = unsigned
  FilterConfig filter;
  DeliveryConfig delivery;  // its keys moved to `keys`, relay.allow_private_addresses merged in

  // May this event type and object type pass the filter?
  [[nodiscard]] bool wants(std::string_view event_type, std::string_view object_type) const;
};

// One element instance. Thread: immutable.  Bounds: 101 subscriptions.
struct Instance {
  InstanceId id;
  std::string name;
  std::string element;
  std::string hub;  // hub key of the element, `documents` for box
  std::vector<std::string> tags;
  bool events_enabled = false;
  std::string oauth_user_id;
  std::vector<Subscription> subscriptions;
};

// A user at a provider. Bounds: views into an Instance or the caller's text.
struct UserKey {
  std::string_view element;
  std::string_view user;

  friend bool operator==(const UserKey&, const UserKey&) = default;
};

// Thread: any.  Bounds: O(length), no allocation.
struct UserKeyHash {
  [[nodiscard]] std::size_t operator()(const UserKey& key) const noexcept {
    const std::hash<std::string_view> hash;
    return hash(key.element) * 31 + hash(key.user);
  }
};

// Look-up by id, by provider user and by element. Thread: any, read only.
// Bounds: O(1) per call, no allocation.
class Registry {
 public:
  Registry() = default;
  // Throws std::invalid_argument naming the instance and the key that is wrong.
  explicit Registry(const Config& config);
  Registry(Registry&&) noexcept = default;
  Registry& operator=(Registry&&) noexcept = default;

  [[nodiscard]] const Instance* find(InstanceId id) const noexcept;
  // Instances of `element` whose oauth.user.id is `user`; Box V1 routing.
  [[nodiscard]] std::span<const Instance* const> by_user(std::string_view element,
                                                         std::string_view user) const noexcept;
  // The configured verification of `element`, its scheme filled in; null without one.
  [[nodiscard]] const SourceConfig* source(std::string_view element) const noexcept;
  [[nodiscard]] std::span<const std::unique_ptr<const Instance>> instances() const noexcept {
    return instances_;
  }
  [[nodiscard]] const std::map<std::string, SourceConfig, std::less<>>& sources() const noexcept {
    return sources_;
  }

 private:
  std::vector<std::unique_ptr<const Instance>> instances_;
  std::unordered_map<InstanceId, const Instance*> by_id_;
  std::unordered_map<UserKey, std::vector<const Instance*>, UserKeyHash> by_user_;
  std::map<std::string, SourceConfig, std::less<>> sources_;
};

}  // namespace eventrelay
