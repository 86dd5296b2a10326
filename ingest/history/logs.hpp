// The topics that tell of events and of their fate, open for reading.
//
// Why:     each question reads other stretches of the same topics; where they begin, which
//          partitions they have and what waits in the delay topics is known in one place.
// Owner:   History.  Thread: one owner, the thread of the history, which waits in every call.
// Bounds:  as LogWindow.
// Errors:  StartError from the constructor; LogTrouble from the calls.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <vector>

#include "common/config/config.hpp"
#include "ingest/history/log_window.hpp"
#include "ingest/history/questions.hpp"

namespace eventrelay::history {

// The index of each topic in Logs::topics.
inline constexpr std::uint16_t kEvents = 0;
inline constexpr std::uint16_t kDead = 1;
inline constexpr std::uint16_t kAttempts = 2;
inline constexpr std::uint16_t kState = 3;
inline constexpr std::uint16_t kSums = 4;

// Thread: one owner.  Bounds: see above.
class Logs {
 public:
  // Waits up to ten seconds for the brokers.
  explicit Logs(const Config& config);

  [[nodiscard]] LogWindow& topics() noexcept { return topics_; }
  // How many `events` has.
  [[nodiscard]] std::int32_t partitions() const noexcept { return partitions_; }
  // In which of them the events of these instances may stand; ascending.
  [[nodiscard]] std::set<std::int32_t> partitions_of(
      const std::vector<std::uint64_t>& instances) const;

  // What waits in the delay topics of these partitions: from the position of the group on.
  using SeeParked = std::function<void(const Event& event, const kafka::Message& message)>;
  [[nodiscard]] Expected<bool, LogTrouble> read_delays(const std::set<std::int32_t>& partitions,
                                                       const SeeParked& see, Budget& budget);

 private:
  std::size_t steps_;
  bool own_partitioner_;
  LogWindow topics_;
  LogWindow delays_;
  std::int32_t partitions_ = 0;
};

// Of a row of watermarks, the one of `place`; it must be there.
[[nodiscard]] const kafka::PartitionWatermarks& row_of(
    const std::vector<kafka::PartitionWatermarks>& rows, kafka::TopicPartition place);
// Where to begin for what was written since a time. The end of the log is not believed: the
// embedded broker knows no times, and says so for every one.
[[nodiscard]] std::int64_t begin_of(const kafka::PartitionWatermarks& ends,
                                    const kafka::PartitionWatermarks& since);
// What a record of a delay topic or of the dead letters says of its event.
[[nodiscard]] ParkedSeen parked_of(const Event& event, const kafka::Message& message);
// The answer where a log could not be read.
[[nodiscard]] Unexpected<HistoryTrouble> trouble(LogTrouble what);

}  // namespace eventrelay::history
