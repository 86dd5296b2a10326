// A relay process in the simulated world: the shell around the real scheduler, retry policy,
// ledgers, cursors and catch-up read plan, with everything it would do over sockets done by World.
//
//   log --read--> cursors --> scheduler --> endpoint --end--> ledger --> commit
//                   ^ cursor <-- detach, block      | retry --> delay topic --due--> scheduler
//                   +-- catch-up read --> scheduler | given up --> dead letters
//
// Why:     what the policies do together, over kills and hand-overs, without a loop or a clock.
// Owner:   the test.  Thread: one.  Bounds: those of the policies; checked on every tick.
// Errors:  through World::broken.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "relay/backlog/catch_up_plan.hpp"
#include "relay/backlog/ownership.hpp"
#include "relay/backlog/state_follower.hpp"
#include "relay/dispatch/scheduler.hpp"
#include "relay/log/offset_ledger.hpp"
#include "world.hpp"

namespace eventrelay::relay::simulation {

// An event in memory, by the path it came. Thread: one.
struct Held : HeldEvent {
  enum class From : std::uint8_t { Live, Delay, CatchUp };
  From from = From::Live;
  int step = 0;            // of Delay
  std::int64_t place = 0;  // of Delay: in its topic
  std::int64_t at = 0;     // in `events`
  std::uint64_t stay = 0;  // of its partition with this process
};

// Thread: one.  Bounds: see the head of this file.
class Relay final : public ReadinessGate {
 public:
  Relay(World& world, int worker);
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;
  ~Relay();

  void assign(int partition);
  // In good order: `released` runs once nothing is under way and everything is committed.
  void revoke(int partition, std::function<void()> released);
  // It belongs to somebody else already.
  void lose(int partition);
  void kill();
  void stop(Duration pause);
  [[nodiscard]] bool owns(int partition) const { return parts_[World::at(partition)] != nullptr; }
  [[nodiscard]] const LifePtr& life() const { return life_; }
  // Nothing is under way, and no cursor has anything left.
  [[nodiscard]] bool idle() const;
  [[nodiscard]] std::string describe() const;

  [[nodiscard]] ReadinessGate::Readiness look(std::string_view subscription) override;

 private:
  enum class Stage : std::uint8_t { TakingOver, Running, Revoking };
  // A delay topic of one partition. Thread: one.
  struct Delay {
    OffsetLedger ledger;
    Epoch epoch = 0;
    std::int64_t next = 0;
    std::optional<ParkRecord> head;
    bool written_again = false;  // the head is on its way to the shortest step
    Committed told;
    // Its last commit was waited for: those before it are over.
    std::shared_ptr<bool> over = std::make_shared<bool>(false);
  };
  // A partition that this process has. Thread: one.
  struct Part {
    explicit Part(std::string name) : state(std::move(name)) {}

    int id = 0;
    std::uint64_t stay = 0;
    Stage stage = Stage::TakingOver;
    OffsetLedger ledger;
    Epoch epoch = 0;
    std::int64_t next = 0;
    Committed known;            // of the group, when it was assigned
    std::int64_t known_to = 0;  // its ranges end here
    bool waits = false;         // the event at `next` is begun and was refused
    Committed told;
    std::array<Delay, kStepCount> delays;
    StateFollower state;
    Ownership ownership;
    Cursors* cursors = nullptr;  // of `state`; null until the partition is taken over
    std::size_t followed = 0;    // rows of the state topic
    CatchUpPlan plan{CatchUpRules{}};
    std::vector<Job*> covered;  // left the scheduler, a cursor answers for them
    std::vector<Job*> backlog;  // being written to a delay or dead-letter topic
    std::set<Job*> flying;
    std::function<void()> released;
    TimePoint revoke_by{};
  };

  // relay_live.cpp
  void tick();
  void pump();
  void pump_later();
  [[nodiscard]] bool read_live(Part& part);
  [[nodiscard]] Admitted admit(Held& held, int sub, const JobState& state);
  void send(Job& job);
  void on_end(Job& job, const Reply& reply);
  void settle(const Finished& finished);
  void commit(Part& part);
  void check();
  [[nodiscard]] SchedulerBounds scheduler_bounds() const;
  [[nodiscard]] LedgerBounds ledger_bounds() const;

  // relay_group.cpp
  void look_up(Part& part);
  void act(Part& part, Ownership::Action act);
  void confirm(const Part& part);
  void own(Part& part);
  void begin(Part& part);
  void follow(int partition, std::uint64_t stay);
  [[nodiscard]] StateFollower::Verdict read_state(Part& part, const StateRow& row) const;
  void write_state(Part& part);
  void advance_revoke(Part& part);
  void drop(int partition);

  // relay_away.cpp
  void fail(Job& job, const Reply& reply);
  void give_back(Part& part, Job& job);
  void block(Part& part, Job& job, const Step& step);
  void detach(Part& part, int sub, CursorState state, const std::vector<Job*>& also);
  void release(Part& part, Job& job);
  void settle_covered(Part& part);
  void look_at_breakers();
  [[nodiscard]] bool read_catch_up(Part& part);
  void end_catch_up(Part& part);
  [[nodiscard]] bool may_catch_up(const Part& part) const;

  // relay_delay.cpp
  void park(Job& job, const Step& step);
  void dead_letter(Job& job);
  void written(Job& job, int partition, std::uint64_t stay);
  [[nodiscard]] bool read_delay(Part& part, int step);
  void write_again(Part& part, int step);

  [[nodiscard]] Part* part_of(const Job& job);
  [[nodiscard]] Part* find(int partition, std::uint64_t stay);
  [[nodiscard]] int sub_of(const Job& job) const { return subs_.at(job.queue->index); }
  [[nodiscard]] eventrelay::relay::SubscriptionQueue& queue_of(int sub) {
    return *queues_[World::at(sub)];
  }
  [[nodiscard]] Held& held_of(const Job& job) { return *static_cast<Held*>(job.held); }
  [[nodiscard]] const SimEvent& event_of(const Part& part, std::int64_t at) const {
    return world_.logs[World::at(part.id)][static_cast<std::size_t>(at)];
  }
  [[nodiscard]] Held& hold(const Part& part, Held::From from, std::int64_t at);
  [[nodiscard]] bool has_room(int sub) const;

  World& world_;
  LifePtr life_;
  Scheduler scheduler_;
  RetryPolicy retry_;
  Random jitter_;
  std::vector<eventrelay::relay::SubscriptionQueue*> queues_;  // by subscriber
  std::map<std::uint32_t, int> subs_;                          // by queue index
  std::array<std::unique_ptr<Part>, kPartitions> parts_;
  std::map<const Held*, std::unique_ptr<Held>> held_;
  std::map<int, TimePoint> open_since_;
  std::uint64_t stays_ = 0;
  bool pumping_ = false;
  bool pump_posted_ = false;
  TimePoint woken_at_ = TimePoint::max();
  // What was taken, and how it ended: one per job.
  struct Counters {
    std::uint64_t taken = 0, delivered = 0, parked = 0, dead = 0, cursor = 0, given_back = 0,
                  dropped = 0;
  } counters_;
};

}  // namespace eventrelay::relay::simulation
