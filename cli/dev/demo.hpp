// The demo of `eventrelay dev`: its instance, its signed event, and what to tell the user.
//
// Owner:   dev.cpp.  Thread: main.  Bounds: none of its own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cli/http/http_client.hpp"
#include "common/base/clock.hpp"
#include "common/registry/settings.hpp"

namespace eventrelay::cli {

inline constexpr std::string_view kDemoSourceKey = "SamplePrimaryKey";
inline constexpr std::string_view kDemoCallbackKey = "MySecretEventSignatureKey";
inline constexpr std::string_view kDemoUser = "demo-user-secret";
inline constexpr std::string_view kDemoOrganization = "demo-organization-secret";

// Flags of `dev`. Thread: main.
struct DevFlags {
  std::string listen = "127.0.0.1:8080";
  std::string admin = "127.0.0.1:9464";
  std::uint16_t callback_port = 0;
  std::string kafka;
  std::string config;
  bool once = false;
};

// The demo's configuration, or the user's file with broker and addresses set. `box` is where the
// stand-in of Box listens, host:port; with the user's file there is none.
[[nodiscard]] ConfigInput demo_input(const DevFlags& flags, std::uint16_t callback_port,
                                     const std::string& bootstrap, const std::string& box);
// `address` with the next port; port 0 stays 0.
[[nodiscard]] std::string next_address(const std::string& address);
// `address` with a free port in the place of 0.
[[nodiscard]] std::string with_port(const std::string& address);
// One Box V2 event for an instance, signed now.
[[nodiscard]] ClientRequest demo_request(WallTime now, std::string_view instance);
// The calls of the tour: an instance of the code, and its webhook.
[[nodiscard]] ClientRequest demo_instance(const std::string& code, std::uint16_t callback_port);
[[nodiscard]] ClientRequest demo_webhook(const std::string& token, std::string_view folder);

// The addresses of what `dev` has started.
struct Guide {
  const DevFlags& flags;
  std::string listen;
  std::string ingest_admin;
  std::string relay_admin;
  std::uint16_t callback_port;
  std::string kafka;     // empty: the embedded broker
  std::string box;       // the stand-in, host:port
  std::string instance;  // its id; empty: the user's own configuration
  std::string token;     // of the instance
};

// Prints the addresses, a curl that works as it stands for ten minutes, and further commands.
void print_guide(const Guide& guide);

}  // namespace eventrelay::cli
