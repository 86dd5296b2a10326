// Writes what must outlive the process before an offset may be let go: parked events, dead
// letters, state records; and the attempts log, which is best effort.
//
//   park, dead_letter, put_state --> producer --stored--> OutboxClient::on_receipt
//                                 | refused, failed: again after a pause, its partition blocked
//
// Why:     an event leaves memory only after Kafka has acknowledged where it went. What can not be
//          written stops its partition and is never skipped.
// Owner:   the shard.  Thread: shard thread.
// Bounds:  one write per job that leaves plus one per state key; bytes stay in the held events. The
//          attempts log drops lines once the producer is half full.
// Errors:  none comes back but TooLarge; everything else is tried until it is written or forgotten.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/event.hpp"
#include "common/base/linked_list.hpp"
#include "common/base/pool.hpp"
#include "common/config/config.hpp"
#include "common/observe/metrics.hpp"
#include "relay/io/broker_clock.hpp"
#include "relay/io/shard_io.hpp"
#include "relay/park/receipt.hpp"
#include "relay/record/job.hpp"

namespace eventrelay::relay {

// What the producer of one shard may hold.
[[nodiscard]] std::size_t outbox_bytes(const Config& config, unsigned shards) noexcept;

// Bounds: the configuration is read, not kept.
struct OutboxOptions {
  const Config& config;
  unsigned shards = 1;  // of the process: they share its memory bounds
};

// Thread: shard thread.  Bounds: see the head of this file.
class Outbox final : public kafka::ReportSink {
 public:
  using Changed = std::function<void(Partition)>;  // blocked() of it says something else now

  Outbox(ShardIo& io, const OutboxOptions& options, metrics::Slab& slab, Changed changed);
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;
  ~Outbox();

  // Into the topic of step `delay`, same partition. `held` stays until the receipt; the views of
  // `state` are static, its subscription's excepted.
  void park(const HeldEvent& held, const ParkedState& state, std::size_t delay, Sender sender);
  // Into the dead letters; `state.dead_class` is set.
  void dead_letter(const HeldEvent& held, const ParkedState& state, Sender sender);
  // A state record of `partition`; an empty value is a tombstone. Of one key the last one counts:
  // a newer one takes the place of one that has not been handed over yet.
  void put_state(Partition partition, std::string key, std::string value, Sender sender);
  // One JSON line. Best effort: no receipt, and none is written once the producer is half full.
  void log_attempt(InstanceId instance, std::string_view line);
  // One record of sums. Best effort likewise; false: not now.
  bool write_sums(std::string_view sums);

  // Where the reader of a delay topic stands, and who hears that a record was appended below that:
  // its log has begun anew. Before the first event is parked.
  struct DelayLog {
    std::function<Offset(std::size_t delay, Partition)> position;
    std::function<void(std::size_t delay, Partition)> began_anew;
  };
  void follow(DelayLog log) { delay_log_ = std::move(log); }
  // The same for the log of `state`.
  struct StateLogEnd {
    std::function<Offset(Partition)> position;
    std::function<void(Partition)> began_anew;
  };
  void follow_state(StateLogEnd log) { state_log_ = std::move(log); }
  void state_reads_from_start(Partition partition) { reads_from_start(state_, partition); }
  // The log of this step is read from its start: what is on its way into it may come to stand below
  // where the reader stood before.
  void reads_from_start(std::size_t delay, Partition partition);

  // A write of this partition was refused, failed, or waits for long.
  [[nodiscard]] bool blocked(Partition partition) const;
  [[nodiscard]] std::size_t blocked_partitions() const noexcept { return blocked_.size(); }
  // Why the last one became so.
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }
  [[nodiscard]] bool idle() const noexcept { return waiting_.empty(); }
  // Tells Forgotten for each of them.
  void forget(Partition partition);
  // Now and then: finds writes that wait for long.
  void age(TimePoint now);
  // Waits for what is handed over until `deadline`; what is refused meanwhile is tried on.
  void drain(TimePoint deadline, std::function<void()> done);
  // No pause ends any more; the loop ends next.
  void shutdown();

  void on_stored(std::uint64_t token, kafka::Stored stored) override;
  void on_placed(std::uint64_t token, Offset at, std::optional<WallTime> appended) override;

 private:
  // One record on its way.
  struct Write {
    std::uint64_t token = 0;  // its place in the pool, plus one
    std::size_t topic = 0;
    Partition partition;
    const HeldEvent* held = nullptr;  // of an event
    ParkedState state;
    std::string key;   // of a state record
    std::string text;  // the subscription of an event, the value of a state record
    std::vector<Sender> senders;
    TimePoint since{};
    Offset read_to{};   // where the reader of its log stood when it was handed over
    bool sent = false;  // its report is due
    bool blocking = false;
    bool too_large = false;
    bool orphan = false;  // forgotten while its report was due
    ListHook by_age;
  };
  // What is to be written of a key once its record on the way has ended.
  struct NextState {
    bool wanted = false;
    std::string value;
    std::vector<Sender> senders;
  };

  Write& add(std::size_t topic, Partition partition, Sender sender);
  void add_event(std::size_t topic, const HeldEvent& held, const ParkedState& state, Sender sender);
  void send(Write& write);
  [[nodiscard]] kafka::Queued produce(const Write& write);
  void fail(Write& write, metrics::ProduceFailure failure, std::string_view reason);
  void again(Write& write, Duration pause);
  void arm(Duration pause);
  void send_again();
  [[nodiscard]] bool renew(Write& write);
  void end(Write& write, Receipt receipt);
  void go_on(const Write& write);
  void recycle(Write& write);
  void block(Write& write, std::string_view reason);
  void unblock(Write& write);
  void check_drained();

  Loop& loop_;
  const Clock& clock_;
  metrics::Slab& slab_;
  Changed changed_;
  std::unique_ptr<LoopTimer> timer_;
  std::unique_ptr<RecordSink> producer_;
  std::size_t queue_bytes_;
  std::vector<std::string> topic_names_;  // the delay topics first
  std::size_t dead_ = 0;
  std::size_t state_ = 0;
  std::size_t attempts_ = 0;
  std::size_t sums_ = 0;
  Pool<Write> writes_;
  LinkedList<Write, &Write::by_age> waiting_;                // all without a receipt, by age
  std::vector<Write*> again_;                                // wait for the pause to end
  std::unordered_map<std::string, NextState> keys_;          // state records on their way
  std::unordered_map<std::int32_t, std::uint32_t> blocked_;  // blocking writes by partition
  std::string reason_;
  DelayLog delay_log_;
  StateLogEnd state_log_;
  ClockLead lead_;
  bool armed_ = false;
  bool met_ = false;  // the producer was ready once
  std::function<void()> drained_;
  bool draining_ = false;
  TimePoint drain_deadline_{};
};

}  // namespace eventrelay::relay
