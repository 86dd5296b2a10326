// eventrelay completion: a script for bash, zsh or fish, made from the commands themselves.
//
// Thread:  main.
#include <fmt/format.h>

#include <memory>
#include <set>

#include "cli/command/command.hpp"

namespace eventrelay::cli {
namespace {

std::string names_of(const CLI::App& app) {
  std::string names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names += (names.empty() ? "" : " ") + command->get_name();
  }
  return names;
}

std::string flags_of(const CLI::App& command) {
  std::string flags;
  for (const CLI::Option* option : command.get_options()) {
    for (const auto& name : option->get_lnames()) flags += (flags.empty() ? "--" : " --") + name;
  }
  const std::string below = names_of(command);
  return below.empty() ? flags : below + " " + flags;
}

std::string bash_script(const CLI::App& app) {
  std::string cases;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    cases += fmt::format("    {}) words=\"{}\" ;;\n", command->get_name(), flags_of(*command));
  }
  return fmt::format(
      "_eventrelay() {{\n"
      "  local current=\"${{COMP_WORDS[COMP_CWORD]}}\" words=\"{}\"\n"
      "  [ \"$COMP_CWORD\" -gt 1 ] && case \"${{COMP_WORDS[1]}}\" in\n{}    *) words=\"\" ;;\n"
      "  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "  [ ${{#COMPREPLY[@]}} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$current\"))\n"
      "}}\n"
      "complete -F _eventrelay eventrelay\n",
      names_of(app), cases);
}

std::string fish_script(const CLI::App& app) {
  std::string script = "complete -c eventrelay -f\n";
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    script += fmt::format(
        "complete -c eventrelay -n __fish_use_subcommand -a {} -d '{}'\n", command->get_name(),
        command->get_description().substr(0, command->get_description().find('\'')));
    for (const CLI::Option* option : command->get_options()) {
      for (const auto& name : option->get_lnames()) {
        script +=
            fmt::format("complete -c eventrelay -n '__fish_seen_subcommand_from {}' -F -l {}\n",
                        command->get_name(), name);
      }
    }
  }
  return script;
}

}  // namespace

void add_completion(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("completion", "Print a completion script: eval it, or save it");
  auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([shell, &app, &run] {
    run = [shell, &app] {
      if (*shell == "fish") {
        fmt::print("{}", fish_script(app));
      } else {
        const char* zsh = "autoload -U +X bashcompinit && bashcompinit\n";
        fmt::print("{}{}", *shell == "zsh" ? zsh : "", bash_script(app));
      }
      return Exit::Ok;
    };
  });
}

}  // namespace eventrelay::cli
