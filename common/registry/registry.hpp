// All instances, their subscriptions and the sources: what both services look events up in.
//
// Why:     instances come and go one at a time, from a file or from documents. apply() makes a new
//          value that shares all that did not change, so a change costs the same among ten
//          instances and among 100 000, and a reader of the former value may go on.
// Owner:   Settings.
// Thread:  any; read only.
// Bounds:  1 000 000 instances; O(1) look-up by id and by (element, user), no allocation; a change
//          copies about ten small nodes. Of what was deleted or disabled the last kDeletedMax at
//          least are remembered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.hpp"
#include "common/config/config.hpp"
#include "common/registry/change.hpp"
#include "common/registry/instance.hpp"
#include "common/registry/persistent_map.hpp"

namespace eventrelay {

inline constexpr std::size_t kDeletedMax = 100'000;

// A user at a provider. Bounds: views into an Instance or the caller's text.
struct UserKey {
  std::string_view element;
  std::string_view user;

  friend bool operator==(const UserKey&, const UserKey&) = default;
};

// Look-up by id, by provider user and by element. A copy shares everything. Thread: any, read
// only.  Bounds: see the head of this file.
class Registry {
 public:
  using Sources = std::map<std::string, SourceConfig, std::less<>>;

  Registry() = default;
  // The sources and instances of `config`. Throws std::invalid_argument naming the instance and
  // the key that is wrong.
  explicit Registry(const Config& config);

  // The registry that `changes` make of this one, in their order. Sources stay.
  [[nodiscard]] Registry apply(std::span<const Change> changes) const;
  // The same instances with the sources of `config`.
  [[nodiscard]] Registry with_sources(const Config& config) const;

  // Null: not known, see deleted().
  [[nodiscard]] const Instance* find(InstanceId id) const noexcept { return share(id).get(); }
  // The same, to be kept.
  [[nodiscard]] const InstancePtr& share(InstanceId id) const noexcept;
  // The same for each of `ids`: a core that finds them one after the other waits for memory each
  // time, here for all of them at once. Null: not known. Pre: `found` has as many places.
  void find_all(std::span<const InstanceId> ids,
                std::span<const InstancePtr*> found) const noexcept {
    by_id_.find_all(ids, found);
  }
  // Was there such an instance, and a change has deleted it? One that was never heard of is
  // neither found nor deleted: it may yet come.
  [[nodiscard]] bool deleted(InstanceId id) const noexcept;
  // Is there such an instance, and a change has disabled its events? Of one that was never enabled
  // here events may yet be wanted: whoever accepted them may know more.
  [[nodiscard]] bool disabled(InstanceId id) const noexcept;
  // Instances of `element` whose oauth.user.id is `user`, by id; Box V1 routing.
  [[nodiscard]] std::span<const InstancePtr> by_user(std::string_view element,
                                                     std::string_view user) const noexcept;
  // The only instance of `element`; null where there is none or more than one.
  [[nodiscard]] const Instance* only(std::string_view element) const noexcept;
  // The configured verification of `element`, its scheme filled in; null without one.
  [[nodiscard]] const SourceConfig* source(std::string_view element) const noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return by_id_.size(); }
  // Calls `visit(const Instance&)` for each, in no order that means anything.
  template <class Visit>
  void for_each(Visit&& visit) const {
    by_id_.for_each([&visit](const InstancePtr& instance) { visit(*instance); });
  }
  [[nodiscard]] const Sources& sources() const noexcept { return *sources_; }

 private:
  // Of one element. The sum of the ids of one instance is its id.
  struct Count {
    std::size_t instances = 0;
    std::uint64_t id_sum = 0;
  };
  using Counts = std::map<std::string, Count, std::less<>>;

  struct ById {
    static InstanceId key(const InstancePtr& value) noexcept { return value->id; }
    static std::uint64_t hash(InstanceId id) noexcept;
  };
  struct Ids {
    static InstanceId key(InstanceId value) noexcept { return value; }
    static std::uint64_t hash(InstanceId id) noexcept { return ById::hash(id); }
  };
  // The instances of one user, by id; never empty.
  struct ByUser {
    static UserKey key(const std::vector<InstancePtr>& value) noexcept {
      return {value.front()->element, value.front()->oauth_user_id};
    }
    static std::uint64_t hash(const UserKey& key) noexcept;
  };

  void change(const Change& change, Counts& counts);
  void add(const InstancePtr& instance, Counts& counts);
  void remove(const InstancePtr& instance, Counts& counts);
  [[nodiscard]] bool remembered(InstanceId id) const noexcept;
  void remember(InstanceId id);

  PersistentMap<InstancePtr, ById> by_id_;
  PersistentMap<std::vector<InstancePtr>, ByUser> by_user_;
  // What was deleted or disabled lately and before that; the latter goes when the former is full.
  PersistentMap<InstanceId, Ids> deleted_;
  PersistentMap<InstanceId, Ids> deleted_before_;
  std::shared_ptr<const Counts> counts_ = std::make_shared<const Counts>();
  std::shared_ptr<const Sources> sources_ = std::make_shared<const Sources>();
};

// What makes `before` into a registry of exactly `instances`; those that are the same in both are
// left out. Throws std::invalid_argument if an id is given twice.
[[nodiscard]] Changes changes_to(const Registry& before, std::span<const InstancePtr> instances);

}  // namespace eventrelay
