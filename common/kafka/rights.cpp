#include "common/kafka/rights.hpp"

#include <librdkafka/rdkafka.h>

#include <map>
#include <set>

#include "common/kafka/handle.hpp"
#include "common/kafka/topics.hpp"

namespace eventrelay::kafka {
namespace {

constexpr std::chrono::seconds kPatience{8};  // somebody waits for the answer
constexpr int kRightsMs = 1500;
constexpr Duration kRefusalTime = std::chrono::milliseconds(500);
constexpr Duration kReadTime = std::chrono::milliseconds(3000);
constexpr Duration kWriteTime = std::chrono::milliseconds(2000);
constexpr int kPollMs = 50;

std::string sentence(const std::string& what, const std::string& right) {
  return "kafka " + what + ": the brokers do not allow this user to " + right +
         "; an ACL is missing";
}

// Thread: main.  Bounds: two handles.
class Asker {
 public:
  explicit Asker(const Config& config)
      : config_(config), known_(topic_partitions(config.kafka, kPatience)) {
    const Defaults settings{{"group.id", config.relay.group},
                            {"enable.partition.eof", "true"},
                            {"log_level", "0"},
                            {"fetch.wait.max.ms", "50"}};
    client_ = make_client(make_conf(config.kafka, Role::Consumer, settings), Role::Consumer);
    rd_kafka_poll_set_consumer(client_.get());
  }

  std::vector<std::string> ask() {
    for (const TopicSpec& spec : topic_plan(config_)) {
      if (!known_.contains(spec.name)) ask_to_see(spec.name);
    }
    ask_to_commit(config_.relay.group);
    ask_to_commit(config_.relay.group + ".delays");
    ask_to_read();
    ask_to_write();
    return std::move(missing_);
  }

 private:
  // The list of all topics leaves out what may not be seen; asked for by name it is refused.
  void ask_to_see(const std::string& name) {
    const TopicPtr topic{rd_kafka_topic_new(client_.get(), name.c_str(), nullptr)};
    const rd_kafka_metadata_t* raw = nullptr;
    if (!topic || rd_kafka_metadata(client_.get(), 0, topic.get(), &raw, kRightsMs) !=
                      RD_KAFKA_RESP_ERR_NO_ERROR) {
      return;
    }
    const MetadataPtr metadata{raw};
    if (metadata->topic_cnt != 1) return;
    if (metadata->topics[0].err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) {
      missing_.push_back(sentence("topic \"" + name + "\"", "see it (Describe)"));
    }
  }

  // The members' group, and the one that keeps the positions in the delay topics.
  void ask_to_commit(const std::string& group) {
    const ClientPtr client = make_client(
        make_conf(config_.kafka, Role::Consumer, Defaults{{"group.id", group}, {"log_level", "0"}}),
        Role::Consumer);
    const PartitionsPtr list{rd_kafka_topic_partition_list_new(1)};
    const std::string events = topic_name(config_.topics, "events");
    rd_kafka_topic_partition_list_add(list.get(), events.c_str(), 0);
    auto error = rd_kafka_committed(client.get(), list.get(), kRightsMs);
    // Who may not even look for the coordinator is told so as a reader; the call above only waits.
    const TimePoint end = monotonic_now() + kRefusalTime;
    while (error != RD_KAFKA_RESP_ERR_NO_ERROR && monotonic_now() < end) {
      if (error == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED) break;
      const MessagePtr message{rd_kafka_consumer_poll(client.get(), kPollMs)};
      if (message) error = message->err;
    }
    if (error == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED) {
      missing_.push_back(sentence("group \"" + group + "\"", "read with it (Read)"));
    }
  }

  void ask_to_read() {
    const PartitionsPtr list{rd_kafka_topic_partition_list_new(4)};
    std::set<std::string> asked;
    for (const TopicSpec& spec : topic_plan(config_)) {
      if (!known_.contains(spec.name)) continue;
      rd_kafka_topic_partition_list_add(list.get(), spec.name.c_str(), 0)->offset =
          RD_KAFKA_OFFSET_END;
      asked.insert(spec.name);
    }
    if (asked.empty()) return;
    (void)rd_kafka_assign(client_.get(), list.get());
    const TimePoint end = monotonic_now() + kReadTime;
    while (!asked.empty() && monotonic_now() < end) {
      const MessagePtr message{rd_kafka_consumer_poll(client_.get(), kPollMs)};
      if (!message || message->rkt == nullptr) continue;
      const std::string name = rd_kafka_topic_name(message->rkt);
      if (message->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED && asked.contains(name)) {
        missing_.push_back(sentence("topic \"" + name + "\"", "read it (Read)"));
      }
      asked.erase(name);
    }
  }

  // A producer that may write nowhere is given no number by the brokers.
  void ask_to_write() {
    struct Outcome {
      bool allowed = false;
      bool refused = false;
    } outcome;
    const Defaults settings{{"statistics.interval.ms", "100"}, {"log_level", "0"}};
    ConfPtr conf = make_conf(config_.kafka, Role::Producer, settings);
    rd_kafka_conf_set_opaque(conf.get(), &outcome);
    rd_kafka_conf_set_stats_cb(conf.get(), [](rd_kafka_t*, char* text, std::size_t size, void* at) {
      const std::string_view said(text, size);
      auto* const seen = static_cast<Outcome*>(at);
      if (said.find("\"idemp_state\":\"Assigned\"") != said.npos) seen->allowed = true;
      return 0;
    });
    rd_kafka_conf_set_error_cb(conf.get(), [](rd_kafka_t*, int error, const char*, void* at) {
      if (error == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
          error == RD_KAFKA_RESP_ERR__FATAL) {
        static_cast<Outcome*>(at)->refused = true;
      }
    });
    const ClientPtr producer = make_client(std::move(conf), Role::Producer);
    const TimePoint end = monotonic_now() + kWriteTime;
    while (!outcome.allowed && !outcome.refused && monotonic_now() < end) {
      rd_kafka_poll(producer.get(), kPollMs);
    }
    if (outcome.refused) {
      missing_.push_back(
          sentence("topics \"" + config_.topics.prefix + "*\"", "write to any (Write)"));
    }
  }

  const Config& config_;
  std::map<std::string, int> known_;
  ClientPtr client_;
  std::vector<std::string> missing_;
};

}  // namespace

std::vector<std::string> missing_rights(const Config& config) {
  return Asker{config}.ask();
}

}  // namespace eventrelay::kafka
