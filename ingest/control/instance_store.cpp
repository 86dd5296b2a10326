#include "ingest/control/instance_store.hpp"

#include <algorithm>
#include <utility>

#include "common/base/crypto.hpp"
#include "common/registry/writer.hpp"

namespace eventrelay::control {

namespace {

// All zero where there is none.
TokenHash token_hash_of(std::string_view hex) {
  TokenHash out{};
  const std::optional<std::string> bytes = crypto::from_hex(hex);
  if (bytes && bytes->size() == out.size()) std::copy(bytes->begin(), bytes->end(), out.begin());
  return out;
}

}  // namespace

bool InstanceStore::apply(RegistryRecord record, const Keyring& keys) {
  return take(std::move(record), keys, Reading::Whole);
}

void InstanceStore::load(std::vector<RegistryRecord> records, const Keyring& keys) {
  by_token_.reserve(records.size());
  for (RegistryRecord& each : records) {
    (void)take(std::move(each), keys, Reading::Summary);
    each = {};
  }
}

bool InstanceStore::take(RegistryRecord record, const Keyring& keys, Reading reading) {
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
  if (reading == Reading::Whole && !decode_document(record.key, *record.value, keys)) return false;
  auto summary = summarize_document(*record.value, keys);
  if (!summary) return false;
  if (reading == Reading::Whole) forget(*id);
  StoredInstance stored;
  stored.id = *id;
  stored.account = summary->account;
  stored.element = std::move(summary->element);
  stored.tags = std::move(summary->tags);
  stored.token = token_hash_of(summary->token_hash);
  stored.refreshed = summary->refreshed;
  stored.disabled = summary->disabled;
  stored.valid = summary->valid;
  stored.value = *std::move(record.value);
  if (stored.token != TokenHash{}) by_token_[stored.token] = *id;
  instances_[*id] = std::move(stored);
  return true;
}

void InstanceStore::forget(std::uint64_t id) {
  const auto found = instances_.find(id);
  if (found == instances_.end()) return;
  if (found->second.token != TokenHash{}) by_token_.erase(found->second.token);
  instances_.erase(found);
}

const StoredInstance* InstanceStore::find(std::uint64_t id) const {
  const auto found = instances_.find(id);
  return found == instances_.end() ? nullptr : &found->second;
}

const StoredInstance* InstanceStore::by_token(std::string_view token) const {
  const auto found = by_token_.find(token_hash_of(element_token_hash(token)));
  return found == by_token_.end() ? nullptr : find(found->second);
}

}  // namespace eventrelay::control
