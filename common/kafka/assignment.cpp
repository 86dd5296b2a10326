#include "common/kafka/assignment.hpp"

#include "common/assert.hpp"

namespace eventrelay::kafka {

void Assignment::take(rd_kafka_t* client, const std::string& topic, Partition partition,
                      int wake_descriptor) {
  EVENTRELAY_ASSERT(find(partition) == nullptr);
  OwnedPartition one;
  one.partition = partition;
  one.queue.reset(rd_kafka_queue_get_partition(client, topic.c_str(), partition.value));
  EVENTRELAY_ASSERT(one.queue != nullptr);
  rd_kafka_queue_forward(one.queue.get(), nullptr);
  rd_kafka_queue_io_event_enable(one.queue.get(), wake_descriptor, &partition.value,
                                 sizeof partition.value);
  const auto number = static_cast<std::size_t>(partition.value);
  if (place_.size() <= number) place_.resize(number + 1, -1);
  place_[number] = static_cast<std::int32_t>(owned_.size());
  owned_.push_back(std::move(one));
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
    std::int64_t low = kNoOffset;
    std::int64_t high = kNoOffset;
    if (one.done < 0 || rd_kafka_get_watermark_offsets(client, topic.c_str(), one.partition.value,
                                                       &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR) {
      continue;
    }
    if (high > one.done) sum += high - one.done;
  }
  return sum;
}

}  // namespace eventrelay::kafka
