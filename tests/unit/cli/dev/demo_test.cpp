#include "cli/dev/demo.hpp"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace eventrelay::cli
