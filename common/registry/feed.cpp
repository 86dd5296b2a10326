#include "common/registry/feed.hpp"

#include <optional>
#include <stdexcept>
#include <utility>

#include "common/config/config_check.hpp"
#include "common/kafka/topics.hpp"
#include "common/observe/log.hpp"

namespace eventrelay {
namespace {

// What an instance is judged by: the parts of the configuration that its own keys refer to.
Config limits_of(const Config& config) {
  Config out;
  out.sources = config.sources;
  out.relay.allow_private_addresses = config.relay.allow_private_addresses;
  out.retry = config.retry;
  return out;
}

AnyPort any_port_of(const Config& config) {
  return config.relay.allow_private_addresses ? AnyPort::Yes : AnyPort::No;
}

}  // namespace

std::string registry_topic(const Config& config) {
  return kafka::topic_name(config.topics, "instances");
}

RegistryFeed::RegistryFeed(const Config& config)
    : follower_(config.kafka, registry_topic(config)),
      limits_(limits_of(config)),
      maker_(any_port_of(config)),
      keys_(keyring_of(config.seal)) {}

RegistryFeed::~RegistryFeed() = default;

void RegistryFeed::refuse(const RegistryRecord& record, std::string_view what,
                          std::string master_key) {
  log::error("a document of the registry can not be read, its former version stays",
             {{"record", record.key}, {"reason", what}});
  unreadable_[record.key] = {record, std::move(master_key)};
}

Changes RegistryFeed::changes(const std::vector<RegistryRecord>& records) {
  Changes out;
  for (const RegistryRecord& record : records) {
    const std::optional<std::uint64_t> id = instance_of(record.key);
    if (!id) continue;  // the writer's own
    if (!record.value) {
      unreadable_.erase(record.key);
      out.push_back({InstanceId{*id}, nullptr});
      continue;
    }
    auto document = decode_document(record.key, *record.value, keys_);
    if (!document) {
      const bool key = document.error().kind == DocumentError::Kind::MasterKey;
      refuse(record, document.error().what, key ? master_key_of(*record.value) : std::string());
      continue;
    }
    limits_.instances.clear();
    limits_.instances.push_back(std::move(document->instance));
    config::resolve(limits_);
    InstancePtr made;
    try {
      made = maker_.make(std::move(limits_.instances.front()));
    } catch (const std::invalid_argument& problem) {
      refuse(record, problem.what(), {});
      continue;
    }
    unreadable_.erase(record.key);
    out.push_back({InstanceId{*id}, std::move(made)});
  }
  limits_.instances.clear();
  return out;
}

std::vector<RegistryRecord> RegistryFeed::use(const Config& config) {
  limits_ = limits_of(config);
  maker_ = InstanceMaker(any_port_of(config));
  keys_ = keyring_of(config.seal);
  std::vector<RegistryRecord> again;
  for (auto& [key, each] : unreadable_) again.push_back(each.record);
  return again;
}

std::vector<std::string> RegistryFeed::not_ready() const {
  std::vector<std::string> out;
  for (const auto& [key, each] : unreadable_) {
    if (each.master_key.empty()) continue;
    out.push_back("registry: master key " + each.master_key + " is not in seal.keys");
    break;
  }
  return out;
}

}  // namespace eventrelay
