// The reading half of a replay: positions, watermarks and records, by plain assignment.
//
// Why:     where a replay stands must be known exactly, because it is written in the transaction
//          that holds the copies.
// Owner:   ReplayCopy.  Thread: one; each call may block up to kReplayStepLimit.
// Bounds:  one progress per partition; prefetch of 1 MiB per partition.
// Errors:  StartError from the constructor and begin(); std::runtime_error from next().
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "common/kafka/handle.hpp"
#include "common/kafka/tools/replay_copy.hpp"

namespace eventrelay::kafka {

// kReplayStepLimit as the library takes it.
inline constexpr int kStepMs =
    static_cast<int>(std::chrono::milliseconds{kReplayStepLimit}.count());

// Thread: one owner.  Bounds: see above.
class ReplayReader {
 public:
  ReplayReader(const KafkaConfig& config, const ReplayRoute& route);

  // What the group has; call it when no transaction of an earlier run can be open any more.
  void read_positions();
  [[nodiscard]] const std::optional<std::string>& earlier_note() const noexcept { return note_; }
  void begin(const ReplayWindow& window);
  [[nodiscard]] std::optional<Message> next(Duration limit);
  [[nodiscard]] bool finished() const noexcept { return left_ == 0; }

  // Every partition's position, with the note and the partition's end.
  [[nodiscard]] PartitionsPtr positions() const;
  // Returns the former one.
  [[nodiscard]] std::string set_note(std::string note) {
    return std::exchange(window_.note, std::move(note));
  }
  // positions() have been stored.
  void settle();
  // Back to what was stored last.
  void rewind();
  // Partitions that are done are read no more.
  void trim();

  [[nodiscard]] rd_kafka_t* client() const noexcept { return client_.get(); }
  // Adds offsets, passed and gone.
  void add_progress(ReplayProgress& progress) const noexcept;

 private:
  // One partition.
  struct PartitionProgress {
    std::int64_t first = 0;       // of this run
    std::int64_t next = 0;        // the first offset that next() has not passed
    std::int64_t committed = -1;  // -1: never
    std::int64_t end = 0;
    std::int64_t earlier_end = -1;
    bool done = false;
  };

  [[nodiscard]] int partition_count(const std::string& topic) const;
  [[nodiscard]] std::int64_t offset_at(std::int32_t partition, WallTime time) const;
  void bound(std::int32_t partition, PartitionProgress& progress);
  void assign();
  void pass(PartitionProgress& progress, std::int64_t next);
  [[nodiscard]] bool in_window(WallTime time) const noexcept;

  std::string source_;
  std::string group_;
  ClientPtr client_;
  ReplayWindow window_;
  std::optional<std::string> note_;  // of the earlier run
  std::map<std::int32_t, PartitionProgress> partitions_;
  std::size_t left_ = 0;  // partitions that are not done
  bool stale_ = false;    // some became done since the last assignment
  std::uint64_t gone_ = 0;
};

}  // namespace eventrelay::kafka
