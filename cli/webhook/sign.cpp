// eventrelay sign: prints the header lines that a sender adds to the body on stdin.
//
// Thread:  main.
#include <fmt/format.h>

#include <memory>

#include "cli/command/command.hpp"
#include "cli/webhook/signing.hpp"

namespace eventrelay::cli {
namespace {

// Flags of `sign`.
struct SignFlags {
  std::string scheme;
  std::vector<std::string> keys;
  std::string id;
  std::string timestamp;
  std::string method = "POST";
  std::string uri;
};

Exit sign(const SignFlags& flags) {
  const auto& scheme = scheme_named(flags.scheme);
  const auto keys = keys_from(flags.keys);
  require_uri(scheme, flags.uri);
  require_id(scheme, flags.id);
  if (scheme.proof == providers::Proof::ClientState) {
    throw Failure(Exit::Usage, flags.scheme +
                                   " has no header to sign with: the body carries the "
                                   "key as clientState");
  }
  const std::string body = read_stdin();
  const std::string timestamp =
      flags.timestamp.empty() ? providers::format_stamp(scheme.stamp, wall_now()) : flags.timestamp;
  providers::SignInput input;
  input.method = flags.method;
  input.uri = flags.uri;
  input.id = flags.id;
  input.timestamp = timestamp;
  input.body = body;
  for (const auto& field : providers::sign(scheme, keys, input)) {
    fmt::print("{}: {}\n", field.name, field.value);
  }
  return Exit::Ok;
}

}  // namespace

void add_sign(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("sign", "Print the header lines a sender adds to the body on stdin");
  auto flags = std::make_shared<SignFlags>();
  command->add_option("--scheme", flags->scheme, "One of: " + scheme_names())->required();
  command->add_option("--key", flags->keys, "Key, or @FILE; again for a second slot")
      ->required()
      ->allow_extra_args(false);
  command->add_option("--id", flags->id, "Id of the message, where the scheme signs one");
  command->add_option("--timestamp", flags->timestamp,
                      "As the header shall carry it; default: now, in the scheme's form");
  command->add_option("--method", flags->method, "HTTP method")->capture_default_str();
  command->add_option("--uri", flags->uri, "Full URI, where the scheme signs it");
  command->callback([flags, &run] { run = [flags] { return sign(*flags); }; });
}

}  // namespace eventrelay::cli
