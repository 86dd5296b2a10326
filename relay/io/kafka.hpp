// Kafka as a shard sees it: a member of the group, readers of partitions, and where records go.
//
// Why:     a shard is built over these, so that a simulation can stand in for the brokers. The
//          contract of each call is that of the client of the same name in common/kafka.
// Owner:   the part of the shard that asked ShardIo for it.
// Thread:  shard thread, callbacks and sinks too, except GroupMember::joined().
// Bounds:  as the clients'. One virtual call per record that is read or written.
// Errors:  as the clients'.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/kafka/consumer_client.hpp"
#include "common/kafka/partition_reader.hpp"
#include "common/kafka/producer_client.hpp"

namespace eventrelay::relay {

// See kafka::ConsumerClient. Thread: shard thread.
class GroupMember {
 public:
  virtual ~GroupMember();
  virtual void start() = 0;
  [[nodiscard]] virtual std::optional<kafka::Message> next(Partition partition) = 0;
  virtual void commit_async(std::span<const kafka::Commit> commits) = 0;
  [[nodiscard]] virtual bool committing() const = 0;
  [[nodiscard]] virtual bool commit_sync(std::span<const kafka::Commit> commits) = 0;
  [[nodiscard]] virtual bool confirm(const std::string& topic, const kafka::Commit& commit,
                                     std::uint64_t token) = 0;
  [[nodiscard]] virtual std::optional<kafka::Watermarks> watermarks(Partition partition) const = 0;
  [[nodiscard]] virtual std::int64_t lag() const = 0;
  virtual void read_anew(Partition partition) = 0;
  virtual void release() = 0;
  virtual void close(TimePoint deadline, std::function<void()> done) = 0;
  [[nodiscard]] virtual bool joined() const = 0;  // any thread
};

// See kafka::PartitionReader. Thread: shard thread.
class PartitionReader {
 public:
  using PositionsDone = std::function<void(std::span<const kafka::ReadPosition>)>;
  using WatermarksDone = std::function<void(std::span<const kafka::PartitionWatermarks>)>;

  virtual ~PartitionReader();
  virtual void start(kafka::TopicPartition place, Offset from, kafka::LogSink& sink) = 0;
  virtual void stop(kafka::TopicPartition place) = 0;
  [[nodiscard]] virtual kafka::Read next(kafka::TopicPartition place) = 0;
  [[nodiscard]] virtual std::optional<kafka::Watermarks> known_watermarks(
      kafka::TopicPartition place) const = 0;
  virtual void positions(std::vector<kafka::TopicPartition> places, PositionsDone done) = 0;
  virtual void watermarks(std::vector<kafka::TopicPartition> places, WatermarksDone done) = 0;
  virtual void offsets_for_times(std::vector<kafka::TopicPartition> places, WallTime since,
                                 WatermarksDone done) = 0;
  virtual void commit_async(std::span<const kafka::ReadCommit> commits) = 0;
  [[nodiscard]] virtual bool committing() const = 0;
  [[nodiscard]] virtual bool commit_sync(std::span<const kafka::ReadCommit> commits) = 0;
};

// See kafka::ProducerClient. Thread: shard thread.
class RecordSink {
 public:
  virtual ~RecordSink();
  virtual std::size_t add_topic(const std::string& name) = 0;
  [[nodiscard]] virtual bool ready() const = 0;
  [[nodiscard]] virtual kafka::Queued produce(std::size_t topic, const kafka::ProduceRecord& record,
                                              std::uint64_t token) = 0;
  // Bytes of what has no report yet.
  [[nodiscard]] virtual std::size_t pending_bytes() const = 0;
  virtual void drain(TimePoint deadline, std::function<void()> done) = 0;
};

}  // namespace eventrelay::relay
