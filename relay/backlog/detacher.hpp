// Takes subscriptions that can not be served now off the live path, and their jobs out of the
// scheduler; what the cursors say becomes what the shard does.
//
//   live event --pass--> does a cursor answer for it? --yes, and its record is there--> done here
//   no answer, breaker open, paused, or others wait behind it
//                                    --detach--> jobs leave, settled once the record is there
//   ordered attempt failed --block--> the same for one object
//
// Why:     a subscription that can not be served holds back neither its partition nor an offset.
// Owner:   the shard.  Thread: shard thread.
// Bounds:  the scheduler's jobs: one that leaves is held until the record that covers it.
// Errors:  none; a state record that can not be written holds its partition until it is.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/observe/metrics.hpp"
#include "common/process/volatile_budget.hpp"
#include "relay/backlog/cursor/cursors.hpp"
#include "relay/dispatch/retry.hpp"
#include "relay/dispatch/scheduler.hpp"
#include "relay/io/clock.hpp"
#include "relay/log/consumer.hpp"
#include "relay/log/live_gate.hpp"
#include "relay/subscriptions/subscriptions.hpp"

namespace eventrelay::relay {

// What it works with. Bounds: all outlive it.
struct DetachParts {
  Scheduler& scheduler;
  Subscriptions& subscriptions;
  Consumer& consumer;
  metrics::Slab& slab;
  const Clock& clock;
  std::function<void(Partition)> write;  // writes the state records that are due
  std::function<void(Job&)> park_again;  // a parked event that must leave its subscription's queue
  std::function<void(Partition)> held_back;    // a partition has more and is not read on
  std::function<void(Partition)> read_to_end;  // likewise, and now is
  VolatileBudget* budget = nullptr;  // counts what the log keeps for a cursor; may be null
};

// What a failed attempt of a job led to.
struct Failure {
  Job& job;  // leaving
  RetryClass retry;
  Step step;
  std::string_view reason;
  // The subscription's policy: its events wait from the last attempt on, or from the first.
  bool queue_exhausted = false;
  bool queue_at_once = false;
};

enum class PauseState : std::uint8_t { Resumed, Paused };
enum class PauseChange : std::uint8_t { Yes, Already, NotHere };

// Thread: shard thread.  Bounds: see the head of this file.
class Detacher final : public LiveGate {
 public:
  explicit Detacher(DetachParts parts) : parts_(std::move(parts)) {}
  Detacher(const Detacher&) = delete;
  Detacher& operator=(const Detacher&) = delete;

  // `cursors` stays until drop().
  void add(Partition partition, Cursors& cursors);
  void drop(Partition partition);
  // A state record of it was acknowledged: what waited for that is let go.
  void on_durable(Partition partition);
  // Jobs that wait for a record.
  [[nodiscard]] bool busy(Partition partition) const;

  [[nodiscard]] GateVerdict pass(HeldRecord& record,
                                 std::vector<SubscriptionQueue*>& queues) override;
  [[nodiscard]] bool make_room(HeldRecord& record,
                               std::span<SubscriptionQueue* const> queues) override;
  void shrink_window(PartitionState& partition) override;
  void on_held_back(PartitionState& partition) override { parts_.held_back(partition.id); }
  void on_read_to_end(PartitionState& partition) override { parts_.read_to_end(partition.id); }

  // True: the job is taken care of; false: park it, or write a dead letter.
  [[nodiscard]] bool failed(const Failure& failure);
  // The job was delivered, or its record elsewhere is acknowledged; before it is settled.
  void ended(const Job& job);
  // Its subscription said that it is gone.
  void pause(Job& job, std::string_view reason);
  // By hand; `partition` is where its events come.
  [[nodiscard]] PauseChange pause(std::string_view subscription, Partition partition);
  [[nodiscard]] PauseChange resume(std::string_view subscription, Partition partition);
  // Ends a pause that began at `resumed_at` or before, in whichever of the partitions it is. What
  // the control API resumed while nobody owned the partition is resumed once somebody owns it.
  void resume_everywhere(std::string_view subscription, WallTime resumed_at);
  // The same for all that are paused in a partition of which this shard has become the owner.
  void resume_of_partition(Partition partition);
  [[nodiscard]] bool is_paused(std::string_view subscription, Partition partition) const;
  // Detaches what has waited too long behind an open breaker. About once a second.
  void look(TimePoint now);
  // Ends all cursors of a partition whose log has begun anew: what they point at is gone. A paused
  // subscription stays paused from the live position on, which is that of the new log already.
  void begin_anew(Partition partition);
  // Ends the cursors of these subscriptions, which are gone.
  void forget(std::span<const std::string> subscriptions);

 private:
  // One partition.
  struct Guarded {
    Partition id;
    Cursors* cursors = nullptr;
    std::vector<Job*> leaving;  // live jobs that a cursor answers for, until its record is there
    TimePoint window_looked{};
  };

  [[nodiscard]] Guarded* find(Partition partition);
  [[nodiscard]] const Guarded* find(Partition partition) const;
  [[nodiscard]] SubscriptionQueue* queue_of(std::string_view subscription);
  [[nodiscard]] bool is_behind(std::string_view subscription, Partition& last) const;
  [[nodiscard]] EventKey key_of(const Job& job) const;
  [[nodiscard]] Offset live_of(Partition partition);
  [[nodiscard]] bool is_live(const Job& job) const noexcept;
  [[nodiscard]] bool waits(const SubscriptionQueue& queue, Partition partition) const;
  void note_kept(const HeldEvent& held) const;
  // A whole subscription leaves.
  struct Leave {
    SubscriptionQueue& queue;
    CursorState state;
    std::string_view reason;
    // A subscription that can not be served gives back what catch-up reads handed out; one that is
    // only slow keeps it.
    Scheduler::Whose whose = Scheduler::Whose::Everybody;
    std::span<Job* const> also{};      // leaving already, and unfinished
    std::optional<TimePoint> pause{};  // of what catch-up reads had handed out; else its breaker's
  };
  void detach(Guarded& guarded, const Leave& leave);
  [[nodiscard]] bool keeps_others(const PartitionState& partition, Offset at) const;
  [[nodiscard]] bool is_open(const SubscriptionQueue& queue) const;
  [[nodiscard]] bool answers(const SubscriptionQueue& queue) const;
  [[nodiscard]] bool waits_for_slots(const SubscriptionQueue& queue) const;
  void take_what_waits(Guarded& guarded, const Leave& leave);
  void pause_after_failure(Guarded& guarded, const Failure& failure, bool parked);
  void block(Guarded& guarded, const Failure& failure);
  void give_back(Guarded& guarded, Job& job);
  void release(Guarded& guarded, Job& job);
  void settle_covered(Guarded& guarded);

  DetachParts parts_;
  std::unordered_map<std::int32_t, std::unique_ptr<Guarded>> guarded_;
  // The subscriptions called at the pace of catching up, with the partition where that was last
  // seen.
  std::unordered_map<std::string, Partition> behind_;
  std::vector<SubscriptionQueue*> queues_;  // scratch
  std::vector<Job*> taken_;                 // scratch
};

}  // namespace eventrelay::relay
