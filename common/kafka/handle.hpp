// RAII over librdkafka's C types, its settings, and the place where handles go to end.
//
// Why:     one forgotten list makes rd_kafka_destroy() hang for ever, and destroying a handle can
//          take seconds: neither may ever be a shard's problem.
// Thread:  pointers as their owner; make_conf() any; retire() any.
// Bounds:  one short-lived thread per retired handle.
// Errors:  StartError with the library's own text, naming key and value.
#pragma once

#include <librdkafka/rdkafka.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "common/config/config.hpp"

namespace eventrelay::kafka {

// Calls the library's destroy function of a type.
template <auto Function>
struct Destroy {
  template <class Type>
  void operator()(Type* object) const noexcept {
    Function(object);
  }
};

using ClientPtr = std::unique_ptr<rd_kafka_t, Destroy<rd_kafka_destroy>>;
using ConfPtr = std::unique_ptr<rd_kafka_conf_t, Destroy<rd_kafka_conf_destroy>>;
using QueuePtr = std::unique_ptr<rd_kafka_queue_t, Destroy<rd_kafka_queue_destroy>>;
using TopicPtr = std::unique_ptr<rd_kafka_topic_t, Destroy<rd_kafka_topic_destroy>>;
using HeadersPtr = std::unique_ptr<rd_kafka_headers_t, Destroy<rd_kafka_headers_destroy>>;
using MessagePtr = std::unique_ptr<rd_kafka_message_t, Destroy<rd_kafka_message_destroy>>;
using EventPtr = std::unique_ptr<rd_kafka_event_t, Destroy<rd_kafka_event_destroy>>;
using ErrorPtr = std::unique_ptr<rd_kafka_error_t, Destroy<rd_kafka_error_destroy>>;
using PartitionsPtr = std::unique_ptr<rd_kafka_topic_partition_list_t,
                                      Destroy<rd_kafka_topic_partition_list_destroy>>;
using NewTopicPtr = std::unique_ptr<rd_kafka_NewTopic_t, Destroy<rd_kafka_NewTopic_destroy>>;
using DeleteTopicPtr =
    std::unique_ptr<rd_kafka_DeleteTopic_t, Destroy<rd_kafka_DeleteTopic_destroy>>;
using AdminOptionsPtr =
    std::unique_ptr<rd_kafka_AdminOptions_t, Destroy<rd_kafka_AdminOptions_destroy>>;
using ResourcePtr =
    std::unique_ptr<rd_kafka_ConfigResource_t, Destroy<rd_kafka_ConfigResource_destroy>>;
using MetadataPtr = std::unique_ptr<const rd_kafka_metadata_t, Destroy<rd_kafka_metadata_destroy>>;

enum class Role : std::uint8_t { Producer, Consumer, Admin };

// Properties a caller computes itself; the user's own value for a key goes before them.
using Defaults = std::vector<std::pair<std::string, std::string>>;

// The settings of one handle: ours, then `defaults`, then the user's. A property that only the
// other role knows is checked and left out. Throws StartError.
[[nodiscard]] ConfPtr make_conf(const KafkaConfig& config, Role role, const Defaults& defaults);
// Does this version of the library fill a queue that passed its limit again soon after it has room?
[[nodiscard]] bool refills_soon();
// Does `version` of the library, as rd_kafka_version() tells it, end the process when a topic that
// it knows is made again?
[[nodiscard]] bool keeps_freed_topics(int version) noexcept;
// What the user set for `key`, or nothing.
[[nodiscard]] const std::string* user_property(const KafkaConfig& config, const std::string& key);
// Takes the settings over. Throws StartError.
[[nodiscard]] ClientPtr make_client(ConfPtr conf, Role role);

// An error event that says nothing new: the library writes a line of its own about a connection
// that breaks, and "all brokers are down" comes with each idle connection that a broker closes.
// Whether Kafka answers is asked by TopicWatch.
[[nodiscard]] bool is_no_news(rd_kafka_resp_err_t error) noexcept;
// Waiting does not help: the broker refuses who we are, or how we speak.
[[nodiscard]] bool is_lasting(rd_kafka_resp_err_t error) noexcept;
// What to look at, for a cause that is_lasting().
[[nodiscard]] std::string way_out(rd_kafka_resp_err_t error);

// Lets go of `last` in a thread of its own; a handle that does not end in time is logged.
void retire(std::shared_ptr<void> last);
// Waits until every retired handle is gone. False if some were not by then.
bool wait_retired(Duration limit);

}  // namespace eventrelay::kafka
