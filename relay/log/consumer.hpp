// Reads the partitions of the shard, in turns and only while there is room, and knows what of each
// is unfinished.
//
//   readable --read--> record --ledger, match, admit--> jobs --finished--> ledger
//                        | no room                                 |
//                        +-----> held back <------ room again -----+
//
// Why:     a partition is held back by not reading it; its next record waits here until it fits.
// Owner:   the shard.  Thread: shard thread.
// Bounds:  the ledger's window and the scheduler's bounds; one waiting record and kTurn fetched
//          ones per partition.
// Errors:  a record that can not be read stops its partition with a reason; nothing is skipped.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/observe/event_sums.hpp"
#include "common/observe/metrics.hpp"
#include "common/process/volatile_budget.hpp"
#include "relay/backlog/cursor/cursors.hpp"
#include "relay/io/kafka.hpp"
#include "relay/log/duplicate_window.hpp"
#include "relay/log/live_gate.hpp"
#include "relay/log/offset_ledger.hpp"
#include "relay/record/held_record.hpp"
#include "relay/record/unknown_sink.hpp"
#include "relay/subscriptions/subscriptions.hpp"

namespace eventrelay::relay {

// One partition of this shard, kept over assignments.
// Bounds: one ledger, one window of ids, as many folded offsets, one waiting record, and those of
// one turn that are fetched.
struct PartitionState {
  explicit PartitionState(const LedgerBounds& window) : ledger(window) {}

  enum class Hold : std::uint8_t { No, Window, Queue, Write, State };
  // Of the shard's bounds. Crowded: it has all of it, most for a subscription that could make room
  // for others; Used: all of it, and nobody could.
  enum class Share : std::uint8_t { Within, Used, Crowded };

  Partition id;
  OffsetLedger ledger;
  DuplicateWindow seen;       // ids of events that this assignment has read
  std::deque<Offset> folded;  // ascending: repeated by their provider; the last of them
  bool owned = false;         // assigned
  bool reading = false;       // owned, and not being given up
  bool has_data = false;
  bool in_turn = false;           // waits for its turn to be read
  Hold hold = Hold::No;           // Write is `blocked`
  bool blocked = false;           // a record can not be written: it is not read meanwhile
  HeldRecord* waiting = nullptr;  // read, and does not fit yet
  // Fetched and not read, the next one last: what comes is known before it is read.
  std::vector<kafka::Message> coming;
  std::string stopped;            // why it can not go on
  Cursors* cursors = nullptr;     // what of it is detached; null: not known yet, it is not read
  std::optional<Offset> at_hand;  // read, and neither taken nor done
  std::optional<Offset> position;
  std::optional<Offset> committed;    // as far as is known; nothing after a commit that failed
  std::optional<Offset> assigned_at;  // committed when the partition was assigned
  std::string ranges;                 // as committed last
  // The first record of its log has no later time; nothing: not known. Another log under the same
  // name begins later.
  std::optional<WallTime> begun;
  // How often it may still be asked for the start of its log, which began anew, before what comes
  // is believed to be that.
  unsigned starts_awaited = 0;
  TimePoint start_asked{};
  WallTime unread_since{};  // nothing older is unread, as far as is known
  LinkedList<HeldRecord, &HeldRecord::in_partition> held;
  std::uint32_t held_count = 0;
  std::size_t held_bytes = 0;
  Share share = Share::Within;
  bool behind = false;            // was held back since it was read to its end
  std::optional<Offset> awaited;  // an event of a subscription with room waits there
  TimePoint awaited_since{};      // since when there has been one without a break
  TimePoint awaited_seen{};       // when the last one was found
};

// How far a partition is read ahead of what is delivered. Enough: as far as keeps responsive
// subscriptions busy, while what was read is still in the core's cache. Far: to the bounds, so that
// a subscription gets what lies behind events of others; for a shard that is not busy.
enum class Reach : std::uint8_t { Enough, Far };

// Thread: shard thread.  Bounds: see the head of this file.
class Consumer final : public RecordOwner {
 public:
  // `window`: of each partition. `budget` gets the bytes of each finished record back; may be null.
  Consumer(Scheduler& scheduler, Subscriptions& subscriptions, metrics::Slab& slab,
           const LedgerBounds& window, VolatileBudget* budget)
      : scheduler_(scheduler),
        subscriptions_(subscriptions),
        slab_(slab),
        window_(window),
        budget_(budget) {}

  // Where each event is counted once it is begun; before the first record.
  void count_in(EventSums& sums) { sums_ = &sums; }
  // Where records come from; before the first call of any other member.
  void attach(GroupMember& member) { member_ = &member; }

  void assign(std::span<const kafka::Assigned> partitions);
  void on_readable(Partition partition);
  // Admits up to `max` events, in turns over the partitions. The number read, 0 = nothing to do.
  std::size_t read(std::size_t max, Reach reach);
  // At `offset` an event waits for a subscription that could take it now: the partition is read up
  // to it, and a subscription that holds it back for long has to leave.
  void await(Partition partition, Offset offset, TimePoint now);
  // Tries again what found no room.
  void retry(Partition partition);
  // Reads nothing more of it and drops what has not been begun.
  void stop_reading(Partition partition);
  // The partition belongs to another member now.
  void drop(Partition partition);
  // Its log has begun anew: nothing of what was read or committed counts for it.
  void begin_anew(Partition partition, TimePoint now);
  // Now and then: asks again for the start of a log that began anew and of which nothing comes. The
  // library forgets it where the partition had just been assigned.
  void await_starts(TimePoint now);
  // Who hears that a partition is read from offset 0 again without having been told to: its log has
  // begun anew, and the client library was the first to see it. Before the first record.
  void tell_restart(std::function<void(Partition)> told) { restarted_ = std::move(told); }

