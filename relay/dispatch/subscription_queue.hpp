// The queue of one subscription: what waits for it, and what limits how it is called.
//
// Why:     every limit belongs to one subscription, so no other one ever waits for it.
// Owner:   the scheduler.  Thread: shard-local; all links belong to the scheduler.
// Bounds:  QueueConfig.  Errors: none.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/config/config.hpp"
#include "relay/dispatch/circuit_breaker.hpp"
#include "relay/dispatch/due_heap.hpp"
#include "relay/dispatch/retry_budget.hpp"
#include "relay/dispatch/slow_start.hpp"
#include "relay/record/job.hpp"

namespace eventrelay::relay {

struct QueueConfig {
  Ordering ordering = Ordering::None;
  std::uint32_t concurrency = 16;  // attempts in flight at once
  std::uint32_t rate = 0;          // attempts per second, 0 = no limit
  std::uint32_t jobs_max = 1000;   // unfinished jobs; larger: a slow subscriber holds more memory
  std::uint32_t slow_start = 0;    // attempts per second after an outage, doubling; 0 = no limit
  BreakerConfig breaker{};
};

// A stretch of time and the attempts begun in it.
struct Pace {
  TimePoint since{};
  std::uint32_t attempts = 0;
  std::uint32_t rate = 0;  // attempts per second of the stretch before
};

// Which events of a queue a look ahead of the live path passed over, because the queue could not
// take them then: all of those lie from `first` to `last`.
struct PassedOver {
  Partition partition{-1};
  Offset first;
  Offset last;

  void note(Partition where, Offset at) noexcept {
    if (partition != where) *this = PassedOver{where, at, at};
    first = std::min(first, at);
    last = std::max(last, at);
  }
  // Those up to `at` need not be looked at again.
  void seen(Partition where, Offset at) noexcept {
    if (partition == where) first = std::max(first, Offset{at.value + 1});
  }
  // Where the first of them may be that the live path, which stands at `live`, has not read.
  // Nothing: there is none.
  [[nodiscard]] std::optional<Offset> ahead_of(Partition where, Offset live) const noexcept {
    if (partition != where || last < std::max(first, live)) return std::nullopt;
    return std::max(first, live);
  }
};

// Why a queue may ask for a slot; ConcurrencyLimiter says how many slots must be free for each.
enum class SlotClaim : std::uint8_t {
  Few,                // responsive, with few in flight
  More,               // responsive, with more
  NewFirst,           // the very first attempt
  UnresponsiveFirst,  // unresponsive, with none in flight
  UnresponsiveMore,   // unresponsive, with some
  Behind              // responsive, and fed by a catch-up read
};

// The queue of one subscription. The shell keeps what belongs to the subscription (formatter,
// signer, connections) under `index`. Bounds: QueueConfig.
struct SubscriptionQueue {
  explicit SubscriptionQueue(const QueueConfig& queue_config)
      : config(queue_config), breaker(queue_config.breaker) {}

  // The scheduler's own, but for `config`, `breaker` and `index`; what every event
  // touches comes first.
  ListHook in_turn;  // of the ready list, or of those that wait for a slot
  JobList retries;   // tried before: as their budget allows
  JobList urgent;    // next of its chain
  JobList fresh;
  std::uint32_t heap_index = kNotInHeap;
  std::uint32_t in_flight = 0;
  std::uint32_t jobs = 0;            // unfinished, in whatever state
  bool ready = false;                // linked in the scheduler's ready list
  bool unresponsive = true;          // see ConcurrencyLimiter, as the next three
  bool tried = false;                // an attempt of it has ended
  bool failing = false;              // the last one without an answer
  bool watched = false;              // linked among those that are looked at
  SlotClaim waits = SlotClaim::Few;  // linked among those that wait for a slot, unless Few
  bool behind = false;               // what it got last was read for it by a catch-up read
  bool refused = false;              // an event found no room; says so again once there is room
  bool retired = false;              // its subscription is gone; freed with its last job
  std::uint32_t readers = 0;         // catch-up reads that hold an event for it
  bool moves = false;                // its events come from several partitions
  Partition home{-1};                // where its last event came from
  PassedOver passed;                 // the look-ahead's
  bool out_of_retries = false;       // rests for its retry budget: a fresh job ends that
  TimePoint held_until{};            // when a limit of its own last ceased to hold it up
  TimePoint heard{};                 // its last answer, or since when something is in flight
  Duration took{};                   // the last attempt that was answered
  SlowStart slow;
  RetryBudget budget;
  Pace pace;
  std::size_t deficit = 0;  // bytes saved up for a large event
  TimePoint paced_until{};  // the rate's theoretical next slot
  TimePoint not_before{};   // its endpoint asked for it
  QueueConfig config;
  CircuitBreaker breaker;
  std::uint32_t index = 0;
  ChainTable chains;    // ordered queues only
  ListHook in_open;     // among the queues whose breaker is not closed
  TimePoint look_at{};  // whether it is silent
  ListHook in_watched;

  [[nodiscard]] bool full() const noexcept { return jobs >= config.jobs_max; }
  [[nodiscard]] bool has_queued() const noexcept {
    return !retries.empty() || !urgent.empty() || !fresh.empty();
  }
  // Could an event of it be in there, as far as its events so far tell?
  [[nodiscard]] bool may_be_in(Partition partition) const noexcept {
    return moves || home.value < 0 || home == partition;
  }
  // Admitted when, of what waits for its turn; nothing: nothing does.
  [[nodiscard]] std::optional<TimePoint> oldest_queued() const noexcept;
};

using QueueList = LinkedList<SubscriptionQueue, &SubscriptionQueue::in_turn>;

}  // namespace eventrelay::relay
