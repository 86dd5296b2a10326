// Which topics there are and how long each is kept: data only, no Kafka.
//
// Thread: any.
#include <algorithm>

#include "common/kafka/topics.hpp"

namespace eventrelay::kafka {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::milliseconds;

// Key, headers and the batch around one record.
constexpr std::size_t kRecordOverheadMax = 128U << 10;

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
  const std::string record_max = std::to_string(config.ingest.body_max + kRecordOverheadMax);
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
  const auto keep_bodies = [&](const std::string& suffix, milliseconds time) {
    keep(suffix, time).config.emplace_back("max.message.bytes", record_max);
  };
  keep_bodies("events", days{7});
  for (const milliseconds delay : config.retry.delays) {
    keep_bodies("retry." + delay_word(delay), delay + days{2});
  }
  keep_bodies("dead", days{30});
  TopicSpec& instances = add("instances");
  instances.like_events = false;
  instances.partitions = 1;  // changes have one order
  instances.config = {{"cleanup.policy", "compact"}};
  // A late record of an older owner must still be seen by the newer one.
  add("state").config = {{"cleanup.policy", "compact"}, {"min.compaction.lag.ms", ms(hours{1})}};
  keep("attempts", days{7}).like_events = false;
  return plan;
}

}  // namespace eventrelay::kafka