  // Who is asked before an event is admitted; before the first call of any other member. From then
  // on an assigned partition is read from open() on.
  void guard(LiveGate& gate) { gate_ = &gate; }
  void open(Partition partition, Cursors& cursors);
  // Who gets the events of instances that are not known; before the first call of any other member.
  void keep_unknown(UnknownSink& unknown) { unknown_ = &unknown; }
  // A state record of it may have been acknowledged: looks at what waits for one.
  void state_written(Partition partition);
  // The provider had sent this event before, and the earlier record of it counts.
  [[nodiscard]] bool folded(Partition partition, Offset offset);
  // The first offset that the live path has not taken; nothing: not known yet.
  [[nodiscard]] static std::optional<Offset> live_position(const PartitionState& partition);

  // It can not go on.
  void stop_partition(Partition partition, std::string reason);

  // Not read until unblock(): something of it can not be written.
  void block(Partition partition);
  void unblock(Partition partition);

  // Now and then: lets go of the messages of records that have waited since the last call.
  void age();

  void settled(HeldRecord& record, End end) override;

  [[nodiscard]] const std::vector<PartitionState*>& owned() const noexcept { return owned_; }
  [[nodiscard]] PartitionState* find(Partition partition);
  // Partitions that have more and find no room for it.
  [[nodiscard]] std::size_t paused() const noexcept { return held_back_.size(); }
  [[nodiscard]] std::uint64_t unmatched() const noexcept { return unmatched_; }
  [[nodiscard]] std::uint64_t already_done() const noexcept { return already_done_; }
  // Since when the oldest event waits to be read by the live path; nothing: all is read. Of one
  // that was not read no more is known than that it came after the last that was, and after the
  // last look at which none was left: it waits since then at most. To be asked every second or so.
  [[nodiscard]] std::optional<WallTime> oldest_unread(WallTime now);
  // Received-at of the oldest unfinished event.
  [[nodiscard]] std::optional<WallTime> oldest_pending() const;

 private:
  enum class Verdict : std::uint8_t { Yes, Held, Stopped };

  static constexpr std::size_t kTurn = 16;           // events read of one partition before the next
  static constexpr std::uint32_t kEnough = 256;      // unfinished events of all partitions ...
  static constexpr std::uint32_t kEnoughLeast = 32;  // ... and of one
  // Longer than it takes to look ahead again: an await() later than that begins a new wait.
  static constexpr std::chrono::milliseconds kAwaitedBreak{500};
  static constexpr unsigned kStartsAwaited = 10;
  static constexpr std::chrono::milliseconds kStartAgain{500};
  // The first record of a log is at most this much younger than any other one, whatever clocks say.
  static constexpr std::chrono::hours kClocksDiffer{24};

  std::size_t read_from(PartitionState& partition, std::size_t max);
  [[nodiscard]] bool has_enough(PartitionState& partition, Reach reach);
  [[nodiscard]] bool over_its_share(const PartitionState& partition) const noexcept;
  [[nodiscard]] std::optional<kafka::Message> next_message(PartitionState& partition,
                                                           std::size_t max);
  void fetch(PartitionState& partition, std::size_t max);
  void forget_unread(PartitionState& partition);
  [[nodiscard]] HeldRecord* load(PartitionState& partition, kafka::Message message);
  [[nodiscard]] Verdict take(PartitionState& partition, HeldRecord& record);
  void unmatched(PartitionState& partition, HeldRecord& record, Subscriptions::Match match);
  [[nodiscard]] Verdict begin(PartitionState& partition, HeldRecord& record);
  // Notes what it finds.
  [[nodiscard]] bool seen_before(PartitionState& partition, const HeldRecord& record);
  void free(PartitionState& partition, HeldRecord& record, End end);
  void enter_turn(PartitionState& partition);
  void leave_turn(PartitionState& partition);
  void hold(PartitionState& partition, HeldRecord& record, PartitionState::Hold why);
  void held_back(PartitionState& partition);
  void let_go(PartitionState& partition);
  void let_go_of(PartitionState::Hold why);
  void stop(PartitionState& partition, std::string reason);
  void restarted(PartitionState& partition);
  [[nodiscard]] bool is_start(PartitionState& partition, Offset offset);
  static void note_begin(PartitionState& partition, const kafka::Message& message);

  Scheduler& scheduler_;
  Subscriptions& subscriptions_;
  metrics::Slab& slab_;
  LedgerBounds window_;
  VolatileBudget* budget_;
  LiveGate* gate_ = nullptr;
  std::function<void(Partition)> restarted_;
  UnknownSink* unknown_ = nullptr;
  EventSums* sums_ = nullptr;
  GroupMember* member_ = nullptr;
  std::unordered_map<std::int32_t, std::unique_ptr<PartitionState>> partitions_;
  std::vector<PartitionState*> owned_;
  std::vector<PartitionState*> turn_;  // may be read now
  std::size_t next_turn_ = 0;
  std::vector<PartitionState*> held_back_;
  HeldRecords records_;
  std::vector<SubscriptionQueue*> queues_;  // scratch
  std::vector<InstanceId> expected_;        // scratch
  std::uint32_t age_ = 0;
  std::uint64_t unmatched_ = 0;
  std::uint64_t already_done_ = 0;
};

}  // namespace eventrelay::relay
