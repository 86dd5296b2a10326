// What the brokers' topics take and how many partitions they have, compared with the configuration.
//
// Why:     a topic that was made by hand, or under another configuration, may take less than is
//          accepted: then what has to wait could not be parked.
// Thread:  control thread; blocks.  Bounds: two requests, five seconds each, after Kafka answers.
// Errors:  values; StartError if Kafka does not answer at all.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "common/kafka/topics.hpp"

namespace eventrelay::kafka {

// What a broker says of each topic: its properties by their names.
using TopicProperties = std::map<std::string, std::map<std::string, std::string>>;

// Of the topics of the plan; one of which the brokers say nothing is left out.
[[nodiscard]] TopicProperties properties_of(const KafkaConfig& config,
                                            const std::vector<TopicSpec>& plan);

// max.message.bytes of each topic of the plan that carries events, where it is known.
[[nodiscard]] std::map<std::string, std::size_t> message_bytes_of(
    const TopicProperties& found, const std::vector<TopicSpec>& plan);

// One sentence per property with which a topic would lose what must be kept: a cleanup.policy that
// is another, a delay topic that is kept for too short a time, `state` that is compacted too soon.
[[nodiscard]] std::vector<std::string> property_differences(const std::vector<TopicSpec>& plan,
                                                            const TopicProperties& found);

// The largest record that may be accepted so that every topic takes it: `wanted`, or less where a
// topic takes less, which is logged.
[[nodiscard]] std::size_t accepted_by_topics(const std::map<std::string, std::size_t>& limits,
                                             const Config& config);

// One sentence per difference: a topic that is missing, another number of partitions than
// topics.partitions or than `events`, a topic that takes less than is accepted.
[[nodiscard]] std::vector<std::string> topic_differences(
    const Config& config, const std::vector<TopicSpec>& plan,
    const std::map<std::string, int>& partitions,
    const std::map<std::string, std::size_t>& message_bytes);
// Asks, then compares.
[[nodiscard]] std::vector<std::string> check_topics(const Config& config);

}  // namespace eventrelay::kafka
