#include "common/kafka/commits.hpp"

#include <cstdlib>
#include <cstring>
#include <string_view>

#include "common/base/assert.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::kafka {

namespace {

struct Place {
  std::int32_t partition;
  std::int64_t offset;
};

void add(rd_kafka_topic_partition_list_t* list, const char* topic, const Place& place,
         std::string_view metadata) {
  rd_kafka_topic_partition_t* one = rd_kafka_topic_partition_list_add(list, topic, place.partition);
  one->offset = place.offset;
  if (metadata.empty()) return;
  one->metadata = std::malloc(metadata.size());  // the library frees it
  EVENTRELAY_ASSERT(one->metadata != nullptr);
  std::memcpy(one->metadata, metadata.data(), metadata.size());
  one->metadata_size = metadata.size();
}

}  // namespace

void add_commit(rd_kafka_topic_partition_list_t* list, const std::string& topic,
                const Commit& commit) {
  add(list, topic.c_str(), {commit.partition.value, commit.next.value}, commit.metadata);
}

void copy_committed(rd_kafka_topic_partition_list_t* list, const rd_kafka_topic_partition_t& one) {
  add(list, one.topic, {one.partition, one.offset},
      {static_cast<const char*>(one.metadata), one.metadata_size});
}

PartitionsPtr to_list(const std::string& topic, std::span<const Commit> commits) {
  PartitionsPtr list{rd_kafka_topic_partition_list_new(static_cast<int>(commits.size()))};
  for (const Commit& commit : commits) add_commit(list.get(), topic, commit);
  return list;
}

const char* commit_failure(rd_kafka_event_t* event) {
  auto error = rd_kafka_event_error(event);
  const auto* list = rd_kafka_event_topic_partition_list(event);
  for (int i = 0; list != nullptr && error == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; ++i) {
    error = list->elems[i].err;
  }
  return error == RD_KAFKA_RESP_ERR_NO_ERROR ? nullptr : rd_kafka_err2str(error);
}

PartitionsPtr starts_from(const rd_kafka_topic_partition_list_t& committed) {
  PartitionsPtr starts{rd_kafka_topic_partition_list_new(committed.cnt)};
  for (int i = 0; i < committed.cnt; ++i) {
    const rd_kafka_topic_partition_t& from = committed.elems[i];
    auto* start = rd_kafka_topic_partition_list_add(starts.get(), from.topic, from.partition);
    start->offset = from.offset < 0 ? RD_KAFKA_OFFSET_INVALID : from.offset;
  }
  return starts;
}

EventPtr commit_and_wait(rd_kafka_t* client, const rd_kafka_topic_partition_list_t* list,
                         Duration limit) {
  const QueuePtr answers{rd_kafka_queue_new(client)};
  const auto error = rd_kafka_commit_queue(client, list, answers.get(), nullptr, nullptr);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    log::warn("kafka commit was not sent", {{"reason", rd_kafka_err2str(error)}});
    return nullptr;
  }
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(limit);
  return EventPtr{rd_kafka_queue_poll(answers.get(), static_cast<int>(ms.count()))};
}

bool ask_member(rd_kafka_t* client, rd_kafka_queue_t* answers, const std::string& topic,
                const Ask& ask) {
  EVENTRELAY_ASSERT(ask.token != 0);
  const PartitionsPtr list = to_list(topic, std::span(&ask.commit, 1));
  const auto error = rd_kafka_commit_queue(client, list.get(), answers, nullptr,
                                           reinterpret_cast<void*>(ask.token));
  return error == RD_KAFKA_RESP_ERR_NO_ERROR;
}

std::uint64_t asked_with(rd_kafka_event_t* event) {
  return reinterpret_cast<std::uintptr_t>(rd_kafka_event_opaque(event));
}

// A group without members takes a commit of any client, so a member that has lost its partitions
// is judged here.
bool is_member(rd_kafka_t* client, rd_kafka_event_t* answer) {
  const bool lost = rd_kafka_assignment_lost(client) == 1;
  const char* const reason = lost ? "its partitions are lost" : commit_failure(answer);
  if (reason != nullptr) log::warn("kafka group does not take this member", {{"reason", reason}});
  return reason == nullptr;
}

}  // namespace eventrelay::kafka
