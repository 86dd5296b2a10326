// The cursors of one partition in memory: what is under way of each, and how they are found.
//
//   done          | position ...                        | read up to ...       | end
//   nothing is    | out: dispatched and not finished    | read by the next     | the live path's,
//   left to do    | returned: to be read again          | catch-up read        | or of a later one
//
// Why:     below `reread` everything that is neither out nor returned is done, so a cursor is a
//          few numbers and what is under way.
// Owner:   Cursors.  Thread: shard-local.
// Bounds:  about 230 B per cursor and 8 B per event under way; O(1) to find by id or object.
// Errors:  none.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/hash_table.hpp"
#include "common/base/pool.hpp"
#include "common/base/text_hash.hpp"
#include "relay/backlog/cursor/cursor_types.hpp"
#include "relay/backlog/cursor/offset_set.hpp"

namespace eventrelay::relay {

struct CursorGroup;

// What a record said of a cursor.
struct CursorSnapshot {
  Offset position;
  bool ended = false;  // it said where the cursor ends
  bool over = false;   // and that nothing is left of it
};

// Where the record of a cursor stands: none to write; one is due; one is on its way; one is on its
// way and another is due behind it. The tombstone is the last: the cursor is gone once Kafka has
// it.
enum class RecordSync : std::uint8_t {
  Idle,
  Due,
  Writing,
  WritingAndDue,
  TombstoneDue,
  TombstoneWriting
};

struct BacklogCursor {
  CursorId id;
  CursorGroup* group = nullptr;
  TableHook in_objects;
  std::string object;
  Offset from;
  Offset reread;
  Offset end{-1};                         // negative: it goes on
  Offset blocked_at;                      // of Blocked
  std::optional<CursorSnapshot> written;  // the last record
  std::optional<CursorSnapshot> acked;    // the last one that is acknowledged
  OffsetSet out;
  OffsetSet returned;
  // Whose unfinished events it takes over once its first record is acknowledged.
  std::unique_ptr<std::vector<ChainJob>> takes_over;
  TimePoint due{};
  WallTime due_wall{};
  WallTime since{};
  std::uint32_t attempt = 0;
  std::uint32_t follow_index = 0;  // in CatchUpState::following
  CursorState state = CursorState::Detached;
  std::uint8_t reason = 0;  // in CursorTable::reasons
  RecordSync sync = RecordSync::Idle;
  bool whole = true;       // of the whole subscription; `object` says nothing
  bool changed = false;    // it moved since its last record
  bool over = false;       // nothing is left of it
  bool forgotten = false;  // its subscription is gone
  bool expiring = false;   // what is under way goes to the dead letters
  bool following = false;  // in the catch-up read that is under way

  // A record of it is acknowledged: what it covers may be skipped.
  [[nodiscard]] bool durable() const noexcept { return acked.has_value(); }
  [[nodiscard]] bool due_to_write() const noexcept {
    return sync == RecordSync::Due || sync == RecordSync::WritingAndDue ||
           sync == RecordSync::TombstoneDue;
  }
  [[nodiscard]] bool writing() const noexcept {
    return sync == RecordSync::Writing || sync == RecordSync::WritingAndDue ||
           sync == RecordSync::TombstoneWriting;
  }
  // Its tombstone is due or on its way.
  [[nodiscard]] bool ending() const noexcept {
    return sync == RecordSync::TombstoneDue || sync == RecordSync::TombstoneWriting;
  }
  [[nodiscard]] bool open() const noexcept { return end.value < 0; }
  [[nodiscard]] bool covers(Offset at) const noexcept { return at >= from && (open() || at < end); }
  [[nodiscard]] bool replays() const noexcept { return state == CursorState::Replay; }
};

struct CursorObjectOf {
  using type = std::string_view;
  [[nodiscard]] std::string_view operator()(const BacklogCursor& cursor) const noexcept {
    return cursor.object;
  }
};

// Those of one object never overlap.
using ObjectCursors = HashTable<BacklogCursor, &BacklogCursor::in_objects, CursorObjectOf,
                                std::hash<std::string_view>>;

// All cursors of one subscription. Bounds: CursorBounds::blocked_max objects.
struct CursorGroup {
  std::string subscription;
  Ordering ordering = Ordering::None;  // as last heard
  std::vector<BacklogCursor*> whole;   // by `from`; they never overlap
  std::vector<BacklogCursor*> replays;
  ObjectCursors objects;
  std::uint32_t objects_over = 0;
  bool expire_next = false;  // hands out nothing before its expiry

  [[nodiscard]] BacklogCursor* whole_at(Offset at) const noexcept;
  [[nodiscard]] BacklogCursor* object_at(std::string_view object, Offset at) const noexcept;
  [[nodiscard]] BacklogCursor* open_whole() const noexcept;
  [[nodiscard]] bool is_paused() const noexcept;
  [[nodiscard]] bool none() const noexcept {
    return whole.empty() && replays.empty() && objects.empty();
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
  [[nodiscard]] const Groups& groups() const noexcept { return groups_; }
  // Gives the cursor its id and links it by `from`, `whole`, `object` and `state`.
  BacklogCursor& add(CursorGroup& group, std::unique_ptr<BacklogCursor> cursor);
  void erase(BacklogCursor& cursor);
  // Null where a cursor was; grows to the most that lived at once.
  [[nodiscard]] const Numbered<BacklogCursor>& slots() const noexcept { return slots_; }
  [[nodiscard]] std::uint8_t reason(std::string_view text);
  [[nodiscard]] const std::string& reason(std::uint8_t index) const { return reasons_[index]; }

 private:
  Groups groups_;
  Numbered<BacklogCursor> slots_;
  std::vector<std::string> reasons_{std::string{}};  // few words; see reason()
  std::uint32_t serial_ = 0;
};

}  // namespace eventrelay::relay
