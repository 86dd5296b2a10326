// eventrelay print-config: the effective configuration, secrets masked.
//
// Thread:  main.
#include <fmt/format.h>

#include "cli/command/command.hpp"
#include "cli/command/config_flags.hpp"
#include "common/kafka/properties.hpp"

namespace eventrelay::cli {

void add_print_config(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "print-config", "Print the effective configuration as YAML; secrets as ***");
  const auto input = add_config_flags(*command);
  command->callback([input, &run] {
    run = [input] {
      static_cast<void>(load_settings(*input));  // judges what only the registry can
      fmt::print("{}", print_config(load_config(*input, kafka::property_problem)));
      return Exit::Ok;
    };
  });
}

}  // namespace eventrelay::cli
