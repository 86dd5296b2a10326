// Reads stretches of several logs and waits for them: where they begin and end, what is in them.
//
// Why:     a question about the past is answered by reading pieces of many partitions; the code
//          that asks is read as it runs, from top to bottom, in a thread that may wait.
// Owner:   History.  Thread: one owner, which waits in every call.
// Bounds:  128 KiB read ahead per partition; each call ends at the deadline or the budget.
// Errors:  StartError from the constructor; LogTrouble from the calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/kafka/partition_reader.hpp"

namespace eventrelay::history {

// What one question may cost.
struct Budget {
  std::size_t records_max = 100'000;
  TimePoint deadline{};
  std::size_t records = 0;  // read so far

  [[nodiscard]] bool spent() const noexcept { return records >= records_max; }
};

enum class LogTrouble : std::uint8_t {
  Late,   // the deadline came first: Kafka does not answer, or there is too much to read
  Spent,  // the budget's records are used up
  Gone,   // a stretch is not in the log any more
};

// Offsets `from` to below `to`.
struct Stretch {
  kafka::TopicPartition place;
  Offset from;
  Offset to;
};

using Visit = std::function<void(kafka::TopicPartition place, const kafka::Message& message)>;

// Thread: one owner.  Bounds: see above.
class LogWindow {
 public:
  // `topics` as kafka::ReaderOptions has them; positions are those of `group`.
  LogWindow(const KafkaConfig& kafka, std::string group, std::vector<std::string> topics);
  LogWindow(const LogWindow&) = delete;
  LogWindow& operator=(const LogWindow&) = delete;
  ~LogWindow();

  [[nodiscard]] Expected<std::vector<kafka::PartitionWatermarks>, LogTrouble> bounds(
      std::vector<kafka::TopicPartition> places, const Budget& budget);
  // `start` is the first offset written at `since` or later, the end of the log if there is none.
  [[nodiscard]] Expected<std::vector<kafka::PartitionWatermarks>, LogTrouble> since(
      std::vector<kafka::TopicPartition> places, WallTime since, const Budget& budget);
  [[nodiscard]] Expected<std::vector<kafka::ReadPosition>, LogTrouble> positions(
      std::vector<kafka::TopicPartition> places, const Budget& budget);
  // Every record of the stretches, those of one place in their order.
  [[nodiscard]] Expected<bool, LogTrouble> read(std::span<const Stretch> stretches,
                                                const Visit& visit, Budget& budget);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace eventrelay::history
