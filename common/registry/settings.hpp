// What a service runs on: two immutable values, the configuration and the registry.
//
// Why:     both services and the command line load the same way, so a file means the same to all.
//          The two change on their own: an instance that comes or goes leaves the configuration
//          as it is, and a reload changes those instances only that differ.
// Owner:   the service; one shared_ptr copy per shard.
// Thread:  any; blocking file reads, start and reload only.
// Errors:  ConfigError, as load_config.
#pragma once

#include <memory>

#include "common/config/config_load.hpp"
#include "common/registry/change.hpp"
#include "common/registry/registry.hpp"

namespace eventrelay {

struct Settings {
  Config config;  // without its instances: they are in the registry
  Registry registry;
};

// New settings beside what differs from the former ones, for those who keep something of each
// instance.
struct Update {
  std::shared_ptr<const Settings> settings;
  Changes changes;             // of the registry's instances
  bool configuration = false;  // was read again and may differ; else it is the former one
};
using UpdatePtr = std::shared_ptr<const Update>;

// Throws ConfigError.
[[nodiscard]] std::shared_ptr<const Settings> load_settings(const ConfigInput& input);

// Reads the configuration again. Instances that are the same are shared with `before`.
// Throws ConfigError.
[[nodiscard]] UpdatePtr reload_settings(const ConfigInput& input, const Settings& before);

// Reads the configuration again and keeps the instances of `before`, which come from elsewhere.
// Throws ConfigError.
[[nodiscard]] UpdatePtr reload_configuration(const ConfigInput& input, const Settings& before);

// What leads from `before` to `after`, both loaded on their own.
[[nodiscard]] UpdatePtr update_between(const Settings& before,
                                       std::shared_ptr<const Settings> after);

// `before` with `changes` of its instances and the same configuration.
[[nodiscard]] UpdatePtr update_settings(const Settings& before, Changes changes);

}  // namespace eventrelay
