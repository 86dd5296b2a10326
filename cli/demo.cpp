#include "cli/demo.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>

#include "cli/signing.hpp"
#include "common/base/crypto.hpp"
#include "common/providers/provider.hpp"

namespace eventrelay::cli {
namespace {

std::string demo_yaml(const DevFlags& flags, std::uint16_t callback_port,
                      const std::string& bootstrap) {
  return fmt::format(
      "version: 1\n"
      "kafka: {{bootstrap.servers: \"{}\"}}\n"
      "topics: {{create: {}}}\n"
      "ingest: {{listen: \"{}\", shards: 1, drain_delay: 0s}}\n"
      "relay: {{shards: 1}}\n"
      "sources:\n  box: {{keys: [{}]}}\n"
      "instances:\n"
      "  - id: {}\n    name: demo\n    element: box\n    configuration:\n"
      "      event.notification.enabled: true\n"
      "      event.notification.callback.url: http://127.0.0.1:{}/events\n"
      "      event.notification.signature.key: {}\n"
      "      oauth.user.id: \"226067247\"\n"
      "    delivery: {{allow_http: true, allow_private_addresses: true}}\n",
      bootstrap, flags.kafka.empty() ? "false" : "true", flags.listen, kDemoSourceKey,
      kDemoInstance, callback_port, kDemoCallbackKey);
}

std::string demo_path() {
  return "/elements/api-v2/events/box/" + crypto::base64(kDemoInstance);
}

}  // namespace

ConfigInput demo_input(const DevFlags& flags, std::uint16_t callback_port,
                       const std::string& bootstrap) {
  ConfigInput input;
  input.environment = process_environment();
  if (flags.config.empty()) {
    input.text = demo_yaml(flags, callback_port, bootstrap);
    return input;
  }
  input.path = flags.config;
  input.overrides = {"kafka.bootstrap.servers=" + bootstrap, "ingest.listen=" + flags.listen};
  if (flags.kafka.empty()) input.overrides.emplace_back("topics.create=false");
  return input;
}

std::string next_address(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  unsigned port = 0;
  std::from_chars(address.data() + colon + 1, address.data() + address.size(), port);
  return address.substr(0, colon + 1) + std::to_string(port == 0 ? 0 : port + 1);
}

ClientRequest demo_request(WallTime now) {
  ClientRequest request;
  request.method = "POST";
  request.path = demo_path();
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

void print_guide(const Guide& guide) {
  const ClientRequest request = demo_request(wall_now() + std::chrono::milliseconds(1));
  std::string curl = fmt::format("curl -i http://{}{}", guide.listen, request.path);
  for (const auto& [name, value] : request.headers)
    curl += fmt::format(" \\\n  -H '{}: {}'", name, value);
  curl += fmt::format(" \\\n  --data-binary '{}'", request.body);
  fmt::print(
      "eventrelay dev is up.{}\n"
      "  ingest    http://{}{}\n"
      "  receiver  http://127.0.0.1:{}/events\n"
      "  admin     http://{} (ingest)  http://{} (relay): /metrics /readyz /api/v1/status\n\n"
      "Paste this (signed, good for ten minutes):\n{}\n\n"
      "Or: eventrelay send box-v2 --url http://{}{} --key {} --count 10\n"
      "Ctrl-C ends it.\n\n",
      guide.kafka.empty() ? " The broker is embedded and VOLATILE: events end with this process."
                          : " Kafka at " + guide.kafka + ".",
      guide.listen, request.path, guide.callback_port, guide.ingest_admin, guide.relay_admin, curl,
      guide.listen, request.path, kDemoSourceKey);
  std::fflush(stdout);
}

}  // namespace eventrelay::cli
