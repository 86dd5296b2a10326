// One partition and its subscribers as a random world for Cursors and OffsetLedger: what outlives a
// process, and the truth that is checked whenever something is delivered, written or committed.
//
// Why:     a hole in the protocol shows only under a crash at one moment; so every step may be one.
// Owner:   the test.  Thread: one.  Bounds: kEvents events, a few subscribers.
// Errors:  `broken` names the first breach; the seed repeats it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "relay/backlog/cursor/cursors.hpp"
#include "relay/dispatch/retry.hpp"

namespace eventrelay::relay::sim {

// Faults that are planted to see that the checks find them. Thread: value.
enum class Fault : std::uint8_t {
  None,
  SkipBeforeAck,   // what a written, not acknowledged record covers is skipped
  OneKey,          // one record per subscription, whatever `from`
  SettleAtOnce,    // queued jobs are done with the detach, not with its record
  CommitLive,      // the live position is committed
  DoneAtHandout,   // an event is done when the catch-up read hands it out
  CursorAtReread,  // the record's position is what was read, not what is done
  NoFencing,       // records of an older owner count
  NoRepair,        // what an older owner wrote late is not written again
  AnyTombstone,    // a tombstone counts whoever wrote it
  ChainGoesOn,     // a failing event leaves its chain alone
  GiveBackAlone,   // and does so towards its cursor
  HeldUnnamed,     // a detach does not name what is in flight
  LedgerUnsaid,    // what the ranges of the ledger call done is not told
};

inline constexpr std::int64_t kEvents = 40;

struct Subscriber {
  std::string id;
  Ordering ordering = Ordering::None;
  std::uint32_t types = ~0U;  // filter, one bit per type
};

struct LogEvent {
  std::uint32_t type = 0;
  std::string object;
};

struct StateRow {
  std::string key;
  std::string value;
};

// What may happen in a run.
struct Weather {
  bool crashes = true;
  bool zombies = true;
  bool expires = true;
  double hand_over = 0.004;  // how often the partition goes to another process
};

// Thread: one.  Bounds: see the head of this file.
class World {
 public:
  World(std::uint64_t seed, Fault fault, Weather weather);

  [[nodiscard]] bool chance(double probability) { return random.unit() < probability; }
  [[nodiscard]] std::size_t pick(std::size_t count) { return random.next() % count; }
  [[nodiscard]] bool wants(std::size_t sub, std::int64_t at) const;
  [[nodiscard]] EventKey key(std::size_t sub, std::int64_t at) const;
  [[nodiscard]] bool same_chain(std::size_t sub, std::int64_t one, std::int64_t other) const;
  [[nodiscard]] Moment moment() const;

  // One line on stderr if EVENTRELAY_SIMULATION_TRACE is set.
  void say(const char* what, std::size_t sub, std::int64_t at, CursorId cursor = {}) const;
  // The receiver has it.
  void deliver(std::size_t sub, std::int64_t at);
  // A delay or dead-letter record of it is in its topic.
  void put_away(std::size_t sub, std::int64_t at);
  // A record of the state topic is in the log.
  void land(const std::string& key, const std::string& value);
  void commit(std::int64_t next, std::string ranges);
  // Older records of a key go, as far as the owner has followed the topic.
  void compact(std::size_t upto);
  // What a new owner finds.
  [[nodiscard]] StateTable read() const;
  [[nodiscard]] bool complete() const;

  Random random;
  Fault fault;
  Weather weather;
  std::vector<LogEvent> log;
  std::vector<Subscriber> subs;
  std::vector<bool> down;  // by subscriber
  std::vector<StateRow> state;
  std::optional<Offset> committed;
  std::string metadata;
  std::vector<std::vector<int>> times;  // [subscriber][offset]: delivered or put away
  std::int64_t step = 0;
  double slow = 1;  // how soon Kafka answers
  std::uint64_t deliveries = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t excused = 0;  // duplicates that crashes may have made so far
  std::uint64_t crashes = 0;
  std::string broken;

 private:
  void fail(const std::string& what);
  void judge(const StateRecord& record);
  [[nodiscard]] bool settled(std::size_t sub, std::int64_t at, bool by_whole) const;

  StateTable counted_;
  bool trace_ = false;
};

}  // namespace eventrelay::relay::sim
