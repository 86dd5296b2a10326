// Decides which event may be sent now: order per key; concurrency, rate, retry budget and slow
// start per subscription; turns between subscriptions, by bytes; slots kept for responsive queues.
//
// Why:     one subscription that is slow, down or busy must cost the others nothing but its turn.
// Owner:   the shard.  Thread: shard-local; time is an argument.
// Bounds:  SchedulerBounds; an event that does not fit is refused whole, and the shell holds its
//          partition back. O(1) per call, O(log queues that rest) for those; no allocation once
//          warm.
// Errors:  none; misuse by the shell is asserted.
//
//   admit --> [queue: retries, urgent, fresh] --turn--> in flight --finish--> gone
//                                                         | leave: its slot is free at once
//                                                      leaving --settle--> gone
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "common/base/pool.hpp"
#include "relay/dispatch/concurrency_limiter.hpp"
#include "relay/dispatch/subscription_queue.hpp"

namespace eventrelay::relay {

// Bounds: of one shard.
struct SchedulerBounds {
  std::uint32_t in_flight_max = 1024;  // attempts at once over all subscriptions
  std::uint32_t jobs_max = 1 << 16;    // unfinished jobs
  std::size_t bytes_max = 128U << 20;  // held events; one event is taken even if it is larger
};

enum class Admitted : std::uint8_t { Yes, Full };

// Thread: shard-local.  Bounds: SchedulerBounds.
class Scheduler {
 public:
  static constexpr Duration kBrief = std::chrono::milliseconds(50);

  explicit Scheduler(const SchedulerBounds& bounds);
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;
  ~Scheduler();

  // A queue for a new subscription; its index may be one of a queue that is gone.
  [[nodiscard]] SubscriptionQueue& add_queue(const QueueConfig& config);
  // New limits for a queue in use; its ordering takes effect for events admitted later.
  void configure(SubscriptionQueue& queue, const QueueConfig& config);
  // The subscription is gone: what waits for it counts as done. The queue is freed with its last
  // job in flight or leaving; `is_live(index)` tells.
  void retire(SubscriptionQueue& queue, std::vector<Finished>& finished);
  [[nodiscard]] bool is_live(std::uint32_t index) const noexcept;
  // Nothing of it waits or is under way, and nothing that it has learnt would hold the next event
  // up: one that is made anew would do the same.
  [[nodiscard]] bool at_rest(const SubscriptionQueue& queue) const noexcept;

  // One job per queue, all or none. Full: stop reading the partition, try this event again when
  // take_room() says so. Pre: `queues` is not empty and names each queue once.
  [[nodiscard]] Admitted admit(HeldEvent& held, std::span<SubscriptionQueue* const> queues,
                               const JobState& state = {});
  // The job whose turn it is, now in flight; null: none until next_due() or the next finish().
  [[nodiscard]] Job* next(TimePoint now);
  // How long a job that next() gave at `now` has waited for its turn, beside what held up its own
  // subscription: concurrency, rate, breaker, order.
  [[nodiscard]] static Duration waited_for_turn(const Job& job, TimePoint now);
  // The event was delivered. The job is gone.
  Finished finish(Job& job, TimePoint now);
  // One attempt failed: the job frees its slot and keeps its event until settle(). A value: its
  // partition or its subscription had left meanwhile, the job is gone and nothing is due.
  [[nodiscard]] std::optional<Finished> leave(Job& job, Answer answer, TimePoint now);
  // Pre: the job is leaving.
  Finished settle(Job& job, End end);
  // Makes what waits in `queue` of `partition` leave, or that of it which came by the live path;
  // settle() is due for each of `taken`.
  enum class Whose : std::uint8_t { Everybody, LivePath };
  void take_queued(SubscriptionQueue& queue, Partition partition, std::vector<Job*>& taken,
                   Whose whose = Whose::Everybody);
  // Makes what waits behind `job`, which is leaving, in its chain leave likewise. Later events of
  // the same key start a chain of their own.
  void take_chain(Job& job, std::vector<Job*>& taken);
  // The queue with most jobs waiting.
  struct Crowd {
    SubscriptionQueue* queue = nullptr;
    std::uint32_t waiting = 0;
  };
  // Of what take_queued() would take of one partition; a pass over all jobs.
  [[nodiscard]] Crowd largest_crowd(Partition partition, Whose whose) const;
  // Every job of `queue` and `partition` in whatever state; a pass over all jobs.
  template <class Visit>
  void for_each_job(const SubscriptionQueue& queue, Partition partition, Visit visit) const {
    if (queue.jobs == 0) return;
    for (const Job& job : jobs_pool_) {
      if (job.state == Job::State::Free || job.queue != &queue) continue;
      if (job.held->partition == partition) visit(job);
    }
  }
  // The attempt was given up without an outcome (drain, revoke): the event is not done.
  Finished abandon(Job& job, TimePoint now);
  // Appends what is in flight of a partition since `begun` or before, and what is sent to endpoints
  // whose last attempt failed. A pass over all jobs.
  void in_flight_of(Partition partition, TimePoint begun, std::vector<Job*>& jobs);
  // The partition is leaving: drops its jobs that wait; those in flight may still end as Done, any
  // other end drops them too; those leaving are settled by the part that writes them.
  void remove(Partition partition, std::vector<Finished>& finished);

