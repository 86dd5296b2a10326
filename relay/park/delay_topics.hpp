// Reads the delay topics: each parked event comes back to its subscription when it is due.
//
//   retry.<step>/p --read--> head, waits for er-due --> queue of er-sub, urgent --end--> ledger
//                                                   |--> its queue is full: shortest step again
//
// Why:     a delay topic's delay is constant, so it is first in, first out: one record in memory
//          per step and partition, however many are parked.
// Owner:   the shard; its partitions are those it owns of `events`.
// Thread:  shard thread.
// Bounds:  one waiting record per step and partition; what is due by the ledgers' windows and the
//          scheduler's bounds.
// Errors:  a record that can not be read stops its step of its partition, with a reason; nothing is
//          skipped.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/config/config.hpp"
#include "common/process/volatile_budget.hpp"
#include "relay/dispatch/scheduler.hpp"
#include "relay/io/shard_io.hpp"
#include "relay/log/offset_ledger.hpp"
#include "relay/park/outbox.hpp"
#include "relay/park/unknown_instances.hpp"
#include "relay/record/held_record.hpp"
#include "relay/subscriptions/subscriptions.hpp"

namespace eventrelay::relay {

// What is fetched ahead of one step of one partition.
inline constexpr std::size_t kDelayPrefetch = 128U << 10;

// What it works with. Bounds: all outlive it.
struct DelayParts {
  Scheduler& scheduler;
  Subscriptions& subscriptions;
  Outbox& outbox;
  metrics::Slab& slab;
  LedgerBounds window;               // what is due and unfinished of one step and partition
  VolatileBudget* budget = nullptr;  // may be null
  std::function<void()> admitted;    // something may be sent
  UnknownInstances& unknown;
  // Is this subscription paused in this partition?
  std::function<bool(std::string_view, Partition)> is_paused;
};

// Thread: shard thread.  Bounds: see the head of this file.
class DelayTopics final : public RecordOwner, public kafka::LogSink, public OutboxClient {
 public:
  DelayTopics(ShardIo& io, const Config& config, DelayParts parts);
  DelayTopics(const DelayTopics&) = delete;
  DelayTopics& operator=(const DelayTopics&) = delete;
  ~DelayTopics();

  // Reads every step of these from where they were left.
  void assign(std::span<const Partition> partitions);
  // Reads nothing more of it; what waits for its time is dropped, to be read again.
  void stop_reading(Partition partition);
  // Some of its events are in memory.
  [[nodiscard]] bool busy(Partition partition) const;
  // The partition belongs to another member now.
  void drop(Partition partition);

  // Admits what is due; also now and then, when there may be room again.
  void poll();
  // What has changed since the last call; returns at once.
  void commit();
  // What has changed of `partitions`, and waits for the broker. False: it did not take it.
  bool commit_and_wait(std::span<const Partition> partitions);
  void shutdown();

  // The log of this step has begun anew: what it holds is read from its start. `end`: of the new
  // log, where the watch of the topics tells it; nothing happens where that was seen a moment ago.
  void begin_anew(std::size_t step, Partition partition, std::optional<Offset> end = {});
  // The first offset that was not read; 0: none, or it is not read now.
  [[nodiscard]] Offset position(std::size_t step, Partition partition) const;

  // Of each step, records that are not done, as far as the last answers of the brokers tell.
  void append_lags(std::vector<std::int64_t>& lags) const;

  // Why steps can not go on, one line each.
  void append_stopped(std::vector<std::string>& reasons) const;

  void on_readable(kafka::TopicPartition place) override;
  void settled(HeldRecord& record, End end) override;
  void on_receipt(std::uint64_t token, Receipt receipt) override;

 private:
  // One step of one partition. Bounds: one ledger and one waiting record.
  struct DelayPartition {
    kafka::TopicPartition place;
    OffsetLedger ledger;
    Offset position{};                   // the first that was not read
    std::optional<TimePoint> restarted;  // when its log was last seen to begin anew
    bool reading = false;
    bool readable = false;
    bool changed = false;        // its commit would say something new
    HeldRecord* head = nullptr;  // read, and not due or not to be taken yet
    std::uint32_t held = 0;      // of its records in memory
    std::string stopped;

    DelayPartition(kafka::TopicPartition where, const LedgerBounds& window)
        : place(where), ledger(window) {}
  };
  using DelayPartitions = std::vector<DelayPartition>;  // by step
  enum class Progress : std::uint8_t { On, Waits };

  [[nodiscard]] DelayPartition& delayed_of(kafka::TopicPartition place) {
    return (*delayed_.at(place.partition.value))[place.topic];
  }
  void open(const kafka::ReadPosition& position);
  void serve(DelayPartition& delayed);
  [[nodiscard]] Progress load(DelayPartition& delayed);
  [[nodiscard]] Progress take(DelayPartition& delayed, kafka::Message message);
  [[nodiscard]] Progress begin(DelayPartition& delayed, HeldRecord& record);
  [[nodiscard]] Progress place_head(DelayPartition& delayed);
  void park_again(DelayPartition& delayed, WallTime now, std::size_t step = 0);
  void stop(DelayPartition& delayed, std::string reason);
  void restart(DelayPartition& delayed, Offset at);
  void free(HeldRecord& record, End end);
  void poll_later();
  void arm();
  void collect(DelayPartition& delayed);

  Loop& loop_;
  const Clock& clock_;
  DelayParts parts_;
  std::vector<milliseconds> steps_;
  std::unique_ptr<PartitionReader> reader_;
  std::unique_ptr<LoopTimer> timer_;
  std::unordered_map<std::int32_t, std::unique_ptr<DelayPartitions>> delayed_;
  std::vector<Partition> owned_;
  HeldRecords records_;
  std::vector<kafka::ReadCommit> commits_;
  bool posted_ = false;
  bool admitted_ = false;
  bool shut_ = false;
  TimePoint renewed_{};
};

}  // namespace eventrelay::relay
