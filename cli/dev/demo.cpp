#include "cli/dev/demo.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "cli/provider/box_world.hpp"
#include "cli/webhook/json_view.hpp"
#include "cli/webhook/signing.hpp"
#include "common/base/crypto.hpp"
#include "common/http/listen_address.hpp"
#include "common/providers/provider.hpp"

namespace eventrelay::cli {
namespace {

std::string demo_yaml(const DevFlags& flags, std::uint16_t callback_port,
                      const std::string& bootstrap, const std::string& box) {
  // The demo's master key; everything of the demo is public.
  const std::string seal = crypto::base64("eventrelay-demo-master-key-32byt");
  return fmt::format(
      "version: 1\n"
      "kafka: {{bootstrap.servers: \"{0}\"}}\n"
      "topics: {{create: {1}}}\n"
      "ingest: {{listen: \"{2}\", shards: 1, drain_delay: 0s, public_url: \"http://{2}\"}}\n"
      "relay: {{shards: 1}}\n"
      "registry: topic\n"
      "seal: {{keys: [{{id: demo, key: \"{3}\"}}]}}\n"
      "sources:\n  box: {{keys: [{4}, SampleSecondaryKey]}}\n"
      "providers:\n  box:\n"
      "    authorize_url: http://{5}/api/oauth2/authorize\n"
      "    token_url: http://{5}/oauth2/token\n"
      "    revoke_url: http://{5}/oauth2/revoke\n"
      "    api_url: http://{5}/2.0\n"
      "control:\n  enabled: true\n  organizations:\n"
      "    - {{id: 1, name: demo, secret: {6}, accounts: [{{id: 10, name: demo, users: [{{id: 100, "
      "secret: {7}}}]}}]}}\n"
      "  delivery_defaults: {{allow_http: true, allow_private_addresses: true, ports: [{8}]}}\n",
      bootstrap, flags.kafka.empty() ? "false" : "true", flags.listen, seal, kDemoSourceKey, box,
      kDemoOrganization, kDemoUser, callback_port);
}

std::string event_path(std::string_view instance) {
  return "/elements/api-v2/events/box/" + crypto::base64(instance);
}

std::string platform() {
  return fmt::format("User {}, Organization {}", kDemoUser, kDemoOrganization);
}

}  // namespace

ConfigInput demo_input(const DevFlags& flags, std::uint16_t callback_port,
                       const std::string& bootstrap, const std::string& box) {
  ConfigInput input;
  input.environment = process_environment();
  if (flags.config.empty()) {
    input.text = demo_yaml(flags, callback_port, bootstrap, box);
    return input;
  }
  input.path = flags.config;
  input.overrides = {"kafka.bootstrap.servers=" + bootstrap, "ingest.listen=" + flags.listen};
  if (flags.kafka.empty()) input.overrides.emplace_back("topics.create=false");
  return input;
}

std::string with_port(const std::string& address) {
  if (!address.ends_with(":0")) return address;
  asio::io_context loop(1);
  Acceptor acceptor(loop.get_executor(), listen_endpoint(address));
  return print_endpoint(acceptor.local_endpoint());
}

ClientRequest demo_instance(const std::string& code, std::uint16_t callback_port) {
  ClientRequest request;
  request.method = "POST";
  request.path = "/elements/api-v2/instances";
  request.headers = {{"Authorization", platform()}, {"Content-Type", "application/json"}};
  request.body =
      fmt::format(R"({{"element":{{"key":"box"}},"providerData":{{"code":"{}"}},)"
                  R"("configuration":{{"oauth.callback.url":"https://mycoolapp.com/auth",)"
                  R"("oauth.api.key":"box-client-id","oauth.api.secret":"box-client-secret",)"
                  R"("event.notification.enabled":true,)"
                  R"("event.notification.callback.url":"http://127.0.0.1:{}/events",)"
                  R"("event.notification.signature.key":"{}"}},"tags":["Docs"],"name":"demo"}})",
                  code, callback_port, kDemoCallbackKey);
  return request;
}

ClientRequest demo_webhook(const std::string& token, std::string_view folder) {
  ClientRequest request;
  request.method = "POST";
  request.path = "/elements/api-v2/hubs/documents/webhooks";
  request.headers = {{"Authorization", fmt::format("User {}, Element {}", kDemoUser, token)},
                     {"Content-Type", "application/json"}};
  request.body = fmt::format(
      R"({{"target":{{"id":"{}","type":"folder"}},"triggers":["FILE.UPLOADED","FILE.TRASHED"]}})",
      folder);
  return request;
}

std::string next_address(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  unsigned port = 0;
  std::from_chars(address.data() + colon + 1, address.data() + address.size(), port);
  return address.substr(0, colon + 1) + std::to_string(port == 0 ? 0 : port + 1);
}

ClientRequest demo_request(WallTime now, std::string_view instance) {
  ClientRequest request;
  request.method = "POST";
  request.path = event_path(instance);
  request.body = providers::sample_body(*providers::find_provider("box"),
                                        static_cast<std::uint64_t>(unix_ms(now)), 73'835'521'473U);
  const auto& scheme = scheme_named("box-v2");
  const std::string timestamp = providers::format_stamp(scheme.stamp, now);
  providers::SignInput input;
  input.timestamp = timestamp;
  input.body = request.body;
  request.headers.emplace_back("Content-Type", "application/json");
  request.headers.emplace_back("BOX-DELIVERY-ID", fmt::format("{:x}", unix_ms(now)));
  const auto keys = keys_from({std::string(kDemoSourceKey)});
  for (auto& field : providers::sign(scheme, keys, input)) {
    request.headers.emplace_back(std::move(field.name), std::move(field.value));
  }
  return request;
}

namespace {

constexpr std::size_t kScreenWidth = 80;

std::string as_curl(const std::string& address, const ClientRequest& request) {
  std::string curl = fmt::format("curl -s -w '\\n' http://{}{}", address, request.path);
  for (const auto& [name, value] : request.headers) {
    curl += fmt::format(" \\\n  -H '{}: {}'", name, value);
  }
  return curl + fmt::format(" \\\n  --data-binary '{}'", request.body);
}

// How this program is called from anywhere: by its name if the shell finds this one by it.
std::string own_program() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return "eventrelay";
  const char* const path = std::getenv("PATH");
  std::string_view folders = path == nullptr ? "" : path;
  while (!folders.empty()) {
    const std::string_view folder = folders.substr(0, folders.find(':'));
    folders.remove_prefix(std::min(folders.size(), folder.size() + 1));
    const std::filesystem::path found = std::filesystem::path(folder) / "eventrelay";
    if (!std::filesystem::exists(found, error)) continue;
    return std::filesystem::equivalent(found, self, error) ? "eventrelay" : self.string();
  }
  return self.string();
}

// One command over lines of a screen, which a shell takes as one.
std::string command_lines(const std::vector<std::string>& words) {
  constexpr std::string_view kNext = " \\\n    ";
  std::string text = "  ";
  std::size_t column = text.size();
  for (const std::string& word : words) {
    if (column > 4 && column + 1 + word.size() + 2 > kScreenWidth) {
      text += kNext;
      column = 4;
    } else if (column > 2) {
      text += ' ';
      ++column;
    }
    text += word;
    column += word.size();
  }
  return text + "\n";
}

}  // namespace

std::string story(const Guide& guide, const Delivery& delivery, const std::string& problem) {
  return fmt::format(
      "An upload at a stand-in of Box became one signed callback ({}):\n"
      "  {} {} on port {}, answered {}, signature {}{}\n{}\n",
      guide.kafka.empty() ? "embedded broker" : guide.kafka, delivery.method, delivery.target,
      guide.callback_port, delivery.answered,
      problem.empty() ? "verified" : "NOT GENUINE: ", problem,
      json_view(delivery.body, kScreenWidth, "message"));
}

std::string guide_text(const Guide& guide) {
  std::string text = fmt::format("ingest {}, admin {} (ingest) {} (relay)\n", guide.listen,
                                 guide.ingest_admin, guide.relay_admin);
  if (!guide.box.empty()) {
    text += fmt::format("http://{}/console/ ({}, {})\n", guide.ingest_admin, kDemoUser,
                        kDemoOrganization);
  }
  if (!guide.instance.empty()) {
    text += "Try in another terminal (all secrets are the demo's):\n" +
            command_lines({own_program(), "send box-v2", "--count 10",
                           "--key " + std::string(kDemoSourceKey),
                           "--url http://" + guide.listen + event_path(guide.instance)}) +
            fmt::format("  curl -s -w '\\n' http://{}/api/v1/status\n", guide.relay_admin);
  }
  if (!guide.instance.empty() && !guide.folder.empty()) {
    text += fmt::format("  sh {}event.sh   one signed event by curl\n", guide.folder);
  }
  if (!guide.folder.empty()) {
    text += fmt::format("In {}: services.log, tour.txt (all calls by hand)\n", guide.folder);
  }
  return text + (guide.kafka.empty()
                     ? "The broker is embedded and VOLATILE: events end with it. Ctrl-C ends all.\n"
                     : "Ctrl-C ends it.\n");
}

std::string tour_text(const Guide& guide) {
  const std::string api = "http://" + guide.ingest_admin + "/elements/api-v2";
  const std::string who = fmt::format("-H 'Authorization: {}'", platform());
  const BoxOptions box;
  return fmt::format(
             "The demo by hand. User secret {}, organization secret {}.\n"
             "The app at the stand-in: client id {}, client secret {},\n"
             "signature keys {} and {}.\n\n",
             kDemoUser, kDemoOrganization, box.client_id, box.client_secret, box.primary,
             box.secondary) +
         fmt::format(
             "1. where a user grants access: open `oauthUrl`, the code is in the address you are "
             "sent to\n"
             "curl -s -w '\\n' {0} "
             "'{1}/elements/box/oauth/url?apiKey={2}&callbackUrl=https://mycoolapp.com/auth'\n"
             "   or a code without a browser; it is good for 30 seconds\n"
             "curl -s -w '\\n' -XPOST http://{3}/standin/grant\n\n"
             "2. an instance of it; put the code in\n{4}\n\n",
             who, api, box.client_id, guide.box,
             as_curl(guide.ingest_admin, demo_instance("<CODE>", guide.callback_port))) +
         fmt::format(
             "3. a webhook of Box V2, with an instance's token (this is the demo's)\n{0}\n\n"
             "4. an upload at the stand-in: its event comes back signed\n"
             "curl -s -w '\\n' -XPOST http://{1}/standin/upload "
             "-d '{{\"name\":\"b.txt\",\"parent\":\"1001\"}}'\n\n"
             "5. the same by V1: what to paste at Box, and how the stand-in is told; put url and "
             "token in,\n   then 4 once more: its event comes twice, by V2 and by V1\n"
             "curl -s -w '\\n' {2} {3}/instances/{4}/setup\n"
             "curl -s -w '\\n' -XPOST http://{1}/standin/v1 "
             "-d '{{\"url\":\"<v1.url>\",\"token\":\"<token>\"}}'\n\n"
             "6. what there is\n"
             "curl -s -w '\\n' {2} {3}/instances\n",
             as_curl(guide.ingest_admin, demo_webhook(guide.token, "1001")), guide.box, who, api,
             guide.instance);
}

std::string event_script(const Guide& guide) {
  const ClientRequest event =
      demo_request(wall_now() + std::chrono::milliseconds(1), guide.instance);
  return "# One event of Box, signed; good for ten minutes.\n" + as_curl(guide.listen, event) +
         "\n";
}

}  // namespace eventrelay::cli
