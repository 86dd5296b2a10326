// What the scheduler moves: an event held in memory, one job per subscription it matches, and the
// lane in which the jobs of one subscription wait.
//
// Owner:   HeldEvent: the shard's shell; Job and Lane: the scheduler.
// Thread:  shard-local; all links are intrusive and belong to the scheduler.
// Bounds:  pooled by the scheduler; no allocation per event once warm.
// Errors:  none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "common/config.hpp"
#include "common/event.hpp"
#include "common/metrics_list.hpp"
#include "relay/circuit_breaker.hpp"
#include "relay/due_heap.hpp"
#include "relay/offset_ledger.hpp"

namespace eventrelay::relay {

// One event read from Kafka and not finished, shared by its jobs; the shell derives from it to
// keep the message that the views point into. Thread: shard-local.  Bounds: one record.
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

struct Lane;
struct Job;

// Intrusive first-in first-out list over two link members. Thread: shard-local.  Bounds: O(1).
template <class Node, Node* Node::*Previous, Node* Node::*Next>
struct LinkedList {
  Node* first = nullptr;
  Node* last = nullptr;

  [[nodiscard]] bool empty() const noexcept { return first == nullptr; }
  void push_back(Node* node) noexcept {
    node->*Previous = last;
    node->*Next = nullptr;
    (last != nullptr ? last->*Next : first) = node;
    last = node;
  }
  void remove(Node* node) noexcept {
    (node->*Previous != nullptr ? node->*Previous->*Next : first) = node->*Next;
    (node->*Next != nullptr ? node->*Next->*Previous : last) = node->*Previous;
    node->*Previous = nullptr;
    node->*Next = nullptr;
  }
};

// What an event that was tried before brings along. Thread: value.
struct JobState {
  std::uint32_t attempts_made = 0;
  std::uint64_t entry = 0;  // see Job
  std::optional<WallTime> first_failure;
  bool urgent = false;  // it waited long enough: goes before what is fresh
};

// Jobs of one ordering key in one lane; the first is the only one that may be sent.
// Thread: shard-local.  Bounds: pooled.
struct Chain;

// One event for one subscription. Thread: shard-local.  Bounds: pooled.
struct Job {
  // Leaving: out of flight and out of every queue; its bytes are being written elsewhere.
  enum class State : std::uint8_t { Free, Queued, Chained, InFlight, Leaving };

  HeldEvent* held = nullptr;
  Lane* lane = nullptr;
  std::uint32_t attempts_made = 0;        // counted when one ends; the shell sends attempt made + 1
  std::uint64_t entry = 0;                // the detached entry that owns it; 0: the path it came by
  std::optional<WallTime> first_failure;  // set by the shell, as the next two
  metrics::Outcome outcome = metrics::Outcome::Ok;  // of its last attempt, while it leaves
  bool dead = false;                                // it leaves for the dead letters
  // The scheduler's own:
  State state = State::Free;
  bool urgent = false;     // which of the lane's two lists it is in while Queued
  bool probe = false;      // the breaker's one question to an endpoint that was down
  bool abandoned = false;  // its partition or subscription left while it was in flight
  Job* previous = nullptr;
  Job* next = nullptr;
  Chain* chain = nullptr;
  Job* chain_previous = nullptr;
  Job* chain_next = nullptr;
};

struct Chain {
  std::uint64_t hash = 0;
  bool whole_lane = false;  // one chain for all of an instance, instead of one per object
  LinkedList<Job, &Job::chain_previous, &Job::chain_next> jobs;
  Chain* next = nullptr;  // in its bucket, or among the free ones
};

// Thread: immutable.  Bounds: per field.
struct LaneConfig {
  Ordering ordering = Ordering::None;
  std::uint32_t concurrency = 16;  // attempts in flight at once
  std::uint32_t rate = 0;          // attempts per second, 0 = no limit
  std::uint32_t jobs_max = 1000;   // unfinished jobs; larger: a slow subscriber holds more memory
  BreakerConfig breaker{};
};

// The queue of one subscription. The shell keeps what belongs to the subscription (formatter,
// signer, connections) under `index`. Thread: shard-local.  Bounds: LaneConfig.
struct Lane {
  explicit Lane(const LaneConfig& lane_config)
      : config(lane_config), breaker(lane_config.breaker) {}

  LaneConfig config;
  CircuitBreaker breaker;
  std::uint32_t index = 0;
  // The scheduler's own:
  std::uint32_t jobs = 0;  // unfinished, in whatever state
  std::uint32_t in_flight = 0;
  LinkedList<Job, &Job::previous, &Job::next> urgent;  // due again, or next of its chain
  LinkedList<Job, &Job::previous, &Job::next> fresh;
  std::vector<Chain*> buckets;  // ordered lanes only; a power of two
  std::uint32_t chains = 0;
  TimePoint paced_until{};  // the rate's theoretical next slot
  bool ready = false;       // linked in the scheduler's ready list
  bool refused = false;     // an event was turned away; says so again once there is room
  bool retired = false;     // its subscription is gone; freed with its last job
  std::uint32_t heap_index = kNotInHeap;
  Lane* previous = nullptr;
  Lane* next = nullptr;
};

}  // namespace eventrelay::relay
