// Decides which event may be sent now: order per key; concurrency, rate, retry budget and slow
// start per subscription; turns between subscriptions, by bytes; slots kept for who answers.
//
// Why:     one subscription that is slow, down or busy must cost the others nothing but its turn.
// Owner:   the shard.  Thread: shard-local; time is an argument.
// Bounds:  SchedulerBounds; an event that does not fit is refused whole, and the shell holds its
//          partition back. O(1) per call, O(log lanes that rest) for those; no allocation once
//          warm.
// Errors:  none; misuse by the shell is asserted.
//
//   admit --> [lane: retries, urgent, fresh] --turn--> in flight --finish--> gone
//                                                         | leave: its slot is free at once
//                                                      leaving --settle--> gone
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "relay/dispatch/lane.hpp"
#include "relay/dispatch/slots.hpp"

namespace eventrelay::relay {

// Thread: immutable.  Bounds: of one shard.
struct SchedulerBounds {
  std::uint32_t in_flight_max = 1024;  // attempts at once over all subscriptions
  std::uint32_t jobs_max = 1 << 16;    // unfinished jobs
  std::size_t bytes_max = 128U << 20;  // held events; one event is taken even if it is larger
};

enum class Admitted : std::uint8_t { Yes, Full };

// Thread: shard-local.  Bounds: SchedulerBounds.
class Scheduler {
 public:
  explicit Scheduler(const SchedulerBounds& bounds);
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;
  ~Scheduler();

  // A lane for a new subscription; its index may be one of a lane that is gone.
  [[nodiscard]] Lane& add_lane(const LaneConfig& config);
  // New limits for a lane in use; its ordering takes effect for events admitted later.
  void configure(Lane& lane, const LaneConfig& config);
  // The subscription is gone: what waits for it counts as done. The lane is freed with its last
  // job in flight or leaving; `is_live(index)` tells.
  void retire(Lane& lane, std::vector<Finished>& finished);
  [[nodiscard]] bool is_live(std::uint32_t index) const noexcept;

  // One job per lane, all or none. Full: stop reading the partition, try this event again when
  // take_room() says so. Pre: `lanes` is not empty and names each lane once.
  [[nodiscard]] Admitted admit(HeldEvent& held, std::span<Lane* const> lanes,
                               const JobState& state = {});
  // The job whose turn it is, now in flight; null: none until next_due() or the next finish().
  [[nodiscard]] Job* next(TimePoint now);
  // The event was delivered. The job is gone.
  Finished finish(Job& job, TimePoint now);
  // One attempt failed: the job frees its slot and keeps its event until settle(). A value: its
  // partition or its subscription had left meanwhile, the job is gone and nothing is due.
  [[nodiscard]] std::optional<Finished> leave(Job& job, Answer answer, TimePoint now);
  // Pre: the job is leaving.
  Finished settle(Job& job, End end);
  // Makes what waits in `lane` of `partition` leave, or that of it which came by the live path;
  // settle() is due for each of `taken`.
  enum class Whose : std::uint8_t { Everybody, LivePath };
  void take_queued(Lane& lane, Partition partition, std::vector<Job*>& taken,
                   Whose whose = Whose::Everybody);
  // Makes what waits behind `job`, which is leaving, in its chain leave likewise. Later events of
  // the same key start a chain of their own.
  void take_chain(Job& job, std::vector<Job*>& taken);
  // Who has most jobs waiting. Thread: value.
  struct Crowd {
    Lane* lane = nullptr;
    std::uint32_t waiting = 0;
  };
  // Of one partition; a pass over all jobs.
  [[nodiscard]] Crowd largest_crowd(Partition partition) const;
  // Every job of `lane` and `partition` in whatever state; a pass over all jobs.
  template <class Visit>
  void for_each_job(const Lane& lane, Partition partition, Visit visit) const {
    if (lane.jobs == 0) return;
    for (const Job& job : jobs_pool_) {
      if (job.state == Job::State::Free || job.lane != &lane) continue;
      if (job.held->partition == partition) visit(job);
    }
  }
  // The attempt was given up without an outcome (drain, revoke): the event is not done.
  Finished abandon(Job& job, TimePoint now);
  // The partition is leaving: drops its jobs that wait; those in flight may still end as Done, any
  // other end drops them too; those leaving are settled by whoever writes them.
  void remove(Partition partition, std::vector<Finished>& finished);

