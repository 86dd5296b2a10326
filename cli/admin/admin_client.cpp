#include "cli/admin/admin_client.hpp"

#include <fstream>

namespace eventrelay::cli {
namespace {

std::string bearer(const std::string& path) {
  std::ifstream file(path);
  std::string token;
  if (!std::getline(file, token) || token.empty()) {
    throw Failure(Exit::Usage, "--token-file " + path + ": cannot be read or is empty");
  }
  return "Bearer " + token;
}

}  // namespace

void add_admin_flags(CLI::App& command, AdminFlags& flags) {
  command.add_option("--admin", flags.admin, "Admin address, http://HOST:PORT; may be repeated")
      ->capture_default_str();
  command.add_option("--token-file", flags.token_file, "File with the admin token");
  command.add_flag("--json", flags.json, "One JSON object per service");
}

ClientResponse ask_admin(const AdminFlags& flags, const std::string& base, std::string_view method,
                         const std::string& path) {
  ClientRequest request;
  request.method = method;
  request.path = path;
  // What a form of a foreign page can not send: without a token a listener asks for it.
  if (method != "GET") request.headers.emplace_back("Content-Type", "application/json");
  if (!flags.token_file.empty()) {
    request.headers.emplace_back("Authorization", bearer(flags.token_file));
  }
  return fetch(parse_target(base), request);
}

}  // namespace eventrelay::cli
