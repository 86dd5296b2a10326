// One shard's share of its process's group member: partitions read one by one, rebalances as
// events.
//
// Why:     partition queues are cut off from the shared one, so a partition is held back by not
//          reading it: pausing would drop its prefetch and cost 50-750 ms. The rebalance is an
//          event, not a callback, so the shard finishes what is in flight before it lets go.
// Owner:   the shard.  Thread: shard thread.
// Bounds:  one partition prefetches prefetch_bytes * shards / partitions of the topic: the library
//          fixes that number when the handle is made, so it is chosen such that the partitions of
//          one process never hold more than prefetch_bytes * shards, however they are spread.
// Errors:  reported through the handler.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/event.hpp"
#include "common/base/ids.hpp"
#include "common/config/config.hpp"
#include "common/http/types.hpp"
#include "common/observe/metrics.hpp"

// The library's own types, so that its header stays in common/kafka.
extern "C" {
struct rd_kafka_message_s;
}

namespace eventrelay::kafka {

// A record that did not come from the client library: a simulation of the brokers makes it.
struct MadeRecord {
  Partition partition;
  Offset offset;
  std::string topic;
  std::string key;
  std::string value;
  std::vector<std::pair<std::string, std::string>> headers;
  WallTime stamped{};
};

// One record read from Kafka; owns the library's buffer, so views into it live as long as it.
// Thread: one owner.  Bounds: one message.
class Message {
 public:
  Message() = default;
  explicit Message(rd_kafka_message_s* raw) noexcept : raw_(raw) {}
  // `made` outlives it and what views it.
  explicit Message(const MadeRecord& made) noexcept : made_(&made) {}
  Message(Message&& other) noexcept
      : raw_(std::exchange(other.raw_, nullptr)), made_(std::exchange(other.made_, nullptr)) {}
  Message& operator=(Message&& other) noexcept;
  ~Message();

  [[nodiscard]] Partition partition() const noexcept;
  [[nodiscard]] Offset offset() const noexcept;
  [[nodiscard]] std::string_view key() const noexcept;
  [[nodiscard]] std::string_view value() const noexcept;
  [[nodiscard]] std::string_view topic() const noexcept;
  // As its producer or its broker stamped it; the epoch if neither did.
  [[nodiscard]] WallTime stamped() const noexcept;
  // When its broker appended it; nothing: the topic keeps the time of who wrote it, or the record
  // was made.
  [[nodiscard]] std::optional<WallTime> appended() const noexcept;
  // Decodes the record headers; views into this message.
  [[nodiscard]] Expected<Event, RecordError> event() const;
  // The same; where the headers' texts fit into `room` they are copied there and the headers freed,
  // until they are asked for again: the library has each of them in a block of its own.
  [[nodiscard]] Expected<Event, RecordError> event(std::span<char> room);
  [[nodiscard]] explicit operator bool() const noexcept {
    return raw_ != nullptr || made_ != nullptr;
  }
  // For files of this folder; null if the record was made.
  [[nodiscard]] const rd_kafka_message_s* raw() const noexcept { return raw_; }

 private:
  rd_kafka_message_s* raw_ = nullptr;
  const MadeRecord* made_ = nullptr;
};

// One partition taken over. Bounds: metadata at most 4096 bytes.
struct Assigned {
  Partition partition;
  std::optional<Offset> committed;  // nothing: never committed
  std::string metadata;             // as committed, ASCII
};

// One position to commit. Bounds: as Assigned.
struct Commit {
  Partition partition;
  Offset next;           // the first offset that is not done
  std::string metadata;  // ASCII, at most 4096 bytes
};

// First offset that is still there, and the one after the last.
struct Watermarks {
  Offset start;
  Offset end;
};

enum class Loss : std::uint8_t { Revoked, Lost };  // Lost: another member owns them already

// What the shard does with its partitions. Thread: shard thread.
class ConsumerHandler {
 public:
  // Reading starts when this returns. May be empty: more members than partitions.
  virtual void on_assigned(std::span<const Assigned> partitions) = 0;
  // The group waits until release() is called, at once or later; nothing new arrives meanwhile.
  // Comes during close() as well.
  virtual void on_revoking(std::span<const Partition> partitions, Loss loss) = 0;
  // next() had nothing and may have something now; also after on_assigned().
  virtual void on_readable(Partition partition) = 0;
  // A commit was refused; the next one covers it.
  virtual void on_commit_failed(std::string_view reason) = 0;
  // The answer to confirm().
  virtual void on_confirmed(std::uint64_t token, bool accepted) = 0;
  // The member can not go on (fenced, authorisation); the process should end.
  virtual void on_fatal(std::string_view reason) = 0;

 protected:
  ~ConsumerHandler() = default;
};

// One group member, and which shard of its process asks.
struct ConsumerOptions {
  std::string group;
  std::string topic;
  unsigned shard = 0;                      // 0 leads
  unsigned shards = 1;                     // of this process, which share the member; 1..256
  int partitions = 12;                     // of the topic, as ensure_topics() found them
  std::size_t prefetch_bytes = 64U << 20;  // of a shard; two seconds of peak traffic or more
  Duration commit_timeout = std::chrono::seconds{5};  // the longest commit_sync() may take
};

class GroupClient;

// What one shard has of the member. Built before its loop runs; the destructor gives the handle
// away and returns at once, close() leaves the group properly.
// Thread: shard thread, except joined().  Bounds: ConsumerOptions.
class ConsumerClient {
 public:
  // `group` is used here only.
  ConsumerClient(Executor executor, GroupClient& group, unsigned shard, ConsumerHandler& handler,
                 metrics::Slab& slab);
  ConsumerClient(const ConsumerClient&) = delete;
  ConsumerClient& operator=(const ConsumerClient&) = delete;
  ~ConsumerClient();

  // The member joins its group when every shard has called this.
  void start();
  // The next record of an owned partition, or nothing; on_readable() tells when to ask again.
  [[nodiscard]] std::optional<Message> next(Partition partition);
  void commit_async(std::span<const Commit> commits);
  // One is on its way and not overdue: another one now could be overtaken by it.
  [[nodiscard]] bool committing() const noexcept;
  // Blocks up to a few round trips; on revoke and on drain only. True if the broker took it.
  [[nodiscard]] bool commit_sync(std::span<const Commit> commits);
  // Commits a position of another topic, to learn whether the group still has this member: it
  // refuses a member that has lost its partitions. `token` is not 0. False: not sent.
  [[nodiscard]] bool confirm(const std::string& topic, const Commit& commit, std::uint64_t token);
  // Of an owned partition, as the last answer of its broker told; nothing: none did yet.
  [[nodiscard]] std::optional<Watermarks> watermarks(Partition partition) const;
  // Records of owned partitions that are not committed, as far as the last answers tell.
  [[nodiscard]] std::int64_t lag() const;
  // Its log has begun anew: reads from the start of it, whatever was read before.
  void read_anew(Partition partition);
  // Ends a revocation that on_revoking() began. The group goes on when every shard has.
  void release();
  // Leaves the group and closes once every shard has called this, in a thread of its own; `done`
  // runs on the shard's thread.
  void close(TimePoint deadline, std::function<void()> done);
  // True once the first assignment (possibly empty) was taken. Any thread.
  [[nodiscard]] bool joined() const noexcept;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace eventrelay::kafka
