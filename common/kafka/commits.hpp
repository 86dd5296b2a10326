// Commits as the library wants them, and what became of them.
//
// Thread:  as its client.  Bounds: one list per commit.
// Errors:  a reason in words; nothing for success.
#pragma once

#include <span>
#include <string>

#include "common/clock.hpp"
#include "common/kafka/consumer_client.hpp"
#include "common/kafka/handle.hpp"

namespace eventrelay::kafka {

void add_commit(rd_kafka_topic_partition_list_t* list, const std::string& topic,
                const Commit& commit);
[[nodiscard]] PartitionsPtr to_list(const std::string& topic, std::span<const Commit> commits);
// Where to begin in partitions with these committed positions; by auto.offset.reset where none is.
[[nodiscard]] PartitionsPtr starts_from(const rd_kafka_topic_partition_list_t& committed);
// Why the commit this event tells of failed; null if it did not.
[[nodiscard]] const char* commit_failure(rd_kafka_event_t* event);
// Commits and blocks for the answer; nothing if none came within `limit`. No other event of the
// client is served meanwhile.
[[nodiscard]] EventPtr commit_and_wait(rd_kafka_t* client,
                                       const rd_kafka_topic_partition_list_t* list, Duration limit);

}  // namespace eventrelay::kafka
