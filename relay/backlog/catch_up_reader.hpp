// Reads a partition a second time for detached subscriptions, and feeds them at the pace they take.
//
//   ready cursors --> PartitionReader, from the lowest position on
//                       | --match, offer--> a copy for each cursor --> its queue
//                       |                                      full: deferred, or the read waits
//                       | nobody wants what follows: jump
//                       +--> live position: attached
//
// Why:     the log is the queue of a subscription that can not be served now; one pass serves all
//          of them.
// Owner:   the shard.  Thread: shard thread.
// Bounds:  one catch-up read and one waiting record per partition; half of the scheduler's jobs and
//          bytes.
// Errors:  what can not be read, and what the log has lost already, is told through `trouble`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/config/config.hpp"
#include "common/observe/metrics.hpp"
#include "common/process/volatile_budget.hpp"
#include "relay/backlog/catch_up_plan.hpp"
#include "relay/backlog/cursor/cursors.hpp"
#include "relay/io/shard_io.hpp"
#include "relay/log/duplicate_window.hpp"
#include "relay/park/outbox.hpp"
#include "relay/record/held_record.hpp"
#include "relay/subscriptions/queue_room.hpp"
#include "relay/subscriptions/subscriptions.hpp"

namespace eventrelay::relay {

// What it works with. Bounds: all outlive it.
struct CatchUpParts {
  Scheduler& scheduler;
  Subscriptions& subscriptions;
  Outbox& outbox;
  metrics::Slab& slab;
  SchedulerBounds bounds;                 // of the scheduler: half of them is the most it uses
  std::size_t prefetch_bytes = 1U << 20;  // per partition
  // First offset that the live path has not taken; nothing: not known, nothing is read again.
  std::function<std::optional<Offset>(Partition)> live;
  std::function<bool(Partition, Offset)> folded;  // the live path found it repeated
  std::function<void()> admitted;                 // something may be sent
  std::function<void(Partition)> attached;        // a cursor ended: it has something to write
  std::function<void(Partition, std::string)> trouble;
  VolatileBudget* budget = nullptr;  // gets what is done back; may be null
};

// Thread: shard thread.  Bounds: see the head of this file.
class CatchUpReader final : public RecordOwner, public kafka::LogSink, public OutboxClient {
 public:
  CatchUpReader(ShardIo& io, const Config& config, CatchUpParts parts);
  CatchUpReader(const CatchUpReader&) = delete;
  CatchUpReader& operator=(const CatchUpReader&) = delete;
  ~CatchUpReader();

  // `cursors` stays until drop().
  void add(Partition partition, Cursors& cursors);
  // Reads nothing more of it; its records that wait are dropped by the scheduler.
  void stop(Partition partition);
  void drop(Partition partition);
  // Ends the catch-up reads that have a cursor of one of these; the next one goes on for the rest.
  // Before their queues go.
  void halt(std::span<const std::string> subscriptions);
  // Its log has begun anew: ends the catch-up read that is under way; another one may follow.
  void begin_anew(Partition partition);
  // What lies below `below` goes to the dead letters: retention will soon take it.
  void expire(Partition partition, Offset below);

  // What of `partition` was written before `since`: `done` gets the first offset behind it.
  void find_older(Partition partition, WallTime since, std::function<void(Offset)> done);

  // Starts what may start and ends what waited for too long. Now and then.
  void poll(Partition partition, const Moment& moment);
  // Hands out what fits; at most `max` records are read. The number read.
  std::size_t read(std::size_t max);

  [[nodiscard]] std::size_t catching_up() const noexcept { return active_.size(); }
  [[nodiscard]] bool busy(Partition partition) const;

  void on_readable(kafka::TopicPartition place) override;
  void settled(HeldRecord& record, End end) override;
  void on_receipt(std::uint64_t token, Receipt receipt) override;

 private:
  // One taker of the record at hand.
  struct Taker {
    CursorId cursor;
    SubscriptionQueue* queue;
  };
  // One partition. Bounds: one record waiting.
  struct CatchUp {
    kafka::TopicPartition place;
    Cursors* cursors = nullptr;
    CatchUpPlan plan;
    kafka::Message waiting;  // read, and not handed to all its takers
    Event event;             // views into it
    std::vector<Taker> takers;
    std::size_t next_taker = 0;
    std::uint32_t held = 0;
    std::uint32_t barren = 0;      // records in a row that no cursor took
    std::uint32_t generation = 0;  // of its cursors
    bool readable = false;
    bool stopped = false;
    bool others_wait = false;  // for the next catch-up read, as of the last look
    std::optional<Offset> expire_wanted;
    std::optional<Offset> expire_below;  // it is one, up to there
    // Ids of events it has read: of the live path's window nothing is left after a restart.
    DuplicateWindow seen{DuplicateWindow::Remembers::IdsAndOffsets};

    explicit CatchUp(const CatchUpRules& rules) : plan(rules) {}
  };
  enum class Progress : std::uint8_t { On, Waits, Ended };

  void try_start(CatchUp& catch_up, const Moment& moment);
  [[nodiscard]] bool try_expire(CatchUp& catch_up, const Moment& moment);
  std::size_t read_from(CatchUp& catch_up, std::size_t max);
  [[nodiscard]] Progress step(CatchUp& catch_up);
  [[nodiscard]] Progress load(CatchUp& catch_up);
  [[nodiscard]] Progress take(CatchUp& catch_up, Offset at);
  void offer(CatchUp& catch_up);
  // Its provider had sent it before, so something covers it.
  [[nodiscard]] bool repeated(CatchUp& catch_up);
  [[nodiscard]] Progress hand_out(CatchUp& catch_up);
  [[nodiscard]] Progress try_again(CatchUp& catch_up);
  [[nodiscard]] bool fits(const CatchUp& catch_up, const Taker& taker) const noexcept;
  void defer(CatchUp& catch_up, const Taker& taker);
  [[nodiscard]] Progress no_room(CatchUp& catch_up, const Taker& taker);
  [[nodiscard]] bool others_wait(const CatchUp& catch_up, const Moment& moment);
  [[nodiscard]] HeldRecord& copy_of(CatchUp& catch_up, const Taker& taker);
  void admit(CatchUp& catch_up, const Taker& taker, const Handout& handout);
  void dead_letter(CatchUp& catch_up, const Taker& taker, const Handout& handout);
  void note_held(CatchUp& catch_up, const HeldRecord& record);
  void free(CatchUp& catch_up, HeldRecord& record);
  [[nodiscard]] bool budget_left(std::size_t bytes) const noexcept;
  void lost(CatchUp& catch_up);
  void go_on_at(Partition partition, std::uint32_t generation, Offset start);
  void begin(CatchUp& catch_up, Offset from, TimePoint now);
  [[nodiscard]] Offset limit_of(const CatchUp& catch_up) const;
  void end(CatchUp& catch_up);
  void forget_waiting(CatchUp& catch_up);
  static void forget_takers(CatchUp& catch_up);

  CatchUpParts parts_;
  CatchUpRules rules_;
  QueueRoom gate_;
  const Clock& clock_;
  std::unique_ptr<PartitionReader> reader_;
  std::unordered_map<std::int32_t, std::unique_ptr<CatchUp>> catch_ups_;
  std::vector<CatchUp*> active_;
  std::size_t next_active_ = 0;
  HeldRecords records_;
  std::vector<SubscriptionQueue*> queues_;  // scratch
  std::vector<CursorId> taking_;            // scratch
  std::uint32_t held_ = 0;
  std::size_t held_bytes_ = 0;
  Moment moment_{};  // of the last poll
};

}  // namespace eventrelay::relay
