// The flags of every command that reads a configuration: -c FILE and --set key=value.
//
// Owner:   the command.  Thread: main.  Bounds: none of its own.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>

#include "common/registry/settings.hpp"

namespace eventrelay::cli {

// Filled when the command line is parsed; the environment is this process's.
[[nodiscard]] inline std::shared_ptr<ConfigInput> add_config_flags(CLI::App& command) {
  auto input = std::make_shared<ConfigInput>();
  input->environment = process_environment();
  command.add_option("-c,--config", input->path, "Configuration file")
      ->envname("EVENTRELAY_CONFIG")
      ->required();
  command.add_option("--set", input->overrides, "Override, key=value; may be repeated")
      ->allow_extra_args(false);
  return input;
}

}  // namespace eventrelay::cli
