// Reads a partition a second time for those who were away, and feeds them at the pace they take.
//
//   ready entry --> LogReader from the lowest cursor --match, offer--> own copy per entry --> lane
//                        | nobody wants what follows: jump      | full: stays behind, or wait
//                        +--> live position: attached
//
// Why:     the log is the queue of whoever is away; one pass serves all of them.
// Owner:   the shard.  Thread: shard thread.
// Bounds:  one sweep and one waiting record per partition; half of the scheduler's jobs and bytes.
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
#include "common/kafka/log_reader.hpp"
#include "common/observe/metrics.hpp"
#include "common/process/volatile_budget.hpp"
#include "relay/backlog/cursor/cursors.hpp"
#include "relay/backlog/sweep_plan.hpp"
#include "relay/park/outbox.hpp"
#include "relay/record/held_record.hpp"
#include "relay/subscriptions/lane_room.hpp"
#include "relay/subscriptions/subscriptions.hpp"

namespace eventrelay::relay {

// What it works with. Thread: value.  Bounds: all outlive it.
struct SweepParts {
  Scheduler& scheduler;
  Subscriptions& subscriptions;
  Outbox& outbox;
  metrics::Slab& slab;
  SchedulerBounds bounds;                 // of the scheduler: half of them is the most it uses
  std::size_t prefetch_bytes = 1U << 20;  // per partition
  // First offset that the live path has not taken; nothing: not known, nothing is swept.
  std::function<std::optional<Offset>(Partition)> live;
  std::function<void()> admitted;           // something may be sent
  std::function<void(Partition)> attached;  // an entry ended: it has something to write
  std::function<void(Partition, std::string)> trouble;
  VolatileBudget* budget = nullptr;  // gets what is done back; may be null
};

// Thread: shard thread.  Bounds: see the head of this file.
class Sweeper final : public Origin, public kafka::LogSink, public OutboxClient {
 public:
  Sweeper(Executor executor, const Config& config, SweepParts parts);
  Sweeper(const Sweeper&) = delete;
  Sweeper& operator=(const Sweeper&) = delete;
  ~Sweeper();

  // `cursors` stays until drop().
  void add(Partition partition, Cursors& cursors);
  // Reads nothing more of it; its records that wait are dropped by the scheduler.
  void stop(Partition partition);
  void drop(Partition partition);
  // Ends every sweep; the next one goes on. Before lanes may go.
  void halt();
  // What lies below `below` goes to the dead letters: retention will soon take it.
  void rescue(Partition partition, Offset below);

  // What of `partition` was written before `since`: `done` gets the first offset behind it.
  void find_older(Partition partition, WallTime since, std::function<void(Offset)> done);

  // Starts what may start and ends what waited for too long. Now and then.
  void poll(Partition partition, const Moment& moment);
  // Hands out what fits; at most `max` records are read. The number read.
  std::size_t read(std::size_t max);

  [[nodiscard]] std::size_t sweeping() const noexcept { return active_.size(); }
  [[nodiscard]] bool busy(Partition partition) const;

  void on_readable(kafka::Place place) override;
  void settled(HeldRecord& record, End end) override;
  void on_receipt(std::uint64_t token, Receipt receipt) override;

 private:
  // One taker of the record at hand. Thread: shard thread.
  struct Taker {
    EntryId entry;
    Lane* lane;
  };
  // One partition. Thread: shard thread.  Bounds: one record waiting.
  struct Sweep {
    kafka::Place place;
    Cursors* cursors = nullptr;
    SweepPlan plan;
    kafka::Message waiting;  // read, and not handed to all its takers
    Event event;             // views into it
    std::vector<Taker> takers;
    std::size_t next_taker = 0;
    std::uint32_t held = 0;
    std::uint32_t barren = 0;      // records in a row that nobody took
    std::uint32_t generation = 0;  // of its cursors
    bool readable = false;
    bool stopped = false;
    std::optional<Offset> rescue_wanted;
    std::optional<Offset> rescue_below;  // it is one, up to there

    explicit Sweep(const SweepRules& rules) : plan(rules) {}
  };
  enum class Went : std::uint8_t { On, Waits, Ended };

  void try_start(Sweep& sweep, const Moment& moment);
  [[nodiscard]] bool try_rescue(Sweep& sweep, const Moment& moment);
  std::size_t read_from(Sweep& sweep, std::size_t max);
  [[nodiscard]] Went step(Sweep& sweep);
  [[nodiscard]] Went load(Sweep& sweep);
  [[nodiscard]] Went take(Sweep& sweep, Offset at);
  void offer(Sweep& sweep);
  [[nodiscard]] Went hand_out(Sweep& sweep);
  [[nodiscard]] Went try_again(Sweep& sweep);
  [[nodiscard]] bool fits(const Sweep& sweep, const Taker& taker) const noexcept;
  void stay_behind(Sweep& sweep, const Taker& taker);
  [[nodiscard]] Went no_room(Sweep& sweep, const Taker& taker);
  [[nodiscard]] HeldRecord& copy_of(Sweep& sweep, const Taker& taker);
  void admit(Sweep& sweep, const Taker& taker, const Handout& handout);
  void bury(Sweep& sweep, const Taker& taker, const Handout& handout);
  void note_held(Sweep& sweep, const HeldRecord& record);
  void free(Sweep& sweep, HeldRecord& record);
  [[nodiscard]] bool budget_left(std::size_t bytes) const noexcept;
  void lost(Sweep& sweep);
  void go_on_at(Partition partition, std::uint32_t generation, Offset start);
  void begin(Sweep& sweep, Offset from, TimePoint now);
  [[nodiscard]] Offset limit_of(const Sweep& sweep) const;
  void end(Sweep& sweep);
  void forget_waiting(Sweep& sweep);

  SweepParts parts_;
  SweepRules rules_;
  LaneRoom gate_;
  kafka::LogReader reader_;
  std::unordered_map<std::int32_t, std::unique_ptr<Sweep>> sweeps_;
  std::vector<Sweep*> active_;
  std::size_t next_active_ = 0;
  HeldRecords records_;
  std::vector<Lane*> lanes_;      // scratch
  std::vector<EntryId> entries_;  // scratch
  std::uint32_t held_ = 0;
  std::size_t held_bytes_ = 0;
  Moment moment_{};  // of the last poll
};

}  // namespace eventrelay::relay
