#include "common/kafka/topics.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "common/kafka/record_size.hpp"
#include "common/kafka/topic_limits.hpp"
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
                                          "acme.state",     "acme.attempts", "acme.sums"};
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
    // One order of changes, and sums that are read by time: one partition, whatever is asked.
    const bool one = topic.name == "eventrelay.instances" || topic.name == "eventrelay.sums";
    EXPECT_EQ(topic.partitions, one ? 1 : 48) << topic.name;
    EXPECT_EQ(topic.replication_factor, 3) << topic.name;
  }
}

TEST(TopicPlan, RequiresEqualPartitionsOfEventTopicsOnly) {
  for (const TopicSpec& topic : topic_plan(config_with({seconds{5}}))) {
    const bool free = topic.name == "eventrelay.instances" || topic.name == "eventrelay.attempts" ||
                      topic.name == "eventrelay.sums";
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

// --- what fits ----------------------------------------------------------------------------------

// A record that a topic of events takes at all is taken by every topic it may be copied into, with
// the headers that parking adds.
TEST(RecordSize, WhatEventsTakesCanBeParked) {
  Config config = config_with({seconds{5}, seconds{60}});
  config.sources["box"].body_max = std::size_t{25} << 20;
  config.sources["small"].body_max = 1024;
  EXPECT_EQ(body_bytes_max(config), std::size_t{25} << 20);
  EXPECT_GT(accepted_bytes_max(config), (std::size_t{25} << 20) + (16U << 10));
  std::size_t events = 0;
  std::size_t copies = 0;
  for (const TopicSpec& topic : topic_plan(config)) {
    const std::string bytes = property(topic, "max.message.bytes");
    if (bytes.empty()) continue;
    if (topic.name == "eventrelay.events") {
      events = std::stoul(bytes);
      EXPECT_GE(events, accepted_bytes_max(config) + kBatchBytes);
    } else {
      ++copies;
      EXPECT_GE(std::stoul(bytes), events + kParkedBytes) << topic.name;
      EXPECT_GE(std::stoul(bytes), parked_bytes_max(config) + 4096) << topic.name;
    }
  }
  EXPECT_EQ(copies, 3U);
  EXPECT_GE(parked_bytes_max(config), events + 4096);
}

std::map<std::string, int> counts_of(const std::vector<TopicSpec>& plan, int partitions) {
  std::map<std::string, int> counts;
  for (const TopicSpec& topic : plan) counts[topic.name] = partitions;
  return counts;
}

std::map<std::string, std::size_t> sizes_of(const std::vector<TopicSpec>& plan) {
  std::map<std::string, std::size_t> sizes;
  for (const TopicSpec& topic : plan) {
    const std::string bytes = property(topic, "max.message.bytes");
    if (!bytes.empty()) sizes[topic.name] = std::stoul(bytes);
  }
  return sizes;
}

TEST(TopicDifferences, AreNoneWhereAllIsAsConfigured) {
  Config config = config_with({seconds{5}});
  config.topics.partitions = 12;
  const auto plan = topic_plan(config);
  EXPECT_TRUE(topic_differences(config, plan, counts_of(plan, 12), sizes_of(plan)).empty());
  EXPECT_TRUE(topic_differences(config, plan, counts_of(plan, 12), {}).empty());
}

TEST(TopicDifferences, NameOtherCountsThanConfigured) {
  Config config = config_with({seconds{5}});
  const auto plan = topic_plan(config);
  for (const int configured : {6, 24, 3}) {
    config.topics.partitions = configured;
    const auto found = topic_differences(config, plan, counts_of(plan, 12), {});
    ASSERT_FALSE(found.empty()) << configured;
    EXPECT_EQ(found.front(),
              "topic \"eventrelay.events\" has 12 partitions, topics.partitions is " +
                  std::to_string(configured));
  }
}

TEST(TopicDifferences, NameATopicThatDiffersFromEventsAndOneThatIsMissing) {
  Config config = config_with({seconds{5}});
  config.topics.partitions = 12;
  const auto plan = topic_plan(config);
  auto counts = counts_of(plan, 12);
  counts["eventrelay.state"] = 3;
  counts.erase("eventrelay.dead");
  const auto found = topic_differences(config, plan, counts, {});
  ASSERT_EQ(found.size(), 2U);
  EXPECT_NE(found[0].find("\"eventrelay.dead\" does not exist"), std::string::npos) << found[0];
  EXPECT_NE(found[1].find("\"eventrelay.state\" has 3 partitions"), std::string::npos) << found[1];
}

TEST(TopicDifferences, NameATopicThatTakesLessThanIsAccepted) {
  Config config = config_with({seconds{5}});
  const auto plan = topic_plan(config);
  auto sizes = sizes_of(plan);
  sizes["eventrelay.retry.5s"] = 1'048'588;
  const auto found =
      topic_differences(config, plan, counts_of(plan, config.topics.partitions), sizes);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NE(found[0].find("\"eventrelay.retry.5s\" takes records of 1048588 bytes"),
            std::string::npos)
      << found[0];
}

TEST(TopicDifferences, NamePropertiesThatWouldLoseRecords) {
  const auto plan = topic_plan(config_with({seconds{5}}));
  TopicProperties as_planned;
  for (const TopicSpec& spec : plan) {
    for (const auto& [name, value] : spec.config) as_planned[spec.name][name] = value;
  }
  EXPECT_TRUE(property_differences(plan, as_planned).empty());
  EXPECT_TRUE(property_differences(plan, {}).empty());
  struct Row {
    const char* topic;
    const char* name;
    const char* value;
    const char* told;
  };
  for (const Row& row : {
           Row{"state", "cleanup.policy", "delete", "cleanup.policy delete, compact is needed"},
           Row{"state", "cleanup.policy", "compact,delete", "compact is needed"},
           Row{"state", "min.compaction.lag.ms", "0", "min.compaction.lag.ms 0, 3600000 is needed"},
           Row{"instances", "cleanup.policy", "delete", "older than its retention"},
           Row{"events", "cleanup.policy", "compact", "the last record of a key"},
           Row{"dead", "cleanup.policy", "compact,delete", "delete is needed"},
           Row{"retry.5s", "retention.ms", "1000", "retention.ms 1000, 172805000 is needed"},
       }) {
    TopicProperties found = as_planned;
    const std::string topic = std::string("eventrelay.") + row.topic;
    found[topic][row.name] = row.value;
    const auto differences = property_differences(plan, found);
    ASSERT_EQ(differences.size(), 1U) << row.topic << " " << row.value;
    EXPECT_NE(differences.front().find("topic \"" + topic + "\" has "), std::string::npos);
    EXPECT_NE(differences.front().find(row.told), std::string::npos) << differences.front();
  }
  // The operator's to say, and longer than planned.
  for (const Row& row :
       {Row{"events", "retention.ms", "60000", ""}, Row{"dead", "retention.ms", "60000", ""},
        Row{"retry.5s", "retention.ms", "-1", ""}, Row{"retry.5s", "retention.ms", "999999999", ""},
        Row{"state", "min.compaction.lag.ms", "7200000", ""}}) {
    TopicProperties found = as_planned;
    found[std::string("eventrelay.") + row.topic][row.name] = row.value;
    EXPECT_TRUE(property_differences(plan, found).empty()) << row.topic;
  }
}

TEST(AcceptedByTopics, IsWhatTheTightestTopicStillTakesWhenParked) {
  const Config config = config_with({seconds{5}});
  const auto plan = topic_plan(config);
  auto sizes = sizes_of(plan);
  EXPECT_EQ(accepted_by_topics(sizes, config), accepted_bytes_max(config));
  EXPECT_EQ(accepted_by_topics({}, config), accepted_bytes_max(config));
  sizes["eventrelay.retry.5s"] = 1'048'588;
  EXPECT_EQ(accepted_by_topics(sizes, config), 1'048'588 - kBatchBytes - kParkedBytes);
}

}  // namespace
}  // namespace eventrelay::kafka
