#include "cli/admin/admin_client.hpp"

#include <fstream>
#include <memory>
#include <utility>

namespace eventrelay::cli {
namespace {

Secret token_of(const std::string& path) {
  std::ifstream file(path);
  std::string token;
  if (!std::getline(file, token) || token.empty()) {
    throw Failure(Exit::Usage, "--token-file " + path + ": cannot be read or is empty");
  }
  return Secret(std::move(token));
}

// Where the listener of a service is reached from this machine; empty `listen`: its default.
std::string reached(std::string_view service, const std::string& listen) {
  if (listen.empty()) return service == "relay" ? "127.0.0.1:9465" : "127.0.0.1:9464";
  if (listen.ends_with(":0")) {
    throw Failure(Exit::Usage, "the configuration leaves the admin port of " +
                                   std::string(service) +
                                   " to the kernel; name it with --admin HOST:PORT");
  }
  if (listen.rfind("0.0.0.0:", 0) == 0) return "127.0.0.1:" + listen.substr(8);
  if (listen.rfind("[::]:", 0) == 0) return "[::1]:" + listen.substr(5);
  return listen;
}

// A URL; HOST:PORT is one without its scheme.
std::string as_url(const std::string& address) {
  const bool bare = address.find("://") == std::string::npos;
  std::string url = bare ? "http://" + address : address;
  try {
    (void)parse_target(url);
    const std::size_t colon = address.rfind(':');
    if (bare && (colon == std::string::npos || address.find(']', colon) != std::string::npos)) {
      throw HttpFailure("no port");
    }
  } catch (const HttpFailure&) {
    throw Failure(Exit::Usage, "--admin `" + address + "`: expected http://HOST:PORT or HOST:PORT");
  }
  while (url.ends_with('/')) url.pop_back();
  return url;
}

}  // namespace

void add_admin_flags(CLI::App& command, AdminFlags& flags) {
  flags.input.environment = process_environment();
  command.add_option("--admin", flags.admin,
                     "Admin address, HOST:PORT or http://HOST:PORT; may be repeated; default: "
                     "that of the configuration, or 127.0.0.1:9464 (ingest) and :9465 (relay)");
  command
      .add_option("-c,--config", flags.input.path,
                  "Configuration file whose admin listeners to ask")
      ->envname("EVENTRELAY_CONFIG");
  command.add_option("--set", flags.input.overrides, "Override, key=value; may be repeated")
      ->allow_extra_args(false);
  command.add_option("--token-file", flags.token_file,
                     "File with the admin token; default: that of the configuration");
  command.add_flag("--json", flags.json, "One JSON object per service");
}

std::vector<AdminPeer> admin_peers(const AdminFlags& flags,
                                   const std::vector<std::string_view>& services) {
  std::optional<Secret> token;
  if (!flags.token_file.empty()) token = token_of(flags.token_file);
  std::vector<AdminPeer> peers;
  for (const std::string& address : flags.admin) peers.push_back({as_url(address), token});
  if (!peers.empty() && (token || flags.input.path.empty())) return peers;
  std::shared_ptr<const Settings> settings;
  if (!flags.input.path.empty()) settings = load_settings(flags.input);
  for (const std::string_view service : services) {
    const AdminConfig admin = settings ? admin_of(settings->config, service) : AdminConfig();
    if (flags.admin.empty()) {
      peers.push_back({as_url(reached(service, admin.listen)), token ? token : admin.token});
    } else {
      for (AdminPeer& peer : peers) {
        if (!peer.token) peer.token = admin.token;
      }
    }
  }
  return peers;
}

ClientResponse ask_admin(const AdminPeer& peer, std::string_view method, const std::string& path) {
  ClientRequest request;
  request.method = method;
  request.path = path;
  // What a form of a foreign page can not send: without a token a listener asks for it.
  if (method != "GET") request.headers.emplace_back("Content-Type", "application/json");
  if (peer.token) {
    request.headers.emplace_back("Authorization", "Bearer " + std::string(peer.token->reveal()));
  }
  return fetch(parse_target(peer.base), request);
}

}  // namespace eventrelay::cli
