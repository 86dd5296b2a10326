#include "cli/dev/demo.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "cli/webhook/signing.hpp"

namespace eventrelay::cli {
namespace {

TEST(Demo, ItsConfigurationLoads) {
  const auto settings =
      load_settings(demo_input(DevFlags(), 9000, "127.0.0.1:9092", "127.0.0.1:8090"));
  const Config& config = settings->config;
  EXPECT_EQ(config.registry, "topic");
  EXPECT_TRUE(config.control.enabled);
  EXPECT_EQ(config.providers.box.api_url, "http://127.0.0.1:8090/2.0");
  EXPECT_EQ(config.control.delivery_defaults.ports, std::vector<std::uint16_t>{9000});
  EXPECT_TRUE(config.control.delivery_defaults.allow_http);
}

TEST(Demo, LeavesTheTopicsOfTheEmbeddedBrokerAlone) {
  EXPECT_FALSE(
      load_settings(demo_input(DevFlags(), 1, "127.0.0.1:1", "127.0.0.1:2"))->config.topics.create);
  DevFlags flags;
  flags.kafka = "127.0.0.1:9092";
  EXPECT_TRUE(
      load_settings(demo_input(flags, 1, flags.kafka, "127.0.0.1:2"))->config.topics.create);
}

TEST(Demo, SignsAnEventThatIsGenuineNow) {
  const WallTime now{std::chrono::seconds(1'700'000'000)};
  const ClientRequest request = demo_request(now, "427236");
  Signed message;
  message.headers = request.headers;
  message.body = request.body;
  EXPECT_EQ(judge(scheme_named("box-v2"), keys_from({std::string(kDemoSourceKey)}), message, now),
            "");
}

TEST(Demo, PutsTheRelaysAdminPortBesideTheOther) {
  EXPECT_EQ(next_address("127.0.0.1:9464"), "127.0.0.1:9465");
  EXPECT_EQ(next_address("127.0.0.1:0"), "127.0.0.1:0");
}

// Rows of a terminal of 80 columns.
std::size_t rows(const std::string& text) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    count += std::max<std::size_t>(1, (end - at + 79) / 80);
    at = end + 1;
  }
  return count;
}

Guide demo_guide(const DevFlags& flags) {
  return {flags,
          "127.0.0.1:8080",
          "127.0.0.1:9464",
          "127.0.0.1:9465",
          43'210,
          "",
          "127.0.0.1:38123",
          "1",
          "a-token-of-the-instance",
          "/tmp/eventrelay-dev-Ab12Cd/"};
}

TEST(Demo, WhatHappenedAndWhatToTryFitsOneScreen) {
  const DevFlags flags;
  const Guide guide = demo_guide(flags);
  Delivery delivery;
  delivery.method = "POST";
  delivery.target = "/events";
  delivery.answered = 200;
  delivery.headers = {{"Elements-Webhook-Id", "5b6f0a8e-6f1c-8d35-9f5e-7d3a5d1c2b4a"}};
  delivery.body =
      R"({"id":1585132313708707,"topic":"instance-1-box-events","severity":"low",)"
      R"("createdDate":"2026-03-01T17:10:33Z","message":{"raw":)" +
      demo_request(WallTime{std::chrono::seconds(1'700'000'000)}, "1").body +
      R"(,"elementKey":"box","accountId":10,"eventId":"5b6f0a8e-6f1c-8d35-9f5e-7d3a5d1c2b4a",)"
      R"("companyId":1,"instanceId":1,"instance_id":1,"instanceName":"demo",)"
      R"("instanceTags":["Docs"],"userId":100,"events":[{"objectId":"73835521473",)"
      R"("objectType":"file","eventType":"CREATED","elementKey":"box","hubKey":"documents",)"
      R"("date":"2026-03-01T17:10:32Z"}]}})";
  const std::string screen = story(guide, delivery, "") + guide_text(guide);
  EXPECT_LE(rows(screen), 23U) << screen;  // and a row for the cursor
  for (const char* text : {"signature verified", "\"events\": [{\"objectId\"", " send box-v2",
                           "event.sh", "services.log", "VOLATILE", "curl -s -w", "/console/",
                           "demo-user-secret", "demo-organization-secret"}) {
    EXPECT_NE(screen.find(text), std::string::npos) << text;
  }
  EXPECT_NE(story(guide, delivery, "no header").find("NOT GENUINE: no header"), std::string::npos);
}

TEST(Demo, EveryCurlEndsItsAnswerWithANewline) {
  const DevFlags flags;
  const Guide guide = demo_guide(flags);
  const std::string all = guide_text(guide) + tour_text(guide) + event_script(guide);
  std::size_t curls = 0;
  for (std::size_t at = 0; (at = all.find("\ncurl ", at)) != std::string::npos; ++at, ++curls) {
    EXPECT_EQ(all.substr(at, 17), "\ncurl -s -w '\\n' ") << all.substr(at, 60);
  }
  EXPECT_EQ(curls, 9U);
}

}  // namespace
}  // namespace eventrelay::cli
