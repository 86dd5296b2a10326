// Which topics there are and how long each is kept: data only, no Kafka.
//
// Thread: any.
#include <algorithm>

#include "common/kafka/record_size.hpp"
#include "common/kafka/topics.hpp"

namespace eventrelay::kafka {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::milliseconds;

std::string ms(milliseconds time) {
  return std::to_string(time.count());
}

}  // namespace

std::string topic_name(const TopicsConfig& config, std::string_view suffix) {
  return config.prefix + std::string{suffix};
}

std::string delay_word(milliseconds delay) {
  const auto count = delay.count();
  if (count % 3'600'000 == 0) return std::to_string(count / 3'600'000) + "h";
  if (count % 60'000 == 0) return std::to_string(count / 60'000) + "m";
  if (count % 1000 == 0) return std::to_string(count / 1000) + "s";
  return std::to_string(count) + "ms";
}

std::vector<TopicSpec> topic_plan(const Config& config) {
  std::vector<TopicSpec> plan;
  const auto add = [&](const std::string& suffix) -> TopicSpec& {
    return plan.emplace_back(TopicSpec{topic_name(config.topics, suffix),
                                       config.topics.partitions,
                                       config.topics.replication_factor,
                                       true,
                                       {}});
  };
  const auto keep = [&](const std::string& suffix, milliseconds time) -> TopicSpec& {
    TopicSpec& topic = add(suffix);
    topic.config = {{"cleanup.policy", "delete"}, {"retention.ms", ms(time)}};
    return topic;
  };
  const auto keep_bodies = [&](const std::string& suffix, milliseconds time, std::size_t bytes) {
    keep(suffix, time).config.emplace_back("max.message.bytes", std::to_string(bytes));
  };
  // When its broker appended a record is the one time that all workers share.
  const auto by_broker = [&plan] {
    plan.back().config.emplace_back("message.timestamp.type", "LogAppendTime");
  };
  keep_bodies("events", days{7}, events_message_bytes(config));
  const std::size_t parked = parked_message_bytes(config);
  for (const milliseconds delay : config.retry.delays) {
    keep_bodies("retry." + delay_word(delay), delay + days{2}, parked);
    by_broker();
  }
  keep_bodies("dead", days{30}, parked);
  TopicSpec& instances = add("instances");
  instances.like_events = false;
  instances.partitions = 1;  // changes have one order
  instances.config = {{"cleanup.policy", "compact"}};
  // A late record of an older owner must still be seen by the newer one.
  add("state").config = {{"cleanup.policy", "compact"}, {"min.compaction.lag.ms", ms(hours{1})}};
  by_broker();
  keep("attempts", days{7}).like_events = false;
  by_broker();
  TopicSpec& sums = keep("sums", days{30});
  sums.like_events = false;
  sums.partitions = 1;  // small, and read by time
  by_broker();
  return plan;
}

}  // namespace eventrelay::kafka
