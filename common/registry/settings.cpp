#include "common/registry/settings.hpp"

#include <malloc.h>

#include <stdexcept>
#include <string>
#include <utility>

#include "common/kafka/properties.hpp"
#include "common/registry/instance_maker.hpp"

namespace eventrelay {
namespace {

// Takes the instances out of `config`, each freed once its value is made.
std::vector<InstancePtr> take_instances(Config& config) {
  InstanceMaker maker(config.relay.allow_private_addresses ? AnyPort::Yes : AnyPort::No);
  std::vector<InstanceConfig> read = std::exchange(config.instances, {});
  std::vector<InstancePtr> made;
  made.reserve(read.size());
  for (InstanceConfig& each : read) {
    made.push_back(maker.make(std::move(each)));
    each = InstanceConfig{};
  }
  return made;
}

enum class From : bool { File, Elsewhere };

UpdatePtr load(const ConfigInput& input, const Registry& before, From instances = From::File) {
  Config config = load_config(input, kafka::property_problem);
  auto update = std::make_shared<Update>();
  try {
    const std::vector<InstancePtr> read = take_instances(config);
    if (instances == From::File) update->changes = changes_to(before, read);
    Registry registry = before.apply(update->changes).with_sources(config);
    update->settings =
        std::make_shared<const Settings>(Settings{std::move(config), std::move(registry)});
    update->configuration = true;
  } catch (const std::invalid_argument& problem) {
    const std::string name = input.path.empty() ? "configuration" : input.path;
    throw ConfigError(name + ": " + problem.what());
  }
  // What reading a large file needed goes back: it is several times what is kept.
  ::malloc_trim(0);
  return update;
}

}  // namespace

std::shared_ptr<const Settings> load_settings(const ConfigInput& input) {
  return load(input, Registry{})->settings;
}

UpdatePtr reload_settings(const ConfigInput& input, const Settings& before) {
  return load(input, before.registry);
}

UpdatePtr reload_configuration(const ConfigInput& input, const Settings& before) {
  return load(input, before.registry, From::Elsewhere);
}

UpdatePtr update_between(const Settings& before, std::shared_ptr<const Settings> after) {
  std::vector<InstancePtr> instances;
  instances.reserve(after->registry.size());
  after->registry.for_each(
      [&](const Instance& instance) { instances.push_back(after->registry.share(instance.id)); });
  auto update = std::make_shared<Update>();
  update->changes = changes_to(before.registry, instances);
  update->settings = std::make_shared<const Settings>(
      Settings{after->config, before.registry.apply(update->changes).with_sources(after->config)});
  update->configuration = true;
  return update;
}

UpdatePtr update_settings(const Settings& before, Changes changes) {
  auto update = std::make_shared<Update>();
  update->settings =
      std::make_shared<const Settings>(Settings{before.config, before.registry.apply(changes)});
  update->changes = std::move(changes);
  return update;
}

}  // namespace eventrelay
