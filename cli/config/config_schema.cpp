// eventrelay config-schema: the table of keys as a JSON Schema, for editors and charts.
//
// Thread:  main.
#include <fmt/format.h>

#include <memory>

#include "cli/command/command.hpp"
#include "common/config/config_load.hpp"

namespace eventrelay::cli {

void add_config_schema(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("config-schema", "Print the JSON Schema of the configuration");
  const auto seven = std::make_shared<bool>(false);
  command->add_flag("--draft7", *seven, "Draft 7 instead of 2020-12");
  command->callback([seven, &run] {
    run = [seven] {
      fmt::print("{}", config_json_schema(*seven ? SchemaDraft::Seven : SchemaDraft::Of2020));
      return Exit::Ok;
    };
  });
}

}  // namespace eventrelay::cli
