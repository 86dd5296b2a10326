#include "common/kafka/topic_retention.hpp"

#include <cstdlib>
#include <memory>
#include <string_view>

#include "common/kafka/handle.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::kafka {
namespace {

constexpr int kRetentionMs = 5000;

}  // namespace

std::optional<std::chrono::milliseconds> retention_of(const KafkaConfig& config,
                                                      const std::string& topic) {
  const ClientPtr client = make_client(make_conf(config, Role::Admin, {}), Role::Admin);
  const ResourcePtr resource{rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str())};
  const QueuePtr answers{rd_kafka_queue_new(client.get())};
  rd_kafka_ConfigResource_t* asked = resource.get();
  rd_kafka_DescribeConfigs(client.get(), &asked, 1, nullptr, answers.get());
  const EventPtr event{rd_kafka_queue_poll(answers.get(), kRetentionMs)};
  const auto* result = event ? rd_kafka_event_DescribeConfigs_result(event.get()) : nullptr;
  std::size_t count = 0;
  const auto* const* resources =
      result != nullptr ? rd_kafka_DescribeConfigs_result_resources(result, &count) : nullptr;
  if (count == 0) {
    log::info("the broker does not say how long a topic is kept", {{"topic", topic}});
    return std::nullopt;
  }
  std::size_t entries = 0;
  const auto* const* all = rd_kafka_ConfigResource_configs(resources[0], &entries);
  for (std::size_t i = 0; i < entries; ++i) {
    if (std::string_view{rd_kafka_ConfigEntry_name(all[i])} != "retention.ms") continue;
    const char* value = rd_kafka_ConfigEntry_value(all[i]);
    const long long ms = value != nullptr ? std::strtoll(value, nullptr, 10) : -1;
    log::info("retention of a topic is known", {{"topic", topic}, {"retention_ms", ms}});
    if (ms <= 0) return std::nullopt;
    return std::chrono::milliseconds{ms};
  }
  const char* why = rd_kafka_ConfigResource_error_string(resources[0]);
  log::warn("the broker does not say how long a topic is kept",
            {{"topic", topic}, {"reason", why != nullptr ? why : "no such property"}});
  return std::nullopt;
}

}  // namespace eventrelay::kafka
