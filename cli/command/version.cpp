// eventrelay version: the program, its commit and its libraries.
//
// Thread:  main.
#include <fmt/format.h>

#include <memory>

#include "cli/command/command.hpp"
#include "common/observe/build_info.hpp"

namespace eventrelay::cli {

void add_version(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("version", "Print the version of this build");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "With commit, compiler and libraries");
  command->callback([json, &run] {
    run = [json] {
      if (*json) {
        fmt::print("{}\n", version_json());
      } else {
        fmt::print("{}\n", version_line("eventrelay"));
      }
      return Exit::Ok;
    };
  });
}

}  // namespace eventrelay::cli
