#include "common/registry/settings.hpp"

#include <stdexcept>
#include <string>
#include <utility>

#include "common/kafka/properties.hpp"

namespace eventrelay {

std::shared_ptr<const Settings> load_settings(const ConfigInput& input) {
  Config config = load_config(input, kafka::property_problem);
  try {
    Registry registry(config);
    return std::make_shared<const Settings>(Settings{std::move(config), std::move(registry)});
  } catch (const std::invalid_argument& problem) {
    const std::string name = input.path.empty() ? "configuration" : input.path;
    throw ConfigError(name + ": " + problem.what());
  }
}

}  // namespace eventrelay
