#include "common/registry/registry.hpp"

#include <algorithm>
#include <stdexcept>
#include <unordered_set>
#include <utility>

#include "common/base/assert.hpp"
#include "common/providers/provider.hpp"
#include "common/registry/instance_maker.hpp"

namespace eventrelay {
namespace {

// Ids in a row must not share their low bits: the finaliser of SplitMix64 (prng.di.unimi.it).
std::uint64_t mix(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31U);
}

bool by_id(const InstancePtr& a, const InstancePtr& b) noexcept {
  return a->id < b->id;
}

std::shared_ptr<const Registry::Sources> sources_of(const Config& config) {
  Registry::Sources sources(config.sources.begin(), config.sources.end());
  for (auto& [element, source] : sources) {
    const providers::Provider* const built_in = providers::find_provider(element);
    if (source.scheme.empty() && built_in != nullptr) source.scheme = built_in->schemes.front();
  }
  if (config.registry == "topic") {
    // Each element is a source even where `sources` does not name it: the keys are the instance's.
    for (const providers::Provider& each : providers::providers()) {
      if (each.schemes.front().empty()) continue;
      SourceConfig& made = sources[std::string(each.key)];
      if (made.scheme.empty()) made.scheme = each.schemes.front();
    }
  }
  return std::make_shared<const Registry::Sources>(std::move(sources));
}

}  // namespace

std::uint64_t Registry::ById::hash(InstanceId id) noexcept {
  return mix(id.value);
}

std::uint64_t Registry::ByUser::hash(const UserKey& key) noexcept {
  const std::hash<std::string_view> hash;
  return mix(hash(key.element) * 31 + hash(key.user));
}

Registry::Registry(const Config& config) : sources_(sources_of(config)) {
  InstanceMaker maker(config.relay.allow_private_addresses ? AnyPort::Yes : AnyPort::No);
  std::vector<InstancePtr> instances;
  instances.reserve(config.instances.size());
  for (const InstanceConfig& each : config.instances) {
    instances.push_back(maker.make(InstanceConfig(each)));
  }
  *this = apply(changes_to(*this, instances));
}

Registry Registry::apply(std::span<const Change> changes) const {
  Registry next = *this;
  Counts counts = *counts_;
  for (const Change& each : changes) next.change(each, counts);
  next.counts_ = std::make_shared<const Counts>(std::move(counts));
  return next;
}

Registry Registry::with_sources(const Config& config) const {
  Registry next = *this;
  next.sources_ = sources_of(config);
  return next;
}

void Registry::change(const Change& change, Counts& counts) {
  EVENTRELAY_ASSERT(change.instance == nullptr || change.instance->id == change.id);
  const InstancePtr former = share(change.id);
  const bool was_enabled = former != nullptr && former->events_enabled;
  if (former != nullptr) remove(former, counts);
  if (change.instance != nullptr) {
    add(change.instance, counts);
  } else {
    by_id_.erase(change.id);
  }
  const bool enabled = change.instance != nullptr && change.instance->events_enabled;
  if (enabled) {
    deleted_.erase(change.id);
    deleted_before_.erase(change.id);
  } else if (change.instance == nullptr || was_enabled) {
    remember(change.id);
  }
}

// The caller replaces or removes it in `by_id_`, since most changes replace an instance.
void Registry::remove(const InstancePtr& instance, Counts& counts) {
  const auto count = counts.find(instance->element);
  count->second.id_sum -= instance->id.value;
  if (--count->second.instances == 0) counts.erase(count);
  if (instance->oauth_user_id.empty()) return;
  const UserKey key{instance->element, instance->oauth_user_id};
  std::vector<InstancePtr> users = *by_user_.find(key);
  users.erase(std::lower_bound(users.begin(), users.end(), instance, by_id));
  if (users.empty()) {
    by_user_.erase(key);
  } else {
    by_user_.set(std::move(users));
  }
}

void Registry::add(const InstancePtr& instance, Counts& counts) {
  by_id_.set(instance);
  Count& count = counts[instance->element];
  ++count.instances;
  count.id_sum += instance->id.value;
  if (instance->oauth_user_id.empty()) return;
  std::vector<InstancePtr> users;
  if (const auto* known = by_user_.find(UserKey{instance->element, instance->oauth_user_id})) {
    users.reserve(known->size() + 1);
    users = *known;
  }
  users.insert(std::upper_bound(users.begin(), users.end(), instance, by_id), instance);
  by_user_.set(std::move(users));
}

bool Registry::remembered(InstanceId id) const noexcept {
  return deleted_.find(id) != nullptr || deleted_before_.find(id) != nullptr;
}

void Registry::remember(InstanceId id) {
  if (deleted_.size() == kDeletedMax) {
    deleted_before_ = std::move(deleted_);
    deleted_ = {};
  }
  deleted_.set(id);
}

const InstancePtr& Registry::share(InstanceId id) const noexcept {
  static const InstancePtr kNone;
  const InstancePtr* const found = by_id_.find(id);
  return found == nullptr ? kNone : *found;
}

bool Registry::deleted(InstanceId id) const noexcept {
  return find(id) == nullptr && remembered(id);
}

bool Registry::disabled(InstanceId id) const noexcept {
  const Instance* const instance = find(id);
  return instance != nullptr && !instance->events_enabled && remembered(id);
}

std::span<const InstancePtr> Registry::by_user(std::string_view element,
                                               std::string_view user) const noexcept {
  const auto* const found = by_user_.find(UserKey{element, user});
  if (found == nullptr) return {};
  return *found;
}

const Instance* Registry::only(std::string_view element) const noexcept {
  const auto found = counts_->find(element);
  if (found == counts_->end() || found->second.instances != 1) return nullptr;
  return find(InstanceId{found->second.id_sum});
}

const SourceConfig* Registry::source(std::string_view element) const noexcept {
  const auto found = sources_->find(element);
  return found == sources_->end() ? nullptr : &found->second;
}

Changes changes_to(const Registry& before, std::span<const InstancePtr> instances) {
  Changes changes;
  std::unordered_set<InstanceId> ids;
  ids.reserve(instances.size());
  for (const InstancePtr& instance : instances) {
    if (!ids.insert(instance->id).second) {
      throw std::invalid_argument("instance " + std::to_string(instance->id.value) +
                                  ": id: given twice");
    }
    const Instance* const former = before.find(instance->id);
    if (former == instance.get()) continue;
    if (former == nullptr || !same(*former, *instance)) {
      changes.push_back({instance->id, instance});
    }
  }
  before.for_each([&](const Instance& former) {
    if (ids.find(former.id) == ids.end()) changes.push_back({former.id, nullptr});
  });
  return changes;
}

}  // namespace eventrelay
