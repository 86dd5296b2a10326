#include "cli/command/words.hpp"

#include <algorithm>

#include "cli/command/command.hpp"
#include "common/config/config_units.hpp"

namespace eventrelay::cli {
namespace {

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

std::vector<std::string> flag_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

const CLI::App* below(const CLI::App& app, const std::string& name) {
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == name) return command;
  }
  return nullptr;
}

bool is_flag(const std::string& word) {
  return word.size() > 1 && word.front() == '-';
}

// `-n 5`, `-c5`; a negative number is a value.
bool is_unknown_letter(const CLI::App& app, const std::string& word) {
  if (word.size() < 2 || word[0] != '-' || word[1] == '-') return false;
  if (word[1] >= '0' && word[1] <= '9') return false;
  for (const CLI::Option* option : app.get_options()) {
    if (option->check_sname(word.substr(1, 1))) return false;
  }
  return true;
}

}  // namespace

std::string or_meant(std::string_view word, const std::vector<std::string>& known) {
  const std::string nearest = config::nearest_word(word, known);
  return nearest.empty() ? std::string() : "; did you mean `" + nearest + "`?";
}

void check_commands(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* at = &app;
  std::string path = "eventrelay";
  for (const std::string& word : words) {
    const std::vector<std::string> known = command_names(*at);
    if (known.empty() || is_flag(word)) return;
    const CLI::App* const next = below(*at, word);
    if (next == nullptr) {
      throw Failure(Exit::Usage, "`" + path + "` has no command `" + word + "`" +
                                     or_meant(word, known) + "; try `" + path + " --help`");
    }
    at = next;
    path += " " + word;
  }
}

std::string unknown_flag(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* at = &app;
  for (const std::string& word : words) {
    if (const CLI::App* const next = below(*at, word)) {
      at = next;
      continue;
    }
    if (word == "--") break;
    if (is_unknown_letter(*at, word)) return "no flag `" + word.substr(0, 2) + "`";
    if (word.rfind("--", 0) != 0) continue;
    const std::string name = word.substr(0, word.find('='));
    const std::vector<std::string> known = flag_names(*at);
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    return "no flag `" + name + "`" + or_meant(name, known);
  }
  return {};
}

// As the validator of the command-line library words it: `kind: sael not in {elements,seal}`.
std::string meant_choice(const std::string& problem) {
  constexpr std::string_view kNotIn = " not in {";
  const std::size_t at = problem.find(kNotIn);
  const std::size_t end = problem.find('}', at);
  if (at == std::string::npos || end == std::string::npos) return {};
  const std::size_t begin = problem.find_last_of(' ', at - 1) + 1;  // 0 where there is none
  const std::string word = problem.substr(begin, at - begin);
  std::vector<std::string> known{""};
  for (std::size_t i = at + kNotIn.size(); i < end; ++i) {
    if (problem[i] == ',') {
      known.emplace_back();
    } else {
      known.back().push_back(problem[i]);
    }
  }
  return or_meant(word, known);
}

void refuse_empty_config(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (!option->check_lname("config")) continue;
    option->check(CLI::Validator(
        [](const std::string& value) {
          return value.empty() ? std::string("is empty; give the path of a file") : std::string();
        },
        ""));
  }
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    refuse_empty_config(*command);
  }
}

void refuse_negative(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (option->get_type_name().rfind("UINT", 0) != 0) continue;
    // In front of what the option checks itself: a conversion would have made it very large.
    option->transform(CLI::Validator(
        [](const std::string& value) {
          return value.rfind('-', 0) == 0 ? value + " is negative" : std::string();
        },
        ""));
  }
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    refuse_negative(*command);
  }
}

}  // namespace eventrelay::cli
