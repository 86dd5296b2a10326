// Reads partitions without joining a group: from any offset, as many as wanted, ended at any time.
//
// Why:     delay topics, the state topic and the second reading of `events` follow what the shard
//          owns, not what a group hands out, and begin where the shard says. Starting and stopping
//          wait for the library's own threads, so a thread of the reader does both, in order; the
//          shard never waits. What was read ahead before a stop is dropped, never handed out.
// Owner:   the shard.  Thread: shard thread; callbacks and sinks run there too.
// Bounds:  prefetch_bytes per partition that is being read, plus one fetch answer on its way.
// Errors:  told by next(), in the order of the log; only a start error throws (StartError).
//          A position outside of the log is told, never silently reset: the caller decides.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.hpp"
#include "common/config/config.hpp"
#include "common/http/types.hpp"
#include "common/kafka/consumer_client.hpp"
#include "common/observe/metrics.hpp"

namespace eventrelay::kafka {

// Where start() may begin beside a plain offset.
inline constexpr Offset kLogStart{-2};
inline constexpr Offset kLogEnd{-1};

// One partition of one topic of the reader.
struct TopicPartition {
  std::uint16_t topic = 0;  // index in ReaderOptions::topics
  Partition partition;
  [[nodiscard]] friend bool operator==(const TopicPartition&, const TopicPartition&) = default;
};

// Hears that a partition can be read. Thread: shard thread.
class LogSink {
 public:
  // next() had nothing and may have something now.
  virtual void on_readable(TopicPartition place) = 0;

 protected:
  ~LogSink() = default;
};

enum class Found : std::uint8_t {
  Record,      // `message`, at `at`
  Nothing,     // not now; on_readable() follows
  End,         // the end of the log, as it is now, is `at`; more may follow
  OutOfRange,  // `at` is not in the log; nothing follows: stop() or start() again
  Failed,      // `reason`; the library tries again by itself
};

// What next() found.
struct Read {
  Found found = Found::Nothing;
  Offset at;
  Message message;
  std::string reason;
};

// A committed position of the reader's group. Bounds: metadata up to 4096 bytes.
struct ReadPosition {
  TopicPartition place;
  std::optional<Offset> committed;  // nothing: never committed
  std::string metadata;             // as committed, ASCII
};

// A position to commit. Bounds: as ReadPosition.
struct ReadCommit {
  TopicPartition place;
  Offset next;           // the first offset that is not done
  std::string metadata;  // ASCII
};

// First offset that is still there, and the one after the last.
struct PartitionWatermarks {
  TopicPartition place;
  Offset start;
  Offset end;
};

// One reader.
struct ReaderOptions {
  std::string group;                       // for positions only; nobody ever joins it
  std::vector<std::string> topics;         // at most 64
  std::size_t prefetch_bytes = 128 << 10;  // per partition; 64 KiB or more
  // The longest a fetch waits for data; a partition started meanwhile waits as long. Lower: more
  // requests while nothing happens.
  Duration fetch_wait = std::chrono::milliseconds{100};
  Duration commit_timeout = std::chrono::seconds{5};  // the longest commit_sync() may take
};

// Thread: shard thread.  Bounds: ReaderOptions.
class PartitionReader {
 public:
  PartitionReader(Executor executor, const KafkaConfig& config, ReaderOptions options,
                  metrics::Slab& slab);
  PartitionReader(const PartitionReader&) = delete;
  PartitionReader& operator=(const PartitionReader&) = delete;
  ~PartitionReader();  // returns at once

  // Reads `place` from `from` on; where it is being read already, it goes on from there instead.
  void start(TopicPartition place, Offset from, LogSink& sink);
  // The sink hears nothing more. Nothing happens if the place is not read.
  void stop(TopicPartition place);
  [[nodiscard]] bool reading(TopicPartition place) const noexcept;
  // The next of a place; after Nothing ask again when on_readable() was called.
  [[nodiscard]] Read next(TopicPartition place);

  // Of a place that is read, as the last answer of its broker told; nothing: none did yet.
  [[nodiscard]] std::optional<Watermarks> known_watermarks(TopicPartition place) const;

  // Committed positions; asked until they are known, in a thread of the reader.
  void positions(std::vector<TopicPartition> places,
                 std::function<void(std::span<const ReadPosition>)> done);
  // Log start and end; asked until they are known, in a thread of the reader.
  void watermarks(std::vector<TopicPartition> places,
                  std::function<void(std::span<const PartitionWatermarks>)> done);
  // As above, but `start` is the first offset written at `since` or later.
  void offsets_for_times(std::vector<TopicPartition> places, WallTime since,
                         std::function<void(std::span<const PartitionWatermarks>)> done);

  // A refused commit is logged and counted; the next one covers it.
  void commit_async(std::span<const ReadCommit> commits);
  // One is on its way and not overdue: another one now could be overtaken by it.
  [[nodiscard]] bool committing() const noexcept;
  // Blocks up to a few round trips; on revoke and on drain only. True if the broker took it.
  [[nodiscard]] bool commit_sync(std::span<const ReadCommit> commits);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace eventrelay::kafka
