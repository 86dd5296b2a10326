#include "common/registry/settings.hpp"

#include <malloc.h>

#include <functional>
#include <future>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "common/kafka/properties.hpp"
#include "common/registry/instance_maker.hpp"

namespace eventrelay {
namespace {

// Makes instances of what is read, one at a time; one that is as before is the former one.
// Thread: one owner.  Bounds: a pointer for each instance, beside those that are new.
class Gatherer {
 public:
  explicit Gatherer(const Registry& before) : before_(before) {}

  void take(const Config& config, InstanceConfig&& read) {
    if (!maker_) {
      maker_.emplace(config.relay.allow_private_addresses ? AnyPort::Yes : AnyPort::No);
    }
    InstancePtr made = maker_->make(std::move(read));
    const InstancePtr& former = before_.share(made->id);
    const bool known = former != nullptr && same(*former, *made);
    instances_.push_back(known ? former : std::move(made));
  }
  [[nodiscard]] std::span<const InstancePtr> instances() const { return instances_; }

 private:
  const Registry& before_;
  std::optional<InstanceMaker> maker_;
  std::vector<InstancePtr> instances_;
};

// The configuration without its instances, which `gathered` has.
Config read(const ConfigInput& input, const Registry& before, std::optional<Gatherer>& gathered) {
  gathered.emplace(before);
  const auto take = [&gathered](const Config& config, InstanceConfig&& instance) {
    gathered->take(config, std::move(instance));
  };
  if (auto config = load_one_by_one(input, kafka::property_problem, take))
    return *std::move(config);
  Config config = load_config(input, kafka::property_problem);
  gathered.emplace(before);
  std::vector<InstanceConfig> all = std::exchange(config.instances, {});
  for (InstanceConfig& each : all) {
    gathered->take(config, std::move(each));
    each = InstanceConfig{};
  }
  return config;
}

enum class From : bool { File, Elsewhere };

UpdatePtr load_here(const ConfigInput& input, const Registry& before, From instances) {
  auto update = std::make_shared<Update>();
  try {
    std::optional<Gatherer> gathered;
    Config config = read(input, before, gathered);
    if (instances == From::File) update->changes = changes_to(before, gathered->instances());
    Registry registry = before.apply(update->changes).with_sources(config);
    update->settings =
        std::make_shared<const Settings>(Settings{std::move(config), std::move(registry)});
    update->configuration = true;
  } catch (const std::invalid_argument& problem) {
    const std::string name = input.path.empty() ? "configuration" : input.path;
    throw ConfigError(name + ": " + problem.what());
  }
  return update;
}

// On a thread of its own: what malloc keeps of a thread's freed blocks, tens of megabytes where its
// caches are deep, goes with the thread. Then what reading a large file needed goes back.
UpdatePtr load(const ConfigInput& input, const Registry& before, From instances = From::File) {
  UpdatePtr update =
      std::async(std::launch::async, load_here, std::cref(input), std::cref(before), instances)
          .get();
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
