#include "common/kafka/assignment.hpp"

#include <algorithm>

#include "common/base/assert.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::kafka {

std::optional<Watermarks> known_watermarks(rd_kafka_t* client, const std::string& topic,
                                           Partition partition) {
  std::int64_t low = kNoOffset;
  std::int64_t high = kNoOffset;
  const auto error =
      rd_kafka_get_watermark_offsets(client, topic.c_str(), partition.value, &low, &high);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR || high < 0) return std::nullopt;
  return Watermarks{Offset{std::max<std::int64_t>(low, 0)}, Offset{high}};
}

// It means that the log lost what was between, or that the topic is compacted.
void note_jump(OwnedPartition& one, const rd_kafka_message_t& message, metrics::Slab& slab) {
  if (one.done < 0) one.done = message.offset;
  if (one.expected < 0) return;
  slab.kafka_consumer_errors_total.add();
  log::error("kafka offsets jump, records are missing or repeated",
             {{"partition", one.partition}, {"expected", one.expected}, {"found", message.offset}});
}

std::vector<Assigned> Assignment::take(rd_kafka_t* client,
                                       const rd_kafka_topic_partition_list_t& committed,
                                       int wake_descriptor) {
  EVENTRELAY_ASSERT(owned_.empty());
  std::vector<Assigned> told;
  told.reserve(static_cast<std::size_t>(committed.cnt));
  for (int i = 0; i < committed.cnt; ++i) {
    const rd_kafka_topic_partition_t& from = committed.elems[i];
    OwnedPartition& one = cut_off(client, from.topic, Partition{from.partition}, wake_descriptor);
    Assigned& assigned = told.emplace_back(Assigned{one.partition, std::nullopt, {}});
    if (from.offset < 0) continue;
    one.done = from.offset;
    one.expected = from.offset;
    assigned.committed = Offset{from.offset};
    if (from.metadata == nullptr) continue;
    assigned.metadata.assign(static_cast<const char*>(from.metadata), from.metadata_size);
  }
  return told;
}

OwnedPartition& Assignment::cut_off(rd_kafka_t* client, const char* topic, Partition partition,
                                    int wake_descriptor) {
  EVENTRELAY_ASSERT(find(partition) == nullptr);
  OwnedPartition one;
  one.partition = partition;
  one.queue.reset(rd_kafka_queue_get_partition(client, topic, partition.value));
  EVENTRELAY_ASSERT(one.queue != nullptr);
  rd_kafka_queue_forward(one.queue.get(), nullptr);
  rd_kafka_queue_io_event_enable(one.queue.get(), wake_descriptor, &partition.value,
                                 sizeof partition.value);
  const auto number = static_cast<std::size_t>(partition.value);
  if (place_.size() <= number) place_.resize(number + 1, -1);
  place_[number] = static_cast<std::int32_t>(owned_.size());
  return owned_.emplace_back(std::move(one));
}

void Assignment::note_committed(const rd_kafka_topic_partition_list_t* list) noexcept {
  for (int i = 0; list != nullptr && i < list->cnt; ++i) {
    OwnedPartition* one = find(Partition{list->elems[i].partition});
    if (one != nullptr) one->done = std::max(one->done, list->elems[i].offset);
  }
}

void Assignment::drop() {
  for (const OwnedPartition& one : owned_) {
    rd_kafka_queue_io_event_enable(one.queue.get(), -1, nullptr, 0);
  }
  owned_.clear();
  place_.clear();
}

OwnedPartition* Assignment::find(Partition partition) noexcept {
  const auto number = static_cast<std::size_t>(partition.value);
  if (partition.value < 0 || number >= place_.size() || place_[number] < 0) return nullptr;
  return &owned_[static_cast<std::size_t>(place_[number])];
}

std::vector<Partition> Assignment::partitions() const {
  std::vector<Partition> result;
  result.reserve(owned_.size());
  for (const OwnedPartition& one : owned_) result.push_back(one.partition);
  return result;
}

std::int64_t Assignment::lag(rd_kafka_t* client, const std::string& topic) const {
  std::int64_t sum = 0;
  for (const OwnedPartition& one : owned_) {
    if (one.done < 0) continue;
    const auto marks = known_watermarks(client, topic, one.partition);
    if (marks && marks->end.value > one.done) sum += marks->end.value - one.done;
  }
  return sum;
}

}  // namespace eventrelay::kafka
