// eventrelay status: prints the readiness and the status page of running services.
//
// Thread:  main.
#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <memory>

#include "cli/admin/admin_client.hpp"
#include "cli/admin/status_view.hpp"

namespace eventrelay::cli {
namespace {

void print_text(const AdminPeer& peer, const ClientResponse& ready, const ClientResponse& status) {
  const std::string& base = peer.base;
  fmt::print("{} {}\n", base, ready.status == 200 ? "ready" : "not ready " + ready.body);
  boost::system::error_code error;
  const auto parsed = boost::json::parse(status.body, error);
  if (error || !parsed.is_object()) throw HttpFailure(base + ": its status is not a JSON object");
  fmt::print("{}", status_lines(parsed.get_object(), wall_now()));
  fmt::print("{}", given_up_line(ask_admin(peer, "GET", "/metrics").body));
}

bool show(const AdminPeer& peer, bool json) {
  const std::string& base = peer.base;
  try {
    const ClientResponse ready = ask_admin(peer, "GET", "/readyz");
    const ClientResponse status = ask_admin(peer, "GET", "/api/v1/status");
    if (status.status != 200) {
      throw HttpFailure(base + ": " + std::to_string(status.status) + " " + status.body);
    }
    if (json) {
      fmt::print(R"({{"admin":"{}","readiness":{},"status":{}}})"
                 "\n",
                 base, ready.body, status.body);
    } else {
      print_text(peer, ready, status);
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
  auto flags = std::make_shared<AdminFlags>();
  add_admin_flags(*command, *flags);
  command->callback([flags, &run] {
    run = [flags] {
      bool all = true;
      for (const AdminPeer& peer : admin_peers(*flags, {"ingest", "relay"})) {
        all = show(peer, flags->json) && all;
      }
      return all ? Exit::Ok : Exit::Failed;
    };
  });
}

}  // namespace eventrelay::cli
