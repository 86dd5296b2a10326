// Many instances with a callback each, and nobody behind it.
//
// Thread:  the test's.  Bounds: as many instances as asked for.  Errors: none.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "common/registry/settings.hpp"
#include "tests/unit/relay/log_fixture.hpp"

namespace eventrelay::relay::test {

// Instances 1 to `count`.
inline Config config_of(std::uint64_t count) {
  Config config;
  for (std::uint64_t id = 1; id <= count; ++id) {
    InstanceConfig instance;
    instance.id = id;
    instance.element = "box";
    instance.events_enabled = true;
    instance.callback_url = "https://a.example/" + std::to_string(id);
    config.instances.push_back(std::move(instance));
  }
  return config;
}

inline std::shared_ptr<const Settings> settings_of(Config config) {
  Registry registry(config);
  return std::make_shared<const Settings>(Settings{std::move(config), std::move(registry)});
}

}  // namespace eventrelay::relay::test
