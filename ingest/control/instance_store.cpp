#include "ingest/control/instance_store.hpp"

#include <algorithm>
#include <utility>

#include "common/registry/writer.hpp"

namespace eventrelay::control {

bool InstanceStore::apply(const RegistryRecord& record, const Keyring& keys) {
  if (record.key == kIdsKey) {
    const auto last = record.value ? decode_ids(*record.value) : std::nullopt;
    if (last) last_id_ = std::max(last_id_, *last);
    return !record.value || last.has_value();
  }
  if (cleanup_of(record.key)) {
    record.value ? void(cleanups_[record.key] = *record.value) : void(cleanups_.erase(record.key));
    return true;
  }
  if (record.key.starts_with(kIntentPrefix)) {
    record.value ? void(intents_[record.key] = *record.value) : void(intents_.erase(record.key));
    return true;
  }
  if (record.key.starts_with(kReplayPrefix)) {
    record.value ? void(replays_[record.key] = *record.value) : void(replays_.erase(record.key));
    return true;
  }
  if (record.key.starts_with(kAccountPrefix)) {
    record.value ? void(accounts_[record.key] = *record.value) : void(accounts_.erase(record.key));
    return true;
  }
  const std::optional<std::uint64_t> id = instance_of(record.key);
  if (!id) return true;
  last_id_ = std::max(last_id_, *id);
  if (!record.value) {
    forget(*id);
    return true;
  }
  const auto document = decode_document(record.key, *record.value, keys);
  if (!document) return false;
  forget(*id);
  StoredInstance stored;
  stored.id = *id;
  stored.account = document->account;
  stored.element = document->instance.element;
  stored.tags = document->instance.tags;
  stored.token_hash = document->token_hash;
  if (document->oauth && document->problem.empty()) stored.refreshed = document->oauth->refreshed;
  stored.value = *record.value;
  if (!stored.token_hash.empty()) by_token_[stored.token_hash] = *id;
  instances_[*id] = std::move(stored);
  return true;
}

void InstanceStore::forget(std::uint64_t id) {
  const auto found = instances_.find(id);
  if (found == instances_.end()) return;
  by_token_.erase(found->second.token_hash);
  instances_.erase(found);
}

const StoredInstance* InstanceStore::find(std::uint64_t id) const {
  const auto found = instances_.find(id);
  return found == instances_.end() ? nullptr : &found->second;
}

const StoredInstance* InstanceStore::by_token(std::string_view token) const {
  const auto found = by_token_.find(element_token_hash(token));
  return found == by_token_.end() ? nullptr : find(found->second);
}

}  // namespace eventrelay::control
