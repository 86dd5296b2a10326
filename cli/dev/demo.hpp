// The demo of `eventrelay dev`: its instance, its signed event, and what to tell the user.
//
// Owner:   dev.cpp.  Thread: main.  Bounds: none of its own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cli/http/http_client.hpp"
#include "cli/webhook/receiver.hpp"
#include "common/base/clock.hpp"
#include "common/registry/settings.hpp"

namespace eventrelay::cli {

inline constexpr std::string_view kDemoSourceKey = "SamplePrimaryKey";
inline constexpr std::string_view kDemoCallbackKey = "MySecretEventSignatureKey";
inline constexpr std::string_view kDemoUser = "demo-user-secret";
inline constexpr std::string_view kDemoOrganization = "demo-organization-secret";

// Flags of `dev`.
struct DevFlags {
  std::string listen = "127.0.0.1:8080";
  std::string admin = "127.0.0.1:9464";
  std::uint16_t callback_port = 0;
  std::string kafka;
  std::string config;
  std::string files;  // folder for logs and scripts; empty: a new one; "-": none
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
  std::string folder;    // of logs and scripts, ending in '/'; empty: there is none
};

// What has happened: the event that went in, and the callback that came out. `problem`: of its
// signature, empty if it is genuine.
[[nodiscard]] std::string story(const Guide& guide, const Delivery& delivery,
                                const std::string& problem);
// What to try, with commands that work as they stand, and where the rest is.
[[nodiscard]] std::string guide_text(const Guide& guide);
// Every call of the demo by hand.
[[nodiscard]] std::string tour_text(const Guide& guide);
// One signed event by curl, good for ten minutes.
[[nodiscard]] std::string event_script(const Guide& guide);

}  // namespace eventrelay::cli
