// eventrelay check-config: reads a configuration as the services do and prints what is wrong.
//
// Thread:  main.
#include <fmt/format.h>

#include <memory>

#include "cli/command.hpp"
#include "cli/config_flags.hpp"
#include "common/kafka/topic_limits.hpp"
#include "common/kafka/topics.hpp"

namespace eventrelay::cli {
namespace {

Exit check(const ConfigInput& input, bool connect) {
  const auto settings = load_settings(input);
  const Config& config = settings->config;
  std::size_t subscriptions = 0;
  for (const auto& instance : settings->registry.instances()) {
    subscriptions += instance->subscriptions.size();
  }
  fmt::print("{}: ok; {} instances, {} subscriptions, {} sources\n", input.path,
             settings->registry.instances().size(), subscriptions,
             settings->registry.sources().size());
  if (connect) {
    const auto differences = kafka::check_topics(config);
    for (const std::string& difference : differences) fmt::print(stderr, "{}\n", difference);
    if (!differences.empty()) return Exit::Failed;
    fmt::print("kafka: reached; {} topics agree, {} partitions\n", kafka::topic_plan(config).size(),
               config.topics.partitions);
  }
  return Exit::Ok;
}

}  // namespace

void add_check_config(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("check-config", "Load and check a configuration; exit 78 if it is wrong");
  const auto input = add_config_flags(*command);
  const auto connect = std::make_shared<bool>(false);
  command->add_flag("--connect", *connect, "Also reach Kafka and compare the topics");
  command->callback(
      [input, connect, &run] { run = [input, connect] { return check(*input, *connect); }; });
}

}  // namespace eventrelay::cli
