#include <gtest/gtest.h>

#include <algorithm>

#include "common/kafka/topics.hpp"
#include "common/registry/settings.hpp"

namespace eventrelay::kafka {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string property(const TopicSpec& topic, std::string_view key) {
  const auto found = std::find_if(topic.config.begin(), topic.config.end(),
                                  [&](const auto& one) { return one.first == key; });
  return found == topic.config.end() ? "" : found->second;
}

Config config_with(std::vector<milliseconds> delays) {
  Config config;
  config.retry.delays = std::move(delays);
  return config;
}

TEST(TopicPlan, NamesEveryTopicWithEventsFirst) {
  Config config = config_with({seconds{5}, seconds{1800}, seconds{36000}});
  config.topics.prefix = "acme.";
  std::vector<std::string> names;
  for (const TopicSpec& topic : topic_plan(config)) names.push_back(topic.name);
  const std::vector<std::string> expected{"acme.events",    "acme.retry.5s", "acme.retry.30m",
                                          "acme.retry.10h", "acme.dead",     "acme.instances",
                                          "acme.state",     "acme.attempts"};
  EXPECT_EQ(names, expected);
}

TEST(TopicPlan, HasADelayTopicForEachWaitOfAProfile) {
  ConfigInput input;
  input.text = "retry: {delays: ce}";
  std::vector<std::string> names;
  for (const TopicSpec& topic : topic_plan(load_settings(input)->config)) {
    if (topic.name.find(".retry.") != std::string::npos) names.push_back(topic.name);
  }
  const std::vector<std::string> expected{"eventrelay.retry.8s", "eventrelay.retry.56s",
                                          "eventrelay.retry.448s", "eventrelay.retry.3584s",
                                          "eventrelay.retry.28672s"};
  EXPECT_EQ(names, expected);
}

TEST(TopicPlan, GivesAllTopicsThePartitionsAndReplicasAsked) {
  Config config = config_with({seconds{5}});
  config.topics.partitions = 48;
  config.topics.replication_factor = 3;
  for (const TopicSpec& topic : topic_plan(config)) {
    EXPECT_EQ(topic.partitions, 48) << topic.name;
    EXPECT_EQ(topic.replication_factor, 3) << topic.name;
  }
}

TEST(TopicPlan, RequiresEqualPartitionsOfEventTopicsOnly) {
  for (const TopicSpec& topic : topic_plan(config_with({seconds{5}}))) {
    const bool free = topic.name == "eventrelay.instances" || topic.name == "eventrelay.attempts";
    EXPECT_EQ(topic.like_events, !free) << topic.name;
  }
}

TEST(TopicPlan, KeepsADelayTopicTwoDaysLongerThanItsDelay) {
  const auto plan = topic_plan(config_with({seconds{5}}));
  EXPECT_EQ(property(plan[0], "retention.ms"), "604800000");
  EXPECT_EQ(property(plan[1], "retention.ms"), "172805000");
  EXPECT_EQ(property(plan[2], "retention.ms"), "2592000000");
  EXPECT_EQ(property(plan[5], "retention.ms"), "604800000");
  EXPECT_EQ(property(plan[0], "cleanup.policy"), "delete");
}

TEST(TopicPlan, CompactsInstancesAndState) {
  const auto plan = topic_plan(config_with({seconds{5}}));
  EXPECT_EQ(property(plan[3], "cleanup.policy"), "compact");
  EXPECT_EQ(property(plan[4], "cleanup.policy"), "compact");
  EXPECT_EQ(property(plan[4], "min.compaction.lag.ms"), "3600000");
}

TEST(TopicPlan, LetsTheLargestBodyIn) {
  Config config = config_with({seconds{5}});
  config.ingest.body_max = 8U << 20;
  for (const TopicSpec& topic : topic_plan(config)) {
    if (property(topic, "max.message.bytes").empty()) continue;
    EXPECT_GT(std::stoul(property(topic, "max.message.bytes")), 8U << 20) << topic.name;
  }
  EXPECT_FALSE(property(topic_plan(config)[0], "max.message.bytes").empty());
}

TEST(DelayWord, UsesTheLargestUnitThatFits) {
  EXPECT_EQ(delay_word(milliseconds{250}), "250ms");
  EXPECT_EQ(delay_word(milliseconds{1500}), "1500ms");
  EXPECT_EQ(delay_word(seconds{5}), "5s");
  EXPECT_EQ(delay_word(seconds{90}), "90s");
  EXPECT_EQ(delay_word(seconds{300}), "5m");
  EXPECT_EQ(delay_word(seconds{7200}), "2h");
  EXPECT_EQ(delay_word(seconds{36000}), "10h");
}

}  // namespace
}  // namespace eventrelay::kafka
