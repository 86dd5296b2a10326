// What the scheduler moves: an event held in memory, one job per subscription it matches, and the
// chains that keep jobs in order.
//
// Owner:   HeldEvent: the shard's shell; Job and Chain: the scheduler.
// Thread:  shard-local; all links are intrusive and belong to the scheduler.
// Bounds:  pooled by the scheduler; no allocation per event once warm.
// Errors:  none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/base/event.hpp"
#include "common/base/hash_table.hpp"
#include "common/base/linked_list.hpp"
#include "common/observe/metrics_list.hpp"
#include "relay/record/ids.hpp"

namespace eventrelay::relay {

// One event read from Kafka and not finished, shared by its jobs; the shell derives from it to
// keep the message that the views point into. Bounds: one record.
struct HeldEvent {
  Event event;
  Partition partition;
  Offset offset;
  Epoch epoch = 0;
  std::size_t bytes = 0;  // what holding it costs, counted once however many jobs share it
  // The scheduler's own:
  std::uint32_t jobs = 0;  // jobs that are not finished
  bool all_done = true;    // no job was dropped: the ledger may pass this offset
};

// Done: delivered, dead, or written where it waits; the ledger may pass it.
enum class End : std::uint8_t { Done, NotDone };

// What became of a job's event.
struct Finished {
  HeldEvent* held = nullptr;  // set when its last job ended: free it
  bool done = false;          // every job of it was delivered or dead: the ledger may pass it
};

struct SubscriptionQueue;
struct Job;

// What an event that was tried before brings along.
struct JobState {
  std::uint32_t attempts_made = 0;
  CursorId cursor = kLivePath;  // see Job
  std::optional<WallTime> first_failure;
  bool urgent = false;  // it waited long enough: goes before what is fresh
};

struct Chain;

// One event for one subscription.
struct Job {
  // Leaving: out of flight and out of every queue; its bytes are being written elsewhere.
  enum class State : std::uint8_t { Free, Queued, Chained, InFlight, Leaving };

  HeldEvent* held = nullptr;
  SubscriptionQueue* queue = nullptr;
  std::uint32_t attempts_made = 0;        // counted when one ends; the shell sends attempt made + 1
  CursorId cursor = kLivePath;            // the detached cursor that owns it
  std::optional<WallTime> first_failure;  // set by the shell, as the next two
  metrics::Outcome outcome = metrics::Outcome::Ok;  // of its last attempt, while it leaves
  bool dead = false;                                // it leaves for the dead letters
  bool covered = false;                             // it leaves because a cursor answers for it
  // The scheduler's own:
  State state = State::Free;
  bool urgent = false;     // of the queue's lists it is in while Queued, unless it is a retry
  bool probe = false;      // the breaker's one question to an endpoint that was down
  bool abandoned = false;  // its partition or subscription left while it was in flight
  TimePoint queued{};      // when it was admitted
  TimePoint begun{};       // its attempt, while in flight
  ListHook in_queue;
  Chain* chain = nullptr;
  ListHook in_chain;
};

using JobList = LinkedList<Job, &Job::in_queue>;

// Jobs of one ordering key in one queue; the first is the only one that may be sent.
struct Chain {
  std::uint64_t hash = 0;
  bool whole_queue = false;  // one chain for all of an instance, instead of one per object
  LinkedList<Job, &Job::in_chain> jobs;
  TableHook in_table;
};

// What makes two jobs of a queue one chain: the same object, or that all of it is in order. Events
// without a single object are in order among themselves. Bounds: a view into the event.
struct ChainKey {
  std::uint64_t hash = 0;
  bool whole_queue = false;
  std::string_view object;

  friend bool operator==(const ChainKey&, const ChainKey&) = default;
};

struct ChainKeyOf {
  using type = ChainKey;
  [[nodiscard]] ChainKey operator()(const Chain& chain) const noexcept {
    const HeldEvent& first = *chain.jobs.front().held;
    return {chain.hash, chain.whole_queue,
            chain.whole_queue ? std::string_view{} : first.event.object_id};
  }
};

struct ChainHash {
  [[nodiscard]] std::size_t operator()(const ChainKey& key) const noexcept { return key.hash; }
};

// Pre: every chain in it has a job.
using ChainTable = HashTable<Chain, &Chain::in_table, ChainKeyOf, ChainHash>;

}  // namespace eventrelay::relay
