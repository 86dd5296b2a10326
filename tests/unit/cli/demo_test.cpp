#include "cli/demo.hpp"

#include <gtest/gtest.h>

#include "cli/signing.hpp"

namespace eventrelay::cli {
namespace {

TEST(Demo, ItsConfigurationLoadsAndKnowsItsInstance) {
  const auto settings = load_settings(demo_input(DevFlags(), 9000, "127.0.0.1:9092"));
  const Instance* instance = settings->registry.find(InstanceId{427'236});
  ASSERT_NE(instance, nullptr);
  ASSERT_EQ(instance->subscriptions.size(), 1U);
  EXPECT_EQ(instance->subscriptions[0].url->port, 9000);
  EXPECT_TRUE(instance->subscriptions[0].delivery->allow_http);
}

TEST(Demo, LeavesTheTopicsOfTheEmbeddedBrokerAlone) {
  EXPECT_FALSE(load_settings(demo_input(DevFlags(), 1, "127.0.0.1:1"))->config.topics.create);
  DevFlags flags;
  flags.kafka = "127.0.0.1:9092";
  EXPECT_TRUE(load_settings(demo_input(flags, 1, flags.kafka))->config.topics.create);
}

TEST(Demo, SignsAnEventThatIsGenuineNow) {
  const WallTime now{std::chrono::seconds(1'700'000'000)};
  const ClientRequest request = demo_request(now);
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
