// `eventrelay`: the command line of the relay.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "cli/command/command.hpp"
#include "cli/command/words.hpp"
#include "cli/http/http_client.hpp"
#include "common/process/core_dump.hpp"
#include "common/process/runtime.hpp"
#include "common/registry/settings.hpp"

namespace {

using eventrelay::cli::Exit;

int code(Exit exit) {
  return static_cast<int>(exit);
}

int report(Exit exit, const char* line) {
  std::fprintf(stderr, "eventrelay: %s\n", line);
  return code(exit);
}

int run_chosen(const eventrelay::cli::Run& run) {
  try {
    return code(run());
  } catch (const eventrelay::cli::Failure& failure) {
    return report(failure.code(), failure.what());
  } catch (const eventrelay::ConfigError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return code(Exit::Config);
  } catch (const std::exception& error) {
    return report(Exit::Failed, error.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  using namespace eventrelay::cli;
  eventrelay::forbid_core_dumps();  // commands read keys, too
  CLI::App app("eventrelay: takes webhooks in, keeps them in Kafka, delivers them signed");
  app.name("eventrelay");
  app.set_version_flag("--version", "eventrelay " EVENTRELAY_VERSION);
  app.require_subcommand(1);
  const std::vector<std::string> words(argv + 1, argv + argc);
  app.failure_message([&app, &words](const CLI::App* parsed, const CLI::Error& error) {
    std::string command = parsed->get_name();
    for (const CLI::App* at = parsed; !at->get_subcommands().empty();) {
      at = at->get_subcommands().back();
      command += " " + at->get_name();
    }
    // Whatever else is said to be missing: it may be what the misspelt flag was meant to be.
    const std::string flag = unknown_flag(app, words);
    return "eventrelay: " + (flag.empty() ? error.what() + meant_choice(error.what()) : flag) +
           "; try `" + command + " --help`\n";
  });
  Run run;
  add_dev(app, run);
  add_send(app, run);
  add_listen(app, run);
  add_sign(app, run);
  add_verify(app, run);
  add_tail(app, run);
  add_replay(app, run);
  add_topics(app, run);
  add_check_config(app, run);
  add_print_config(app, run);
  add_config_schema(app, run);
  add_status(app, run);
  add_subscription(app, run);
  add_bench(app, run);
  add_registry(app, run);
  add_keygen(app, run);
  add_provider(app, run);
  add_version(app, run);
  add_completion(app, run);
  refuse_negative(app);
  refuse_empty_config(app);
  try {
    check_commands(app, words);
    app.parse(argc, argv);
  } catch (const Failure& failure) {
    return report(failure.code(), failure.what());
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? code(Exit::Ok) : code(Exit::Usage);
  }
  return run_chosen(run);
}
