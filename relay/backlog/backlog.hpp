// Everything a shard does for subscriptions with a backlog: which leave the live path, which are
// fed from the log, and the records that say so.
//
//   StateLog --ready--> Consumer reads, CatchUpReader reads again
//   Detacher <--> Cursors <--> CatchUpReader,  all of them --> StateLog --> state topic
//
// Why:     the shard tells one part of partitions, time and the end; how the others hear of it is
//          decided here.
// Owner:   the shard.  Thread: shard thread.
// Bounds:  as its parts.
// Errors:  a partition whose state can not be kept is stopped, with a reason.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/process/volatile_budget.hpp"
#include "common/registry/settings.hpp"
#include "relay/backlog/backlog_status.hpp"
#include "relay/backlog/catch_up_reader.hpp"
#include "relay/backlog/detacher.hpp"
#include "relay/backlog/look_ahead.hpp"
#include "relay/backlog/state_log.hpp"
#include "relay/io/shard_io.hpp"
#include "relay/park/outbox.hpp"

namespace eventrelay::relay {

// What it works with. Bounds: all outlive it.
struct BacklogParts {
  Scheduler& scheduler;
  Subscriptions& subscriptions;
  Consumer& consumer;
  Outbox& outbox;
  metrics::Slab& slab;
  SchedulerBounds bounds;
  CursorBounds cursors;
  int partitions = 1;                 // of the topic
  std::optional<Duration> retention;  // of the log; nothing: for ever, as far as is known
  std::function<bool(const kafka::Commit&, std::uint64_t)> confirm;  // see StateLogParts
  std::function<void(Job&)> park_again;
  std::function<void()> changed;     // something may be sent, read, or end
  VolatileBudget* budget = nullptr;  // may be null
};

// Thread: shard thread.  Bounds: see the head of this file.
class Backlog {
 public:
  Backlog(ShardIo& io, const Config& config, const BacklogParts& parts);
  Backlog(const Backlog&) = delete;
  Backlog& operator=(const Backlog&) = delete;

  [[nodiscard]] Detacher& detacher() noexcept { return detacher_; }

  // Reads what is known about it; the consumer reads it from then on.
  void assign(Partition partition);
  // No catch-up read of it any more.
  void stop_reading(Partition partition);
  // True while something that a catch-up read handed out is under way, or while writing(). Ask
  // after the jobs that wait were removed.
  [[nodiscard]] bool busy(Partition partition);
  // True while the position of some cursor is not written. Once nothing is in flight, ask until it
  // says no.
  [[nodiscard]] bool writing(Partition partition);
  void drop(Partition partition);
  // The log of the events of this partition has begun anew: no backlog has anything in it.
  void begin_anew(Partition partition);
  // Likewise that of `state`: it is written again.
  void state_began_anew(Partition partition) { state_.begin_anew(partition); }
  // While it drains: a commit that was refused is asked for again.
  void tick_state() { state_.tick(); }
  [[nodiscard]] Offset state_position(Partition partition) const {
    return state_.position(partition);
  }
  // The answer to BacklogParts::confirm.
  void on_confirmed(std::uint64_t token, bool accepted) { state_.confirmed(token, accepted); }
  // The queues of these subscriptions are about to go: what reads for them ends.
  void before_forgetting(std::span<const std::string> subscriptions);
  // They are gone, and with them their cursors.
  void forget(std::span<const std::string> subscriptions);

  [[nodiscard]] std::size_t read(std::size_t max) { return catch_up_reader_.read(max); }
  // Looks whether an event of a subscription with room waits behind a partition that is held back.
  [[nodiscard]] std::size_t look_ahead(std::size_t max) { return look_ahead_.read(max); }
  void shutdown() { look_ahead_.shutdown(); }
  // A few times a second.
  void tick(TimePoint now);
  [[nodiscard]] BacklogStatus status();

  // As Detacher::resume_everywhere().
  void resume_everywhere(std::string_view subscription, WallTime resumed_at) {
    detacher_.resume_everywhere(subscription, resumed_at);
  }
  [[nodiscard]] PauseChange resume(std::string_view subscription, Partition partition);
  [[nodiscard]] PauseChange pause(std::string_view subscription, Partition partition);

 private:
  // A partition's commit on its way to the broker.
  struct Owned {
    Partition id;
    std::optional<Offset> committing;
    TimePoint since{};
    bool leaving = false;  // it is being given up
  };

  void visit_next();
  void visit(Owned& owned);
  void on_ready(Partition partition, Cursors& cursors);
  [[nodiscard]] bool of_another_log(Partition partition, const Cursors& cursors) const;
  void note_committed(Owned& owned, Cursors& cursors, TimePoint now);
  // Asks the log what it will soon forget, and acts on the answer.
  void watch_log_start(TimePoint now);
  void judge_near(Partition partition, Offset soon_gone);
  void judge_gone(Partition partition, Offset soon_gone);
  // Adds up what waits; once a second, as it looks at every cursor.
  void measure();

  Loop& loop_;
  const Clock& clock_;
  BacklogParts parts_;
  Detacher detacher_;
  StateLog state_;
  CatchUpReader catch_up_reader_;
  LookAhead look_ahead_;
  std::vector<Owned> owned_;
  std::vector<Partition> round_;  // to be visited since the last tick
  std::vector<Partition> near_start_;
  std::vector<Partition> anew_;  // before their state was taken over
  TimePoint looked_{};
  TimePoint watched_{};
  BacklogStatus measured_;  // its figures of what waits alone
};

}  // namespace eventrelay::relay
