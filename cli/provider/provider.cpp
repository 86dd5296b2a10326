// eventrelay provider box: a stand-in of Box, to try and test without it.
//
// Thread:  one loop.
#include <fmt/format.h>

#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "cli/command/command.hpp"
#include "cli/provider/box_server.hpp"

namespace eventrelay::cli {
namespace {

struct BoxFlags {
  std::string listen = "127.0.0.1:8090";
  BoxOptions options;
};

Exit serve(const BoxFlags& flags) {
  asio::io_context loop(1);
  asio::signal_set signals(loop, SIGINT, SIGTERM);
  BoxServer server(loop.get_executor(), flags.listen, flags.options);
  signals.async_wait([&](ErrorCode error, int) {
    if (error) return;
    server.close();
    loop.stop();
  });
  const std::string at = "http://" + server.address();
  fmt::print(
      "A stand-in of Box listens on {0}\n"
      "  providers.box: {{authorize_url: {0}/api/oauth2/authorize, token_url: {0}/oauth2/token,\n"
      "                  revoke_url: {0}/oauth2/revoke, api_url: {0}/2.0}}\n"
      "  a code         curl -s -XPOST {0}/standin/grant\n"
      "  an upload      curl -s -XPOST {0}/standin/upload -d "
      "'{{\"name\":\"a.txt\",\"parent\":\"1000\"}}'\n"
      "  what it has    curl -s {0}/standin/state\n"
      "Ctrl-C ends it.\n",
      at);
  std::fflush(stdout);
  loop.run();
  return Exit::Ok;
}

}  // namespace

void add_provider(CLI::App& app, Run& run) {
  CLI::App* provider = app.add_subcommand("provider", "A stand-in of a provider, to try and test");
  provider->require_subcommand(1);
  CLI::App* command = provider->add_subcommand(
      "box", "Box: consent page, tokens, webhooks, signed deliveries, event stream");
  auto flags = std::make_shared<BoxFlags>();
  command->add_option("--listen", flags->listen, "Address; port 0 lets the kernel choose")
      ->capture_default_str();
  command->add_option("--client-id", flags->options.client_id, "Of the app")->capture_default_str();
  command->add_option("--client-secret", flags->options.client_secret, "Of the app")
      ->capture_default_str();
  command->add_option("--primary", flags->options.primary, "Primary signing key")
      ->capture_default_str();
  command->add_option("--secondary", flags->options.secondary, "Secondary signing key")
      ->capture_default_str();
  command->callback([flags, &run] { run = [flags] { return serve(*flags); }; });
}

}  // namespace eventrelay::cli
