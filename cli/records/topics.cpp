// eventrelay topics: creates the topics, or compares them with the configuration.
//
// Thread:  main.
#include "common/kafka/topics.hpp"

#include <fmt/format.h>

#include "cli/command/command.hpp"
#include "cli/command/config_flags.hpp"
#include "common/kafka/topic_limits.hpp"

namespace eventrelay::cli {
namespace {

enum class Action : std::uint8_t { Init, Check };

Exit compare(const Config& config) {
  const auto differences = kafka::check_topics(config);
  for (const std::string& difference : differences) fmt::print(stderr, "{}\n", difference);
  if (!differences.empty()) return Exit::Failed;
  fmt::print("{} topics agree with the configuration, {} partitions\n",
             kafka::topic_plan(config).size(), config.topics.partitions);
  return Exit::Ok;
}

void add_action(CLI::App& command, Run& run, Action action) {
  const auto input = add_config_flags(command);
  command.callback([input, action, &run] {
    run = [input, action] {
      const auto settings = load_settings(*input);
      if (action == Action::Check) return compare(settings->config);
      const auto plan = kafka::topic_plan(settings->config);
      const int partitions = kafka::ensure_topics(settings->config.kafka, plan, kafka::Create::Yes);
      fmt::print("{} topics agree with the configuration, {} partitions\n", plan.size(),
                 partitions);
      return Exit::Ok;
    };
  });
}

}  // namespace

void add_topics(CLI::App& app, Run& run) {
  CLI::App* topics = app.add_subcommand("topics", "Create or check the topics");
  topics->require_subcommand(1);
  add_action(*topics->add_subcommand("init", "Create what is missing, then check"), run,
             Action::Init);
  add_action(*topics->add_subcommand("check", "Compare partition counts with the configuration"),
             run, Action::Check);
}

}  // namespace eventrelay::cli
