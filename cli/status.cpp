// eventrelay status: what running services say of themselves.
//
// Thread:  main.
#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fstream>
#include <memory>

#include "cli/command.hpp"
#include "cli/http_client.hpp"

namespace eventrelay::cli {
namespace {

// Flags of `status`. Thread: main.
struct StatusFlags {
  std::vector<std::string> admin{"http://127.0.0.1:9464", "http://127.0.0.1:9465"};
  std::string token_file;
  bool json = false;
};

std::string bearer(const std::string& path) {
  std::ifstream file(path);
  std::string token;
  if (!std::getline(file, token) || token.empty()) {
    throw Failure(Exit::Usage, "--token-file " + path + ": cannot be read or is empty");
  }
  return "Bearer " + token;
}

ClientResponse ask(const StatusFlags& flags, const std::string& base, const std::string& path) {
  ClientRequest request;
  request.path = path;
  if (!flags.token_file.empty()) {
    request.headers.emplace_back("Authorization", bearer(flags.token_file));
  }
  return fetch(parse_target(base), request);
}

void print_flat(const boost::json::value& value, const std::string& indent) {
  if (!value.is_object()) return;
  for (const auto& [key, member] : value.get_object()) {
    const std::string name(key);
    if (member.is_object()) {
      fmt::print("{}{}:\n", indent, name);
      print_flat(member, indent + "  ");
    } else if (member.is_array() && !member.get_array().empty() &&
               member.get_array().front().is_object()) {
      fmt::print("{}{}:\n", indent, name);
      for (const auto& item : member.get_array()) {
        fmt::print("{}  -\n", indent);
        print_flat(item, indent + "    ");
      }
    } else {
      fmt::print("{}{}: {}\n", indent, name, boost::json::serialize(member));
    }
  }
}

bool show(const StatusFlags& flags, const std::string& base) {
  try {
    const ClientResponse ready = ask(flags, base, "/readyz");
    const ClientResponse status = ask(flags, base, "/api/v1/status");
    if (status.status != 200) {
      throw HttpFailure(base + ": " + std::to_string(status.status) + " " + status.body);
    }
    if (flags.json) {
      fmt::print(R"({{"admin":"{}","readiness":{},"status":{}}})"
                 "\n",
                 base, ready.body, status.body);
    } else {
      fmt::print("{} {}\n", base, ready.status == 200 ? "ready" : "not ready " + ready.body);
      print_flat(boost::json::parse(status.body), "  ");
    }
    return ready.status == 200;
  } catch (const HttpFailure& failure) {
    fmt::print(stderr, "eventrelay: {}\n", failure.what());
    return false;
  }
}

}  // namespace

void add_status(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "status", "Ask running services how they are; exit 1 unless every one is ready");
  auto flags = std::make_shared<StatusFlags>();
  command->add_option("--admin", flags->admin, "Admin address, http://HOST:PORT; may be repeated")
      ->capture_default_str();
  command->add_option("--token-file", flags->token_file, "File with the admin token");
  command->add_flag("--json", flags->json, "One JSON object per service");
  command->callback([flags, &run] {
    run = [flags] {
      bool all = true;
      for (const auto& base : flags->admin) all = show(*flags, base) && all;
      return all ? Exit::Ok : Exit::Failed;
    };
  });
}

}  // namespace eventrelay::cli
