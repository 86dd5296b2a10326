#include "common/kafka/topics.hpp"

#include <gtest/gtest.h>

#include "common/base/start_error.hpp"
#include "tests/component/common/kafka/fixture.hpp"

namespace eventrelay::kafka::testing {
namespace {

Config small_config() {
  Config config;
  config.topics.partitions = 4;
  config.retry.delays = {seconds{5}};
  return config;
}

std::string failure(const KafkaConfig& kafka, const std::vector<TopicSpec>& plan, Create create) {
  try {
    (void)ensure_topics(kafka, plan, create);
  } catch (const StartError& error) {
    return error.what();
  }
  return {};
}

TEST(EnsureTopics, LetsTheEmbeddedBrokerCreateThem) {
  MockCluster cluster;
  const auto plan = topic_plan(small_config());
  EXPECT_EQ(ensure_topics(config_for(cluster), plan, Create::Automatic), 4);
  EXPECT_EQ(ensure_topics(config_for(cluster), plan, Create::No), 4);
}

TEST(EnsureTopics, NamesAMissingTopicAndTheWayOut) {
  MockCluster cluster;
  const std::string text = failure(config_for(cluster), topic_plan(small_config()), Create::No);
  EXPECT_NE(text.find("eventrelay.events"), text.npos) << text;
  EXPECT_NE(text.find("topics.create: true"), text.npos) << text;
}

TEST(EnsureTopics, NamesTopicsWhosePartitionsDisagree) {
  MockCluster cluster;
  const auto plan = topic_plan(small_config());
  for (const TopicSpec& spec : plan) {
    cluster.create_topic(spec.name, spec.name == "eventrelay.dead" ? 3 : 6);
  }
  const std::string text = failure(config_for(cluster), plan, Create::No);
  EXPECT_NE(text.find("\"eventrelay.dead\" has 3 partitions"), text.npos) << text;
  EXPECT_NE(text.find("\"eventrelay.events\" has 6"), text.npos) << text;
}

}  // namespace
}  // namespace eventrelay::kafka::testing
