// What has become of one event at one subscription, told from where it stands in the topics.
//
//   done    below the group's position or in its ranges, and in no delay topic, dead letter, cursor
//   queued  a cursor of the subscription answers for it: the log is its queue; or it is in a delay
//           topic while the subscription is paused
//   retry   in a delay topic, not read yet; or an attempt failed and it is not written there yet
//   dead    a dead letter, and nothing later
//
// Why:     a delivered event leaves no line of its own; so this is read out of what is not done.
// Thread:  any; pure.
// Bounds:  as its arguments.
// Errors:  a position text that is not ours counts as none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/ids.hpp"

namespace eventrelay::history {

// Offsets that are done: all below `next`, and runs above it. Thread: value.
class DoneOffsets {
 public:
  // `ranges`: run lengths `1:<not done>,<done>,..` from `next` on, as the relay commits them. What
  // stands behind an `@` says how young the records are, and is passed over.
  DoneOffsets(Offset next, std::string_view ranges);
  DoneOffsets() = default;
  [[nodiscard]] bool contains(Offset offset) const noexcept;

 private:
  struct Run {
    std::int64_t first;
    std::int64_t end;
  };
  std::int64_t next_ = 0;
  std::vector<Run> runs_;  // ascending
};

// A cursor of the state topic.
struct Cursor {
  std::string subscription;
  std::optional<std::string> object;  // nothing: the whole subscription
  bool paused = false;
  Offset from;
  std::optional<Offset> end;
  DoneOffsets done;
  std::uint64_t epoch = 0;
  WallTime since{};
  std::string reason;
  std::int64_t position = 0;

  // Whether it answers for an event that is not done.
  [[nodiscard]] bool holds(Offset offset, std::string_view object_id) const;
};
// Nothing where `value` is not a cursor, or one of a replay.
[[nodiscard]] std::optional<Cursor> read_cursor(std::string_view value);

// A line of the attempts log.
struct AttemptSeen {
  std::string event;
  std::string subscription;
  WallTime at{};
  std::uint32_t attempt = 0;
  std::string outcome;
  int status = 0;
  std::int64_t ms = 0;
  std::string next;  // done, retry, dead
};
[[nodiscard]] std::optional<AttemptSeen> read_attempt(std::string_view value);

// A record of the event in a delay topic or among the dead letters.
struct ParkedSeen {
  std::string event;
  std::string subscription;
  std::uint32_t attempts_made = 0;
  std::optional<WallTime> due;
  std::string reason;
  WallTime stamped{};
};

enum class Fate : std::uint8_t { Pending, Delivered, Retry, Dead, Queued, Filtered };
[[nodiscard]] std::string_view word_of(Fate fate) noexcept;

// What is known of one event at one subscription.
struct Traces {
  bool wanted = true;                 // by the subscription's filter
  bool settled = false;               // the group has passed it
  bool queued = false;                // a cursor holds it
  bool paused = false;                // the subscription is paused now
  std::optional<ParkedSeen> parked;   // the newest that was not read yet
  std::optional<ParkedSeen> dead;     // the newest
  std::vector<AttemptSeen> attempts;  // in their order
};

[[nodiscard]] Fate fate_of(const Traces& traces) noexcept;

}  // namespace eventrelay::history
