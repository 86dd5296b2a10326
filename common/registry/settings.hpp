// A checked configuration and the registry made from it: what a service runs on.
//
// Why:     both services and the command line load the same way, so a file means the same to all.
// Owner:   the service; one shared_ptr copy per shard.
// Thread:  any; blocking file reads, start and reload only.
// Errors:  ConfigError, as load_config.
#pragma once

#include <memory>

#include "common/config/config_load.hpp"
#include "common/registry/registry.hpp"

namespace eventrelay {

// The checked configuration and the registry made from it, swapped as one. Thread: immutable.
// Bounds: as the configuration.
struct Settings {
  Config config;
  Registry registry;
};

// Throws ConfigError.
[[nodiscard]] std::shared_ptr<const Settings> load_settings(const ConfigInput& input);

}  // namespace eventrelay
