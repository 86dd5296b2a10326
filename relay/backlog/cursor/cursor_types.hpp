// The arguments and answers of Cursors.
//
// Why:     its callers are three shells; each call's arguments are named in one place.
// Owner:   the caller.  Thread: values.  Bounds: views live for the call.
// Errors:  none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/base/ids.hpp"
#include "common/config/config.hpp"
#include "relay/backlog/cursor/state_record.hpp"
#include "relay/record/ids.hpp"

namespace eventrelay::relay {

// Behind every event.
inline constexpr Offset kNever{std::numeric_limits<std::int64_t>::max()};

// Bounds: memory is about 200 B per cursor.
struct CursorBounds {
  std::uint32_t blocked_max = 10'000;                  // blocked objects of one subscription
  Duration commit_interval = std::chrono::seconds{1};  // larger: more is sent twice after a kill
  std::uint32_t commit_events = 1'000;                 // finished events that make a commit due
  // Written by one commit at most, in turns: after so many events, and after the interval.
  std::uint32_t commit_records_early = 64;
  std::uint32_t commit_records = 250;
};

// One event for one subscription.
struct EventKey {
  std::string_view subscription;
  std::string_view object;  // of the event; empty: none, or several
  Ordering ordering = Ordering::None;
};

// Does a cursor answer for an event? None: it is the live path's (meet: Take). NotYet: one does,
// but its record is not acknowledged (Wait). Durable: one does (Skip).
enum class Cover : std::uint8_t { None, NotYet, Durable };

// A whole subscription leaves the live path. Every unfinished live job of it in this partition is
// named: what is not named and lies above the lowest that is named would count as done.
struct Detach {
  std::string_view subscription;
  Ordering ordering = Ordering::None;
  Offset live;                     // the live position: a refused event, or the next one
  std::span<const Offset> queued;  // ascending; they leave the scheduler now
  std::span<const Offset> held;    // ascending; in flight, or leaving and not settled: they stay
  // From this offset on no event was ever taken: one position instead of 8 B per job. Negative: not
  // known.
  Offset untouched{-1};
  CursorState state = CursorState::Detached;  // or Paused
  std::string_view reason;
};

// A job behind a failed one in its chain.
struct ChainJob {
  Offset at;
  CursorId owner;  // whose catch-up read handed it out, or kLivePath
};

// An ordered event failed and waits for its time.
struct Block {
  EventKey key;
  Offset at;
  CursorId owner;                   // as in ChainJob
  std::span<const ChainJob> chain;  // all jobs behind it, ascending
  WallTime due{};
  std::uint32_t attempt = 0;  // attempts made
  WallTime first_failure{};
  std::string_view reason;
};

// When what is given back may be handed out again.
struct Pause {
  std::optional<TimePoint> not_before;
};

// What a job of a cursor starts with.
struct Handout {
  CursorState state = CursorState::Detached;
  std::uint32_t attempts_made = 0;        // of Blocked
  std::optional<WallTime> first_failure;  // of Blocked
};

// What the cursors must know about a subscription's queue. Thread: shard-local.
class ReadinessGate {
 public:
  struct Readiness {
    bool open = false;         // it has room, and its breaker is closed or due for a probe
    bool replay_open = false;  // and the rate of replays allows one
    Ordering ordering = Ordering::None;
  };
  // Of an unknown subscription: all false.
  [[nodiscard]] virtual Readiness look(std::string_view subscription) = 0;

 protected:
  ~ReadinessGate() = default;
};

enum class CommitMode : std::uint8_t { WhenDue, Exactly };

// A record for the state topic, in the partition that the cursors are of.
struct StateWrite {
  std::uint64_t token = 0;  // for acknowledge()
  std::string key;
  std::string value;  // empty: a tombstone (null)
};

// What a record means that was found in the topic behind our mark. Repaired: an older owner wrote
// it, and next_write() has the answer. Fenced: there is a newer owner; stop the partition.
enum class Followed : std::uint8_t { Fine, Repaired, Fenced };

// One cursor for the status page.
struct CursorStatus {
  StateRecord record;
  std::uint64_t under_way = 0;  // handed out and not finished
};

// What waits for one subscription in one partition.
struct WaitingRange {
  std::string_view subscription;
  std::uint64_t events = 0;  // offsets from its position to where it ends, those of others included
  WallTime since{};          // when it left the live path
};

struct CursorCounts {
  std::size_t detached = 0;  // whole subscriptions, paused ones not included
  std::size_t paused = 0;
  std::size_t blocked = 0;  // objects, and ordered instances, that wait for their time
  std::size_t replays = 0;
  std::size_t attached = 0;  // back at the live position, not yet forgotten
};

}  // namespace eventrelay::relay
