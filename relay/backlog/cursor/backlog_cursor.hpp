// The cursors of one partition in memory: what is under way of each, and how they are found.
//
//   done          | position ...                        | read up to ...       | end
//   nothing is    | out: dispatched and not finished    | read by the next     | the live path's,
//   left to do    | returned: to be read again          | catch-up read        | or of a later one
//
// Why:     below `read again` everything that is neither out nor returned is done, so a cursor is a
//          few numbers and what is under way.
// Owner:   Cursors.  Thread: shard-local.
// Bounds:  about 220 B per cursor and 8 B per event under way; O(1) to find by id or object.
// Errors:  none.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/text_hash.hpp"
#include "relay/backlog/cursor/cursor_types.hpp"
#include "relay/backlog/cursor/offset_set.hpp"

namespace eventrelay::relay {

struct CursorGroup;

// Thread: shard-local.  Bounds: see the head of this file.
struct BacklogCursor {
  CursorId id;
  CursorGroup* group = nullptr;
  BacklogCursor* bucket_next = nullptr;
  std::string object;
  Offset from;
  Offset reread;
  Offset end{-1};               // negative: it goes on
  Offset blocked_at;            // of Blocked
  Offset written_position{-1};  // of the last record, and of the last that is acknowledged
  Offset acked_position{-1};
  OffsetSet out;
  OffsetSet returned;
  // Whose unfinished events it takes over once its first record is acknowledged.
  std::unique_ptr<std::vector<ChainJob>> takes_over;
  TimePoint due{};
  WallTime due_wall{};
  WallTime since{};
  std::uint32_t attempt = 0;
  std::uint32_t follow_index = 0;  // in SweepState::following
  CursorState state = CursorState::Detached;
  std::uint8_t reason = 0;   // in CursorTable::reasons
  bool whole = true;         // of the whole subscription; `object` says nothing
  bool durable = false;      // a record of it is acknowledged: what it covers may be skipped
  bool changed = false;      // it moved since its last record
  bool queued = false;       // for a record
  bool writing = false;      // a record is on its way
  bool ending = false;       // and it is the tombstone
  bool end_written = false;  // the last record said where it ends; and the last acknowledged one
  bool end_acked = false;
  bool over = false;          // nothing is left of it
  bool over_written = false;  // the last record said so; and the last acknowledged one
  bool over_acked = false;
  bool forgotten = false;  // its subscription is gone
  bool rescuing = false;   // what is under way goes to the dead-letter topic
  bool following = false;  // in the catch-up read that is under way

  [[nodiscard]] bool open() const noexcept { return end.value < 0; }
  [[nodiscard]] bool covers(Offset at) const noexcept { return at >= from && (open() || at < end); }
  [[nodiscard]] bool replays() const noexcept { return state == CursorState::Replay; }
};

// All cursors of one subscription. Thread: shard-local.  Bounds: CursorBounds::blocked_max objects.
struct CursorGroup {
  std::string subscription;
  Ordering ordering = Ordering::None;  // as last heard
  std::vector<BacklogCursor*> whole;   // by `from`; they never overlap
  std::vector<BacklogCursor*> replays;
  std::vector<BacklogCursor*> buckets;  // objects, by hash; those of one object never overlap
  std::uint32_t objects = 0;
  std::uint32_t objects_over = 0;
  bool expire_next = false;  // hands out nothing until it is rescued

  [[nodiscard]] BacklogCursor* whole_at(Offset at) const noexcept;
  // Cursors of one object, in no order.
  [[nodiscard]] BacklogCursor* object_first(std::string_view object) const noexcept;
  [[nodiscard]] BacklogCursor* object_next(const BacklogCursor& of) const noexcept;
  [[nodiscard]] BacklogCursor* object_at(std::string_view object, Offset at) const noexcept;
  [[nodiscard]] BacklogCursor* open_whole() const noexcept;
  [[nodiscard]] bool is_off() const noexcept;
  [[nodiscard]] bool none() const noexcept {
    return whole.empty() && replays.empty() && objects == 0;
  }
};

// Thread: shard-local.  Bounds: see the head of this file.
class CursorTable {
 public:
  using Groups = TextMap<CursorGroup>;

  [[nodiscard]] bool empty() const noexcept { return groups_.empty(); }
  [[nodiscard]] CursorGroup* find(std::string_view subscription);
  [[nodiscard]] const CursorGroup* find(std::string_view subscription) const;
  [[nodiscard]] BacklogCursor* find(CursorId id) const noexcept;
  [[nodiscard]] BacklogCursor* find_key(std::string_view key);
  CursorGroup& group(std::string_view subscription);
  [[nodiscard]] Groups& groups() noexcept { return groups_; }
  // Gives the cursor its id and links it by `from`, `whole`, `object` and `state`.
  BacklogCursor& add(CursorGroup& group, std::unique_ptr<BacklogCursor> cursor);
  void erase(BacklogCursor& cursor);
  // Null where a cursor was; grows to the most that lived at once.
  [[nodiscard]] const std::vector<std::unique_ptr<BacklogCursor>>& slots() const noexcept {
    return slots_;
  }
  [[nodiscard]] std::uint8_t reason(std::string_view text);
  [[nodiscard]] const std::string& reason(std::uint8_t index) const { return reasons_[index]; }

 private:
  Groups groups_;
  std::vector<std::unique_ptr<BacklogCursor>> slots_;
  std::vector<std::uint32_t> free_;
  std::vector<std::string> reasons_{std::string{}};  // few words; see reason()
  std::uint32_t serial_ = 0;
};

}  // namespace eventrelay::relay
