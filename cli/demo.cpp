#include "cli/demo.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>

#include "cli/signing.hpp"
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

ClientRequest demo_webhook(const std::string& token) {
  ClientRequest request;
  request.method = "POST";
  request.path = "/elements/api-v2/hubs/documents/webhooks";
  request.headers = {{"Authorization", fmt::format("User {}, Element {}", kDemoUser, token)},
                     {"Content-Type", "application/json"}};
  request.body =
      R"({"target":{"id":"1000","type":"folder"},"triggers":["FILE.UPLOADED","FILE.TRASHED"]})";
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

std::string as_curl(const std::string& address, const ClientRequest& request,
                    std::string_view flags = "-s") {
  std::string curl = fmt::format("curl {} http://{}{}", flags, address, request.path);
  for (const auto& [name, value] : request.headers) {
    curl += fmt::format(" \\\n  -H '{}: {}'", name, value);
  }
  return curl + fmt::format(" \\\n  --data-binary '{}'", request.body);
}

void print_tour(const Guide& guide) {
  const ClientRequest event =
      demo_request(wall_now() + std::chrono::milliseconds(1), guide.instance);
  fmt::print(
      "\nWalk it by hand (user secret {0}, organization secret {1}):\n"
      "1. a code, as Box sends it to your page:\n"
      "curl -s -XPOST http://{2}/standin/grant\n"
      "2. an instance of it:\n{3}\n"
      "3. a webhook of Box V2, with the instance's token:\n{4}\n"
      "4. an upload at the stand-in: its event comes back signed\n"
      "curl -s -XPOST http://{2}/standin/upload -d '{{\"name\":\"b.txt\",\"parent\":\"1000\"}}'\n"
      "5. what there is:\n"
      "curl -s -H 'Authorization: {5}' http://{6}/elements/api-v2/instances\n\n"
      "An event straight to ingest (signed, good for ten minutes):\n{7}\n\n"
      "Or: eventrelay send box-v2 --url http://{8}{9} --key {10} --count 10\n",
      kDemoUser, kDemoOrganization, guide.box,
      as_curl(guide.ingest_admin, demo_instance("<CODE>", guide.callback_port)),
      as_curl(guide.ingest_admin, demo_webhook(guide.token)), platform(), guide.ingest_admin,
      as_curl(guide.listen, event, "-i"), guide.listen, event.path, kDemoSourceKey);
}

}  // namespace

void print_guide(const Guide& guide) {
  fmt::print(
      "eventrelay dev is up.{}\n"
      "  ingest    http://{}\n"
      "  receiver  http://127.0.0.1:{}/events\n"
      "  admin     http://{} (ingest, control API)  http://{} (relay): /metrics /readyz "
      "/api/v1/status\n",
      guide.kafka.empty() ? " The broker is embedded and VOLATILE: events end with this process."
                          : " Kafka at " + guide.kafka + ".",
      guide.listen, guide.callback_port, guide.ingest_admin, guide.relay_admin);
  if (!guide.box.empty()) {
    fmt::print("  box       http://{} (a stand-in)\n", guide.box);
    fmt::print("  console   http://{}/console/ (user secret {}, organization secret {})\n",
               guide.ingest_admin, kDemoUser, kDemoOrganization);
  }
  if (!guide.instance.empty()) print_tour(guide);
  fmt::print("Ctrl-C ends it.\n\n");
  std::fflush(stdout);
}

}  // namespace eventrelay::cli