  [[nodiscard]] std::optional<TimePoint> next_due() const;  // if nothing ends before
  // Finds queues that have become unresponsive; next() does so too.
  void look(TimePoint now) { limiter_.look(now); }
  // What piles up for the queue waits elsewhere: from now on it is called at the pace it has shown,
  // at least as a slow start allows, and faster only as a slow start goes; until caught_up().
  void fall_behind(SubscriptionQueue& queue, TimePoint now);
  static void caught_up(SubscriptionQueue& queue) { queue.slow.hold(false); }
  // Its endpoint asked for a wait (Retry-After): nothing of the queue is sent before `until`. What
  // is in flight ends as it ends. An earlier end than one asked for before changes nothing.
  void hold_off(SubscriptionQueue& queue, TimePoint until, TimePoint now);
  // Appends the queues that may not be called freely: whose breaker is not closed, or whose
  // endpoint asked for a wait; see oldest_queued().
  void open_queues(std::vector<SubscriptionQueue*>& queues);
  // Is there a queue for which `is` holds, among at most `max` from number `from` on? Leaves `from`
  // at that one, or where to go on.
  template <class Is>
  [[nodiscard]] bool any_queue(std::size_t& from, std::size_t max, Is is) {
    const std::size_t count = std::min(max, queues_.size());
    for (std::size_t i = 0; i < count; ++i, ++from) {
      if (from >= queues_.size()) from = 0;
      SubscriptionQueue* const queue = queues_[from];
      if (queue != nullptr && !queue->retired && is(*queue)) return true;
    }
    return false;
  }
  // True once after a refused event may fit again.
  [[nodiscard]] bool take_room() noexcept;

  // Is there a slot for one more attempt of it?
  [[nodiscard]] bool has_slot(const SubscriptionQueue& queue) const noexcept {
    return limiter_.has_slot(queue);
  }
  // True while responsive queues wait for a slot: no more than enough is read until one is free.
  [[nodiscard]] bool slots_scarce() const noexcept { return limiter_.scarce(); }
  // The same for queues fed by a catch-up read: nothing more is read for those.
  [[nodiscard]] bool behind_waits() const noexcept { return limiter_.behind_waits(); }
  // True while enough is read for queues that were never called: such answer, and wait for a slot.
  [[nodiscard]] bool new_ones_wait() const noexcept { return limiter_.new_ones_wait(); }
  // May an attempt of it, which has begun, last for long, as far as is known of its endpoint?
  [[nodiscard]] bool may_last(const SubscriptionQueue& queue) const noexcept {
    if (queue.unresponsive) return queue.tried || !limiter_.new_ones_answer();
    return queue.took > kBrief;
  }
  [[nodiscard]] std::uint32_t in_flight() const noexcept { return limiter_.in_flight(); }
  // Likewise, of endpoints that answer.
  [[nodiscard]] std::uint32_t answering() const noexcept { return limiter_.answering(); }
  [[nodiscard]] const SchedulerBounds& bounds() const noexcept { return bounds_; }
  [[nodiscard]] std::uint32_t jobs() const noexcept { return jobs_; }
  [[nodiscard]] std::size_t queues() const noexcept { return queues_.count(); }
  [[nodiscard]] std::size_t held_bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint32_t circuits_open() const noexcept { return circuits_open_; }

 private:
  using OpenList = LinkedList<SubscriptionQueue, &SubscriptionQueue::in_open>;

  void enqueue(HeldEvent& held, SubscriptionQueue& queue, const JobState& state);
  void wake(TimePoint now);
  void make_ready(SubscriptionQueue& queue);
  [[nodiscard]] SubscriptionQueue* next_queue();
  void rest(SubscriptionQueue& queue, TimePoint until);
  [[nodiscard]] JobList* pick(SubscriptionQueue& queue, TimePoint now);
  [[nodiscard]] bool may_spend(SubscriptionQueue& queue, const Job& job);
  [[nodiscard]] bool paced(SubscriptionQueue& queue, TimePoint now);
  [[nodiscard]] Job* take(SubscriptionQueue& queue, JobList& list, CircuitBreaker::Verdict verdict,
                          TimePoint now);
  [[nodiscard]] static JobList& list_of(Job& job);
  [[nodiscard]] static bool is_of(const Job& job, Partition partition, Whose whose);
  void queue_urgent(Job& job);
  void note_circuit(CircuitBreaker::State before, SubscriptionQueue& queue, TimePoint now);
  // Nothing: the attempt says nothing about its endpoint.
  void leave_flight(Job& job, std::optional<Answer> answer, TimePoint now);
  [[nodiscard]] Finished drop(Job& job, bool done);
  void leave_list(Job& job);
  void take_job(Job& job, std::vector<Job*>& taken);
  void note_room(SubscriptionQueue& queue);
  void free_if_gone(SubscriptionQueue& queue);
  void link_chain(SubscriptionQueue& queue, Job& job);
  void unlink_chain(Job& job);

  SchedulerBounds bounds_;
  Pool<Job> jobs_pool_;
  Pool<Chain> chains_pool_;
  Numbered<SubscriptionQueue> queues_;
  ConcurrencyLimiter limiter_;
  QueueList ready_;
  OpenList open_;
  std::vector<std::uint32_t> held_off_;  // indices of queues whose endpoint asked for a wait
  DueHeap<SubscriptionQueue> resting_;   // queues that wait for their breaker or their rate
  std::uint32_t jobs_ = 0;
  std::uint32_t circuits_open_ = 0;
  std::size_t bytes_ = 0;
  TimePoint now_{};       // of the last call that brought one
  bool refused_ = false;  // by a bound of the whole shard
  bool room_ = false;
};

}  // namespace eventrelay::relay
