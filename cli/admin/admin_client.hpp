// One question to a service's admin listener, with the token of a file.
//
// Owner:   the command.  Thread: main.  Bounds: as http_client.
// Errors:  HttpFailure; Failure where the token cannot be read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/command/command.hpp"
#include "cli/http/http_client.hpp"

namespace eventrelay::cli {

// Which listeners to ask, and how.
struct AdminFlags {
  std::vector<std::string> admin;
  std::string token_file;
  bool json = false;
};

// --admin, --token-file and --json; the addresses already in `flags` are the default.
void add_admin_flags(CLI::App& command, AdminFlags& flags);

[[nodiscard]] ClientResponse ask_admin(const AdminFlags& flags, const std::string& base,
                                       std::string_view method, const std::string& path);

}  // namespace eventrelay::cli
