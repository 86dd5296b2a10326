// One question to a service's admin listener, with the token of a file.
//
// Owner:   the command.  Thread: main.  Bounds: as http_client.
// Errors:  HttpFailure; Failure where the token cannot be read.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command/command.hpp"
#include "cli/http/http_client.hpp"
#include "common/base/secret.hpp"
#include "common/registry/settings.hpp"

namespace eventrelay::cli {

// Flags of a command that asks admin listeners.
struct AdminFlags {
  std::vector<std::string> admin;  // http://HOST:PORT, or HOST:PORT
  std::string token_file;
  ConfigInput input;
  bool json = false;
};

// One listener, and what to show it.
struct AdminPeer {
  std::string base;  // http://HOST:PORT
  std::optional<Secret> token;
};

// --admin, --token-file, -c, --set and --json.
void add_admin_flags(CLI::App& command, AdminFlags& flags);

// Whom to ask: where --admin was not given, the listeners of `services` as the configuration names
// them, or where they are without one; a wildcard address is asked on loopback. Throws Failure.
[[nodiscard]] std::vector<AdminPeer> admin_peers(const AdminFlags& flags,
                                                 const std::vector<std::string_view>& services);

[[nodiscard]] ClientResponse ask_admin(const AdminPeer& peer, std::string_view method,
                                       const std::string& path);

}  // namespace eventrelay::cli
