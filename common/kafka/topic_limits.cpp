#include "common/kafka/topic_limits.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <memory>
#include <string_view>

#include "common/kafka/handle.hpp"
#include "common/kafka/record_size.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::kafka {
namespace {

constexpr int kLimitsMs = 5000;
constexpr std::string_view kProperty = "max.message.bytes";
constexpr std::string_view kPolicy = "cleanup.policy";
constexpr std::string_view kCompact = "compact";

std::map<std::string, std::string> read_properties(const rd_kafka_ConfigResource_t* resource) {
  std::map<std::string, std::string> properties;
  std::size_t entries = 0;
  const auto* const* all = rd_kafka_ConfigResource_configs(resource, &entries);
  for (std::size_t i = 0; i < entries; ++i) {
    const char* const value = rd_kafka_ConfigEntry_value(all[i]);
    if (value != nullptr) properties[rd_kafka_ConfigEntry_name(all[i])] = value;
  }
  return properties;
}

std::int64_t whole_number(std::string_view text) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

const std::string* wanted_of(const TopicSpec& spec, std::string_view name = kProperty) {
  const auto property = std::find_if(spec.config.begin(), spec.config.end(),
                                     [name](const auto& each) { return each.first == name; });
  return property == spec.config.end() ? nullptr : &property->second;
}

}  // namespace

TopicProperties properties_of(const KafkaConfig& config, const std::vector<TopicSpec>& plan) {
  std::vector<ResourcePtr> kept;
  std::vector<rd_kafka_ConfigResource_t*> asked;
  for (const TopicSpec& spec : plan) {
    kept.emplace_back(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, spec.name.c_str()));
    asked.push_back(kept.back().get());
  }
  const ClientPtr client = make_client(make_conf(config, Role::Admin, {}), Role::Admin);
  const QueuePtr answers{rd_kafka_queue_new(client.get())};
  rd_kafka_DescribeConfigs(client.get(), asked.data(), asked.size(), nullptr, answers.get());
  const EventPtr event{rd_kafka_queue_poll(answers.get(), kLimitsMs)};
  const auto* result = event ? rd_kafka_event_DescribeConfigs_result(event.get()) : nullptr;
  std::size_t count = 0;
  const auto* const* resources =
      result != nullptr ? rd_kafka_DescribeConfigs_result_resources(result, &count) : nullptr;
  TopicProperties found;
  for (std::size_t i = 0; i < count; ++i) {
    found[rd_kafka_ConfigResource_name(resources[i])] = read_properties(resources[i]);
  }
  return found;
}

std::map<std::string, std::size_t> message_bytes_of(const TopicProperties& found,
                                                    const std::vector<TopicSpec>& plan) {
  std::map<std::string, std::size_t> limits;
  for (const TopicSpec& spec : plan) {
    const auto topic = found.find(spec.name);
    if (wanted_of(spec) == nullptr || topic == found.end()) continue;
    const auto bytes = topic->second.find(std::string(kProperty));
    if (bytes == topic->second.end()) continue;
    limits[spec.name] = static_cast<std::size_t>(whole_number(bytes->second));
  }
  if (limits.empty()) log::info("the broker does not say how large a record may be");
  return limits;
}

