// The topics of the relay: which there are, how they are kept, and making them at start.
//
// Why:     one list decides names, partitions and retention; all event topics must have the same
//          partition count, because one key must have one partition number everywhere.
// Thread:  control thread, at start only; ensure_topics() blocks.
// Bounds:  one request per call, kTopicsTimeout each.
// Errors:  StartError that names the topic and the way out.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/start_error.hpp"
#include "common/config/config.hpp"

namespace eventrelay::kafka {

inline constexpr std::chrono::seconds kTopicsTimeout{30};

// No broker answers, or they refuse this client: that may change while one waits, unlike what is
// wrong with a topic. Thread: any.  Bounds: one line.
class NotReached : public StartError {
 public:
  using StartError::StartError;
};

// One topic as it should be.
struct TopicSpec {
  std::string name;
  int partitions = 0;
  int replication_factor = 0;
  bool like_events = true;  // must have the partition count of `events`
  std::vector<std::pair<std::string, std::string>> config;  // broker-side topic properties
};

// `prefix` + `suffix`, e.g. eventrelay.events.
[[nodiscard]] std::string topic_name(const TopicsConfig& config, std::string_view suffix);
// The delay as it stands in a topic's name: 5s, 30m, 2h.
[[nodiscard]] std::string delay_word(std::chrono::milliseconds delay);
// Every topic of this configuration; `events` first. Pure.
[[nodiscard]] std::vector<TopicSpec> topic_plan(const Config& config);

// Where the producer puts a record with this key, unless kafka.partitioner says otherwise.
[[nodiscard]] int partition_of(std::string_view key, int partitions);

// What to do about a topic that does not exist.
enum class Create : std::uint8_t {
  No,         // it is an error
  Yes,        // create it through the admin API
  Automatic,  // ask for its metadata, which creates it on the embedded broker
};

// Checks, and creates if told, all topics of the plan. Returns the partition count of the event
// topics as the brokers have it. Throws StartError.
[[nodiscard]] int ensure_topics(const KafkaConfig& kafka, const std::vector<TopicSpec>& plan,
                                Create create);

// Deletes these topics with all they hold, for tools that made them; one that is not there is no
// error. Throws StartError.
void delete_topics(const KafkaConfig& kafka, const std::vector<std::string>& names);

// Partition count of every topic the cluster has. Throws StartError.
[[nodiscard]] std::map<std::string, int> topic_partitions(
    const KafkaConfig& kafka, std::chrono::seconds patience = kTopicsTimeout);

// Returns once a broker has answered, or `failed` says that nobody waits any more. `failed` hears
// why it does not, after each try, about once a second; in the thread that calls.
void await_brokers(const KafkaConfig& kafka, const std::function<bool(const std::string&)>& failed);

}  // namespace eventrelay::kafka