  [[nodiscard]] std::optional<TimePoint> next_due() const;  // if nothing ends before
  // What piles up for the lane waits elsewhere: from now on it is called at the pace it has shown,
  // at least as a slow start allows, and faster only as a slow start goes; until caught_up().
  void fall_behind(Lane& lane, TimePoint now);
  static void caught_up(Lane& lane) { lane.slow.hold(false); }
  // Appends the lanes whose breaker is not closed; see its open_since() and oldest_queued().
  void open_lanes(std::vector<Lane*>& lanes) const;
  // True once after a refused event may fit again.
  [[nodiscard]] bool take_room() noexcept;

  // Who answers waits for a slot: nothing is read until one is free.
  [[nodiscard]] bool slots_scarce() const noexcept { return slots_.scarce(); }
  // Likewise who is fed by a sweep: nothing more is read for those.
  [[nodiscard]] bool behind_waits() const noexcept { return slots_.behind_waits(); }
  [[nodiscard]] std::uint32_t in_flight() const noexcept { return slots_.in_flight(); }
  [[nodiscard]] std::uint32_t jobs() const noexcept { return jobs_; }
  [[nodiscard]] std::size_t held_bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint32_t circuits_open() const noexcept { return circuits_open_; }

 private:
  using JobList = LinkedList<Job, &Job::previous, &Job::next>;
  using OpenList = LinkedList<Lane, &Lane::open_previous, &Lane::open_next>;

  void enqueue(HeldEvent& held, Lane& lane, const JobState& state);
  void wake(TimePoint now);
  void make_ready(Lane& lane);
  [[nodiscard]] Lane* next_lane();
  void rest(Lane& lane, TimePoint until);
  [[nodiscard]] JobList* pick(Lane& lane, TimePoint now);
  [[nodiscard]] bool may_spend(Lane& lane, const Job& job);
  [[nodiscard]] bool paced(Lane& lane, TimePoint now);
  [[nodiscard]] Job* take(Lane& lane, JobList& queue, CircuitBreaker::Verdict verdict,
                          TimePoint now);
  [[nodiscard]] static JobList& list_of(Job& job);
  void queue_urgent(Job& job);
  void note_circuit(CircuitBreaker::State before, Lane& lane, TimePoint now);
  // Nothing: the attempt says nothing about its endpoint.
  void leave_flight(Job& job, std::optional<Answer> answer, TimePoint now);
  [[nodiscard]] Finished drop(Job& job, bool done);
  void unlink(Job& job);
  void take_job(Job& job, std::vector<Job*>& taken);
  void note_room(Lane& lane);
  void free_if_gone(Lane& lane);
  void link_chain(Lane& lane, Job& job);
  void unlink_chain(Job& job);
  void grow_buckets(Lane& lane);

  SchedulerBounds bounds_;
  std::deque<Job> jobs_pool_;
  std::vector<Job*> jobs_free_;
  std::deque<Chain> chains_pool_;
  Chain* chains_free_ = nullptr;
  std::vector<std::unique_ptr<Lane>> lanes_;  // by index; null = free
  std::vector<std::uint32_t> lanes_free_;
  Slots slots_;
  LaneList ready_;
  OpenList open_;
  DueHeap<Lane> resting_;  // lanes that wait for their breaker or their rate
  std::uint32_t jobs_ = 0;
  std::uint32_t circuits_open_ = 0;
  std::size_t bytes_ = 0;
  TimePoint now_{};       // of the last call that brought one
  bool refused_ = false;  // by a bound of the whole shard
  bool room_ = false;
};

}  // namespace eventrelay::relay
