// Everything one core of the relay owns, and the order in which its parts work.
//
//   Kafka --> Consumer --> Scheduler --> EndpointCaller --> endpoint
//                 ^                         |
//   Kafka <-- Committer <-- ledgers <-------+--> AttemptEnd --> Outbox --> Kafka
//   Kafka --> DelayTopics --> Scheduler
//
// Why:     one thread runs the whole way of an event, so nothing on it is locked.
// Owner:   the service.
// Thread:  shard thread, except the constructor (control thread, before the loop runs) and
//          status().
// Bounds:  ShardLimits.
// Errors:  StartError from the constructor; later a fatal error of the group member is reported
//          once through `on_fatal`.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/observe/event_sums.hpp"
#include "common/process/volatile_budget.hpp"
#include "common/registry/settings.hpp"
#include "relay/attempt_end.hpp"
#include "relay/backlog/backlog.hpp"
#include "relay/dispatch/attempt_window.hpp"
#include "relay/dispatch/scheduler.hpp"
#include "relay/io/shard_io.hpp"
#include "relay/log/committer.hpp"
#include "relay/log/consumer.hpp"
#include "relay/park/delay_topics.hpp"
#include "relay/park/outbox.hpp"
#include "relay/park/unknown_instances.hpp"
#include "relay/shard_status.hpp"
#include "relay/subscriptions/subscriptions.hpp"

namespace eventrelay::relay {

// How much of everything a shard takes on. Bounds: stated by each.
struct ShardLimits {
  SchedulerBounds scheduler;
  LedgerBounds window;        // of a partition of `events`
  LedgerBounds delay_window;  // of a delay topic's partition: what is due and unfinished
  CursorBounds cursors;
};

// Those of a process with `shards` shards, from its configuration.
[[nodiscard]] ShardLimits limits_of(const Config& config, unsigned shards);

// What a shard is made of.
struct ShardParts {
  std::shared_ptr<const Settings> settings;
  VolatileBudget* budget = nullptr;   // may be null
  unsigned shards = 1;                // of the process: they share its memory bounds
  int partitions = 1;                 // of the topic
  std::optional<Duration> retention;  // of the topic; nothing: for ever, as far as is known
  ShardLimits limits;
  std::function<void(std::string)> on_fatal;
};

// Thread: see the head of this file.  Bounds: likewise.
class Shard final : public kafka::ConsumerHandler, public AttemptSink {
 public:
  // `index`: of the shard in its process.
  Shard(ShardIo& io, unsigned index, metrics::Slab& slab, const ShardParts& parts);
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;
  ~Shard();

  void start();
  // Of the instances that changed, jobs in flight end under the old settings and all others go on
  // under the new ones. Queues, breakers and requests of other instances are not touched.
  void use(const UpdatePtr& update);
  // Takes nothing new, lets attempts in flight end until `deadline`, commits, leaves the group.
  void drain(TimePoint deadline, std::function<void()> done);
  // Closes what is open; the loop ends next.
  void shutdown();

  // Pauses or resumes a subscription whose events come in `partition`. NotHere: this shard does not
  // have the partition, or is giving it up.
  [[nodiscard]] PauseChange change_pause(PauseState to, std::string_view subscription,
                                         Partition partition);

  // A log of `topic` has begun anew; nothing happens if the partition is not this shard's.
  void on_log_anew(const std::string& topic, Partition partition, Offset end);

  // Any thread.
  [[nodiscard]] ShardStatus status() const;

  void on_assigned(std::span<const kafka::Assigned> partitions) override;
  void on_revoking(std::span<const Partition> partitions, kafka::Loss loss) override;
  void on_readable(Partition partition) override;
  void on_commit_failed(std::string_view reason) override;
  void on_confirmed(std::uint64_t token, bool accepted) override;
  void on_fatal(std::string_view reason) override;
  void on_attempt_end(Job& job, const Result& result, TimePoint now) override;

 private:
  void pump(TimePoint now);
  void pump_later();
  void watch_for_stall(TimePoint now);
  void look_ahead();
  void wake_at(TimePoint due);
  void note_first_attempt(const Job& job, TimePoint now);
  void note_delivered(const Job& job);
  void write_sums();
  void on_settled();
  void on_blocked(Partition partition);
  void settle_all();
  void tick();
  void commit(TimePoint now);
  void publish();
  void set_gauges();
  // Goes on with a revocation or a drain once nothing of theirs is in flight, or time is up.
  void advance_end(TimePoint now);
  void give_up_attempts();
  void cancel_attempts(std::span<const Partition> partitions, TimePoint begun);
  void begin_revoking(std::span<const Partition> partitions, kafka::Loss loss);
  void finish_revoking();
  void drop(std::span<const Partition> partitions);
  [[nodiscard]] bool commit_and_wait(std::span<const Partition> partitions);
  void finish_drain();
  [[nodiscard]] bool backlog_busy();

  Loop& loop_;
  const Clock& clock_;
  unsigned index_;
  metrics::Slab& slab_;
  std::shared_ptr<const Settings> settings_;
  std::function<void(std::string)> on_fatal_;
  Scheduler scheduler_;
  std::unique_ptr<EndpointCaller> caller_;
  Subscriptions subscriptions_;
  Consumer consumer_;
  Committer committer_;
  Outbox outbox_;
  EventSums sums_;
  Backlog backlog_;
  AttemptEnd attempt_end_;
  UnknownInstances unknown_;
  DelayTopics delays_;
  std::unique_ptr<GroupMember> member_;
  std::vector<Finished> finished_;  // scratch
  std::vector<Job*> cancelled_;     // scratch

  std::unique_ptr<LoopTimer> tick_timer_;
  std::unique_ptr<LoopTimer> revoke_timer_;
  std::unique_ptr<LoopTimer> stall_timer_;
  unsigned ticks_ = 0;
  std::uint32_t ended_ = 0;  // attempts since the last commit
  TimePoint committed_at_{};
  std::unique_ptr<LoopTimer> due_timer_;
  TimePoint due_armed_ = TimePoint::max();
  bool pump_posted_ = false;
  AttemptWindow window_;
  bool stall_watched_ = false;  // its timer is armed

  std::vector<Partition> revoking_;
  TimePoint revoke_deadline_{};                            // for what Kafka has to acknowledge
  std::unordered_map<std::int32_t, TimePoint> restarted_;  // when its log was seen to begin anew
  bool draining_ = false;
  bool ending_ = false;   // advance_end() is under way
  bool closing_ = false;  // the drain has committed and leaves the group
  TimePoint drain_deadline_{};
  std::function<void()> drained_;
  bool shut_ = false;
  std::string fatal_;
  std::vector<Failing> failing_;   // as of the last look, as the next
  std::vector<std::int64_t> lag_;  // of `events`, then of each delay step

  mutable std::mutex status_mutex_;  // guards status_ alone
  ShardStatus status_;
};

}  // namespace eventrelay::relay
