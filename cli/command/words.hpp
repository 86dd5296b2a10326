// What somebody meant with a word of the command line that is no command and no flag.
//
// Owner:   main.cpp.  Thread: main.  Bounds: none of its own.
// Errors:  Failure (usage) that names the word, its place and the nearest known one.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace eventrelay::cli {

// `; did you mean ...?` with the known word that looks most like `word`; empty when none does.
[[nodiscard]] std::string or_meant(std::string_view word, const std::vector<std::string>& known);

// Follows the commands that `words` (without the program) begin with; throws Failure at the first
// word in the place of a command that is none.
void check_commands(const CLI::App& app, const std::vector<std::string>& words);

// Which of `words` is a flag that the command they name does not have, and the nearest that it
// has; empty when there is none.
[[nodiscard]] std::string unknown_flag(const CLI::App& app, const std::vector<std::string>& words);

// `problem` says that a word is none of a list: which of them was meant; else empty.
[[nodiscard]] std::string meant_choice(const std::string& problem);

// From now on no command of `app` takes an empty path of a configuration, which would be one of
// defaults alone: a variable of the shell was not set.
void refuse_empty_config(CLI::App& app);

// From now on every option of `app` and its commands that counts something takes no negative one.
void refuse_negative(CLI::App& app);

}  // namespace eventrelay::cli
