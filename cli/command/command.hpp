// The subcommands of `eventrelay`: each adds its flags to the parser and sets what to run.
//
// Owner:   main.cpp.  Thread: main.  Bounds: one subcommand per run.
// Errors:  Failure carries the exit code and one line that names what, where and the way out.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <stdexcept>
#include <string>

namespace eventrelay::cli {

// Exit codes of the command line. Thread: constants.
enum class Exit : int { Ok = 0, Failed = 1, Usage = 2, Config = 78 };

// Ends the command with a message. Thread: any.  Bounds: one line.
class Failure : public std::runtime_error {
 public:
  Failure(Exit code, const std::string& line) : std::runtime_error(line), code_(code) {}
  [[nodiscard]] Exit code() const noexcept { return code_; }

 private:
  Exit code_;
};

// What the chosen subcommand does once all flags are parsed.
using Run = std::function<Exit()>;

void add_dev(CLI::App& app, Run& run);
void add_send(CLI::App& app, Run& run);
void add_listen(CLI::App& app, Run& run);
void add_sign(CLI::App& app, Run& run);
void add_verify(CLI::App& app, Run& run);
void add_tail(CLI::App& app, Run& run);
void add_replay(CLI::App& app, Run& run);
void add_topics(CLI::App& app, Run& run);
void add_check_config(CLI::App& app, Run& run);
void add_print_config(CLI::App& app, Run& run);
void add_config_schema(CLI::App& app, Run& run);
void add_status(CLI::App& app, Run& run);
void add_subscription(CLI::App& app, Run& run);
void add_bench(CLI::App& app, Run& run);
void add_registry(CLI::App& app, Run& run);
void add_keygen(CLI::App& app, Run& run);
void add_provider(CLI::App& app, Run& run);
void add_version(CLI::App& app, Run& run);
void add_completion(CLI::App& app, Run& run);

}  // namespace eventrelay::cli
