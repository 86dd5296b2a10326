// eventrelay completion: a script for bash, zsh or fish, made from the commands themselves.
//
// Thread:  main.
#include <fmt/format.h>

#include <memory>
#include <vector>

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

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

// The words after `app`, and after each command below it. `path` names them, a blank between two.
std::string bash_cases(const CLI::App& app, const std::string& path) {
  std::string cases;
  for (const CLI::App* command : commands_of(app)) {
    const std::string name = path + command->get_name();
    cases += fmt::format("    \"{}\") words=\"{}\" ;;\n", name, flags_of(*command));
    cases += bash_cases(*command, name + " ");
  }
  return cases;
}

// What is known of the words before the cursor decides: as many commands as there are, then flags.
std::string bash_script(const CLI::App& app) {
  const std::string cases = bash_cases(app, "");
  std::string commands;  // paths that more words may follow as commands
  for (const CLI::App* command : commands_of(app)) {
    if (!commands_of(*command).empty()) {
      commands += (commands.empty() ? "" : "|") + command->get_name();
    }
  }
  return fmt::format(
      "_eventrelay() {{\n"
      "  local current=\"${{COMP_WORDS[COMP_CWORD]}}\" words=\"{0}\" path=\"\"\n"
      "  if [ \"$COMP_CWORD\" -gt 1 ]; then\n"
      "    path=\"${{COMP_WORDS[1]}}\"\n"
      "    case \"$path\" in\n"
      "      {1}) [ \"$COMP_CWORD\" -gt 2 ] && path=\"$path ${{COMP_WORDS[2]}}\" ;;\n"
      "    esac\n"
      "  fi\n"
      "  [ -n \"$path\" ] && case \"$path\" in\n{2}    *) words=\"\" ;;\n"
      "  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "  [ ${{#COMPREPLY[@]}} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$current\"))\n"
      "}}\n"
      "complete -F _eventrelay eventrelay\n",
      names_of(app), commands.empty() ? "''" : commands, cases);
}

std::string fish_word(const CLI::App& command, const std::string& when) {
  const std::string about = command.get_description();
  return fmt::format("complete -c eventrelay -n '{}' -a {} -d '{}'\n", when, command.get_name(),
                     about.substr(0, about.find('\'')));
}

// `when` holds once `command` stands on the line.
std::string fish_flags(const CLI::App& command, const std::string& when) {
  std::string script;
  for (const CLI::Option* option : command.get_options()) {
    for (const auto& name : option->get_lnames()) {
      script += fmt::format("complete -c eventrelay -n '{}' -F -l {}\n", when, name);
    }
  }
  const std::string names = names_of(command);
  for (const CLI::App* below : commands_of(command)) {
    script += fish_word(*below, when + "; and not __fish_seen_subcommand_from " + names);
    script += fish_flags(*below, when + "; and __fish_seen_subcommand_from " + below->get_name());
  }
  return script;
}

std::string fish_script(const CLI::App& app) {
  std::string script = "complete -c eventrelay -f\n";
  for (const CLI::App* command : commands_of(app)) {
    script += fish_word(*command, "__fish_use_subcommand");
    script += fish_flags(*command, "__fish_seen_subcommand_from " + command->get_name());
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
