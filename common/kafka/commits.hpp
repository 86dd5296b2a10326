// Commits as the library wants them, and what became of them.
//
// Thread:  as its client.  Bounds: one list per commit.
// Errors:  a reason in words; nothing for success.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "common/base/clock.hpp"
#include "common/kafka/consumer_client.hpp"
#include "common/kafka/handle.hpp"

namespace eventrelay::kafka {

void add_commit(rd_kafka_topic_partition_list_t* list, const std::string& topic,
                const Commit& commit);
[[nodiscard]] PartitionsPtr to_list(const std::string& topic, std::span<const Commit> commits);
// Where to begin in partitions with these committed positions; by auto.offset.reset where none is.
[[nodiscard]] PartitionsPtr starts_from(const rd_kafka_topic_partition_list_t& committed);
// One of them, as it was committed, in another list.
void copy_committed(rd_kafka_topic_partition_list_t* list, const rd_kafka_topic_partition_t& one);
// Why the commit this event tells of failed; null if it did not.
[[nodiscard]] const char* commit_failure(rd_kafka_event_t* event);
// Commits and blocks for the answer; nothing if none came within `limit`. No other event of the
// client is served meanwhile.
[[nodiscard]] EventPtr commit_and_wait(rd_kafka_t* client,
                                       const rd_kafka_topic_partition_list_t* list, Duration limit);

// A commit that asks whether the group takes the member for one.
struct Ask {
  const Commit& commit;
  std::uint64_t token = 0;  // not 0; comes back with the answer
};
[[nodiscard]] bool ask_member(rd_kafka_t* client, rd_kafka_queue_t* answers,
                              const std::string& topic, const Ask& ask);
// The token of the answer to one; 0: the answer to another commit.
[[nodiscard]] std::uint64_t asked_with(rd_kafka_event_t* event);
[[nodiscard]] bool is_member(rd_kafka_t* client, rd_kafka_event_t* answer);

}  // namespace eventrelay::kafka
