// eventrelay verify: checks the signature of the body on stdin with the given headers.
//
// Thread:  main.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "cli/command/command.hpp"
#include "cli/webhook/signing.hpp"

namespace eventrelay::cli {
namespace {

// Flags of `verify`.
struct VerifyFlags {
  std::string scheme;
  std::vector<std::string> keys;
  std::string second_key;
  std::vector<std::string> headers;
  std::string method = "POST";
  std::string uri;
  std::optional<std::int64_t> now;
};

Exit verify(VerifyFlags flags) {
  const auto& scheme = scheme_named(flags.scheme);
  if (!flags.second_key.empty()) flags.keys.push_back(flags.second_key);
  require_uri(scheme, flags.uri);
  Signed message;
  message.method = flags.method;
  message.target = flags.uri;
  for (const auto& line : flags.headers) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || colon == 0) {
      throw Failure(Exit::Usage, "--header `" + line + "`: expected 'Name: value'");
    }
    const std::size_t value = line.find_first_not_of(' ', colon + 1);
    message.headers.emplace_back(line.substr(0, colon),
                                 value == std::string::npos ? "" : line.substr(value));
  }
  message.body = read_stdin();
  const WallTime now = flags.now ? WallTime(std::chrono::seconds(*flags.now)) : wall_now();
  const std::string reason = judge(scheme, keys_from(flags.keys), message, now);
  if (reason.empty()) return Exit::Ok;
  fmt::print(stderr, "eventrelay: not genuine: {}\n", reason);
  return Exit::Failed;
}

}  // namespace

void add_verify(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "verify", "Judge the body on stdin; exit 0 genuine, 1 not, with the reason on stderr");
  auto flags = std::make_shared<VerifyFlags>();
  command->add_option("--scheme", flags->scheme, "One of: " + scheme_names())->required();
  command->add_option("--key", flags->keys, "Key, or @FILE")->required()->allow_extra_args(false);
  command->add_option("--key2", flags->second_key, "A second live key or slot");
  command->add_option("--header", flags->headers, "'Name: value' as received; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--method", flags->method, "HTTP method")->capture_default_str();
  command->add_option("--uri", flags->uri, "URI, where the scheme signs it");
  command->add_option("--now", flags->now, "Judge as of this Unix time, in seconds");
  command->callback([flags, &run] { run = [flags] { return verify(*flags); }; });
}

}  // namespace eventrelay::cli
