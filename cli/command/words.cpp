#include "cli/command/words.hpp"

#include <algorithm>

#include "cli/command/command.hpp"
#include "common/config/config_units.hpp"

namespace eventrelay::cli {
namespace {

std::vector<std::string> commands_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

std::vector<std::string> flags_of(const CLI::App& app) {
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

std::string or_meant(const std::string& nearest) {
  return nearest.empty() ? std::string() : "; did you mean `" + nearest + "`?";
}

}  // namespace

std::string nearest_word(std::string_view word, const std::vector<std::string>& known) {
  std::size_t best = std::max<std::size_t>(2, word.size() / 3) + 1;
  std::string found;
  for (const std::string& one : known) {
    const std::size_t distance = config::edit_distance(word, one);
    if (distance >= best || distance >= one.size()) continue;
    best = distance;
    found = one;
  }
  return found;
}

void check_commands(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* at = &app;
  std::string path = "eventrelay";
  for (const std::string& word : words) {
    const std::vector<std::string> known = commands_of(*at);
    if (known.empty() || is_flag(word)) return;
    const CLI::App* const next = below(*at, word);
    if (next == nullptr) {
      throw Failure(Exit::Usage, "`" + path + "` has no command `" + word + "`" +
                                     or_meant(nearest_word(word, known)) + "; try `" + path +
                                     " --help`");
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
    if (word.rfind("--", 0) != 0 || word.size() == 2) continue;
    const std::string name = word.substr(0, word.find('='));
    const std::vector<std::string> known = flags_of(*at);
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    return "no flag `" + name + "`" + or_meant(nearest_word(name, known));
  }
  return {};
}

}  // namespace eventrelay::cli