std::vector<std::string> property_differences(const std::vector<TopicSpec>& plan,
                                              const TopicProperties& found) {
  std::vector<std::string> differences;
  for (const TopicSpec& spec : plan) {
    const auto topic = found.find(spec.name);
    if (topic == found.end()) continue;
    const auto told = [&](std::string_view name) {
      const auto it = topic->second.find(std::string(name));
      return it == topic->second.end() ? nullptr : &it->second;
    };
    const auto differs = [&](std::string_view name, const std::string& has,
                             const std::string& why) {
      differences.push_back("topic \"" + spec.name + "\" has " + std::string(name) + " " + has +
                            ", " + *wanted_of(spec, name) + " is needed: " + why);
    };
    const std::string* const wanted = wanted_of(spec, kPolicy);
    const std::string* const policy = told(kPolicy);
    const bool keeps_last = wanted != nullptr && *wanted == kCompact;
    if (wanted != nullptr && policy != nullptr && *policy != *wanted) {
      differs(kPolicy, *policy,
              keeps_last ? "what is older than its retention would be lost"
                         : "all but the last record of a key would be lost");
    }
    for (const std::string_view name : {"min.compaction.lag.ms", "retention.ms"}) {
      const std::string* const least = wanted_of(spec, name);
      const std::string* const has = told(name);
      // How long the others are kept is the operator's to say.
      const bool waits = spec.like_events && spec.name.find("retry.") != std::string::npos;
      if (least == nullptr || has == nullptr || (name == "retention.ms" && !waits)) continue;
      if (*has == "-1" || whole_number(*has) >= whole_number(*least)) continue;
      differs(name, *has, "records could go before their time");
    }
  }
  return differences;
}

std::size_t accepted_by_topics(const std::map<std::string, std::size_t>& limits,
                               const Config& config) {
  const std::size_t wanted = accepted_bytes_max(config);
  std::size_t fits = wanted;
  const std::string events = topic_name(config.topics, "events");
  for (const auto& [topic, bytes] : limits) {
    const std::size_t around = kBatchBytes + (topic == events ? 0 : kParkedBytes);
    const std::size_t here = bytes > around ? bytes - around : bytes / 2;
    if (here >= wanted) continue;
    fits = std::min(fits, here);
    log::warn("a topic takes less than ingest accepts, larger events are refused",
              {{"topic", topic},
               {"max.message.bytes", bytes},
               {"needed", wanted + around},
               {"accepted", here}});
  }
  return fits;
}

std::vector<std::string> topic_differences(
    const Config& config, const std::vector<TopicSpec>& plan,
    const std::map<std::string, int>& partitions,
    const std::map<std::string, std::size_t>& message_bytes) {
  std::vector<std::string> differences;
  const auto events = partitions.find(plan.front().name);
  for (const TopicSpec& spec : plan) {
    const std::string topic = "topic \"" + spec.name + "\"";
    const auto found = partitions.find(spec.name);
    if (found == partitions.end()) {
      differences.push_back(topic + " does not exist; `eventrelay topics init` creates it");
      continue;
    }
    const std::string has = topic + " has " + std::to_string(found->second) + " partitions, ";
    if (spec.like_events && events != partitions.end() && found->second != events->second) {
      differences.push_back(has + "\"" + plan.front().name + "\" has " +
                            std::to_string(events->second) + ": they must agree");
    } else if (spec.like_events && found->second != config.topics.partitions) {
      differences.push_back(has + "topics.partitions is " +
                            std::to_string(config.topics.partitions));
    }
    const std::string* const wanted = wanted_of(spec);
    const auto bytes = message_bytes.find(spec.name);
    if (wanted == nullptr || bytes == message_bytes.end()) continue;
    if (bytes->second < std::stoull(*wanted)) {
      differences.push_back(topic + " takes records of " + std::to_string(bytes->second) +
                            " bytes, " + *wanted +
                            " are needed for ingest.body_max and the body_max of each source: "
                            "raise its max.message.bytes");
    }
  }
  return differences;
}

std::vector<std::string> check_topics(const Config& config) {
  const std::vector<TopicSpec> plan = topic_plan(config);
  constexpr std::chrono::seconds kPatience{8};  // somebody waits for the answer
  // First: it names at once why a broker refuses us.
  const std::map<std::string, int> partitions = topic_partitions(config.kafka, kPatience);
  const TopicProperties found = properties_of(config.kafka, plan);
  std::vector<std::string> all =
      topic_differences(config, plan, partitions, message_bytes_of(found, plan));
  for (std::string& each : property_differences(plan, found)) all.push_back(std::move(each));
  return all;
}

}  // namespace eventrelay::kafka
