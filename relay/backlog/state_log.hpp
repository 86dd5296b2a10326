// Reads and writes the `state` topic of the partitions a shard owns.
//
//   PartitionReader --records--> StateFollower --what they mean--> Ownership
//   Ownership --> Outbox, group, ready
//   StateFollower --next_write--> Outbox --stored, and read back--> durable
//
// Why:     which subscriptions are detached must outlive the process; of two owners of a partition
//          only one counts.
// Owner:   the shard.  Thread: shard thread.
// Bounds:  one Cursors per partition; the reader's prefetch.
// Errors:  a record that can not be read stops the partition through `stopped`.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "common/config/config.hpp"
#include "relay/backlog/cursor/cursors.hpp"
#include "relay/io/shard_io.hpp"
#include "relay/park/outbox.hpp"

namespace eventrelay::relay {

// What it works with. Bounds: all outlive it.
struct StateLogParts {
  Outbox& outbox;
  metrics::Slab& slab;
  CursorBounds bounds;
  // Sends a commit that only a member of the group may make, of the state topic; its answer is told
  // to confirmed() with the token. False: not sent.
  std::function<bool(const kafka::Commit&, std::uint64_t)> confirm;
  std::function<void(Partition, Cursors&)> ready;  // everything that counts is known
  std::function<void(Partition)> durable;          // ask cover() again
  std::function<void(Partition, std::string)> stopped;
};

// Thread: shard thread.  Bounds: see the head of this file.
class StateLog final : public kafka::LogSink {
 public:
  StateLog(ShardIo& io, const Config& config, StateLogParts parts);
  StateLog(const StateLog&) = delete;
  StateLog& operator=(const StateLog&) = delete;
  ~StateLog();

  void assign(Partition partition);
  // Its writes have had their receipts, or were forgotten.
  void drop(Partition partition);
  // Null: not owned, or not ready.
  [[nodiscard]] Cursors* find(Partition partition);
  // Hands over what is due.
  void write(Partition partition);
  // The answer to StateLogParts::confirm; nothing if the partition is not the one of then.
  void confirmed(std::uint64_t token, bool accepted);
  // The log of this partition has begun anew, or was cut: all that is known is written again.
  void begin_anew(Partition partition);
  // Before the partition is given up: writes the mark once more, since where it comes to stand
  // shows whether the log is still the one that the cursors were written into.
  void assure(Partition partition);
  // That is not known yet, or the log is another one and nothing is written into it so far: a
  // worker that takes the partition over now would find nothing.
  [[nodiscard]] bool unsure(Partition partition) const;
  // First offset that was not read.
  [[nodiscard]] Offset position(Partition partition) const;
  // A few times a second.
  void tick();

  void on_readable(kafka::TopicPartition place) override;

 private:
  class Log;

  // What is left, once the loop has had its turn; `token` names the stay of the partition.
  void write_later(Partition partition, std::uint64_t token);

  ShardIo& io_;
  StateLogParts parts_;
  std::unique_ptr<PartitionReader> reader_;
  std::unordered_map<std::int32_t, std::unique_ptr<Log>> logs_;
  std::uint64_t taken_ = 0;  // partitions taken over so far
};

}  // namespace eventrelay::relay
