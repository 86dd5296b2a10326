// Records of the `state` topic: what one subscription, or one object of it, still has to get.
//
// Why:     a detached subscription costs one small record, however much waits for it.
// Owner:   the codec: nobody, pure functions; StateTable: StateLog while it reads a partition.
// Thread:  any; StateTable one owner.
// Bounds:  a value is at most kStateValueMax bytes; the table holds one record per key of a
//          partition.
// Errors:  StateError; a version that is not ours stops the partition, it is never guessed.
//
//   key    427236@120, 427236|<object>@120: the subscription, its object, `from`. `owner`: the mark
//   value  {"v":1,"subscription":"427236","object":null,"state":"detached","from":120,...}
//   null   the cursor is over; counts only behind a record that says so itself (position = end)
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/expected.hpp"
#include "common/base/ids.hpp"

namespace eventrelay::relay {

inline constexpr std::size_t kRangesMax = 4096;
inline constexpr std::size_t kStateValueMax = 32U << 10;
inline constexpr std::string_view kOwnerKey = "owner";

// Counts the owners of one partition; a record of an older one does not count behind a newer.
using StateEpoch = std::uint64_t;

enum class CursorState : std::uint8_t {
  Detached,  // the log is its queue; a catch-up read feeds it when its endpoint can be called
  Paused,    // like Detached, but nothing is read for it before it is resumed
  Blocked,   // its event at the position failed and is tried again when due, alone
  Replay,    // a range that is sent once more, beside everything else
};

// One cursor as it is stored. Bounds: kStateValueMax.
struct StateRecord {
  std::string subscription;
  std::optional<std::string> object;  // nothing: the whole subscription; may be empty text
  CursorState state = CursorState::Detached;
  Offset from;                  // first offset it answers for; names the cursor
  Offset position;              // everything of it below is done
  std::optional<Offset> end;    // first offset it does not answer for; nothing: it goes on
  std::optional<WallTime> due;  // not before
  std::uint32_t attempt = 0;    // attempts made at the event at the position
  StateEpoch epoch = 0;
  WallTime since{};  // Blocked: first failure of its event; Paused: since then; else when it began
  std::string reason;
  std::string ranges;  // done above the position, as OffsetLedger writes run lengths

  // Over: nothing of it is left to do.
  [[nodiscard]] bool complete() const noexcept { return end && position >= *end; }
};

// The mark that a new owner sets before it reads live events.
struct OwnerRecord {
  StateEpoch epoch = 0;
  std::string owner;  // unique to one take-over
};

enum class StateError : std::uint8_t {
  NotJson,
  UnknownVersion,
  MissingField,
  BadField,
  TooLong,
};

[[nodiscard]] std::string_view describe(StateError error) noexcept;
// The word that people read; a record has an older one for Paused, which stays readable.
[[nodiscard]] std::string_view shown_name(CursorState state) noexcept;

[[nodiscard]] std::string state_key(std::string_view subscription,
                                    const std::optional<std::string_view>& object, Offset from);
[[nodiscard]] std::string encode(const StateRecord& record);
[[nodiscard]] std::string encode(const OwnerRecord& record);
[[nodiscard]] Expected<StateRecord, StateError> decode_state(std::string_view value);
[[nodiscard]] Expected<OwnerRecord, StateError> decode_owner(std::string_view value);

// Reads a partition of `state` from its start in log order and tells which records count: one of
// an older epoch than one before it was written by an owner that had lost the partition.
// Thread: one owner.  Bounds: one record per key.
class StateTable {
 public:
  // `value` is empty for a tombstone. An error leaves the table as it was.
  [[nodiscard]] Expected<bool, StateError> take(std::string_view key, std::string_view value);

  [[nodiscard]] const std::map<std::string, StateRecord, std::less<>>& records() const noexcept {
    return records_;
  }
  // Keys with a record that does not count: the new owner writes them again, before compaction
  // can make them look like the last word.
  [[nodiscard]] const std::vector<std::string>& fenced() const noexcept { return fenced_; }
  // The highest epoch seen, 0 = none.
  [[nodiscard]] StateEpoch epoch() const noexcept { return epoch_; }
  // Who wrote the owner mark that counts.
  [[nodiscard]] const std::string& owner() const noexcept { return owner_; }

 private:
  std::map<std::string, StateRecord, std::less<>> records_;
  std::vector<std::string> fenced_;
  StateEpoch epoch_ = 0;
  std::string owner_;
};

}  // namespace eventrelay::relay
