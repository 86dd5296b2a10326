// The partitions a shard owns, each with its own queue, cut off from the shared one.
//
// Why:     a partition is held back by not reading its queue; pausing would drop its prefetch.
// Owner:   ConsumerClient.  Thread: shard thread.
// Bounds:  O(1) per record; one queue per partition.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.hpp"
#include "common/kafka/consumer_client.hpp"
#include "common/kafka/handle.hpp"

namespace eventrelay::kafka {

inline constexpr std::int64_t kNoOffset = -1;

// One partition.
struct OwnedPartition {
  Partition partition;
  QueuePtr queue;
  std::int64_t done = kNoOffset;      // committed, or where reading began
  std::int64_t expected = kNoOffset;  // the next record should have this offset
  bool drained = true;                // the reader found nothing and waits to be told
  std::size_t taken = 0;              // bytes since its fetching was woken
};

// As the last answer of its broker told, without asking it. Nothing: no answer came yet.
[[nodiscard]] std::optional<Watermarks> known_watermarks(rd_kafka_t* client,
                                                         const std::string& topic,
                                                         Partition partition);

// The next record is another one than expected.
void note_jump(OwnedPartition& one, const rd_kafka_message_t& message, metrics::Slab& slab);

// Thread: shard thread.  Bounds: one entry per partition.
class Assignment {
 public:
  // Takes the queues and cuts them off; before rd_kafka_assign(), so that nothing slips through.
  // Returns what to tell the reader. Pre: none is owned.
  [[nodiscard]] std::vector<Assigned> take(rd_kafka_t* client,
                                           const rd_kafka_topic_partition_list_t& committed,
                                           int wake_descriptor);
  // Positions a broker has taken.
  void note_committed(const rd_kafka_topic_partition_list_t* list) noexcept;
  // Gives all queues back.
  void drop();

  [[nodiscard]] OwnedPartition* find(Partition partition) noexcept;
  [[nodiscard]] std::vector<OwnedPartition>& owned() noexcept { return owned_; }
  [[nodiscard]] std::vector<Partition> partitions() const;
  // Records behind the end of the log, as far as the last answers tell; `client` asks nobody.
  [[nodiscard]] std::int64_t lag(rd_kafka_t* client, const std::string& topic) const;

 private:
  OwnedPartition& cut_off(rd_kafka_t* client, const char* topic, Partition partition,
                          int wake_descriptor);

  std::vector<OwnedPartition> owned_;
  std::vector<std::int32_t> place_;  // partition number -> index in owned_, or -1
};

}  // namespace eventrelay::kafka
