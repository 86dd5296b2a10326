// What the parts of Cursors share: the cursors, the catch-up read under way, what is to be written,
// and the few moves that change a cursor.
//
// Why:     live path, catch-up read and records look at the same numbers; each rule about them is
//          here once.
// Owner:   Cursors.  Thread: shard-local.  Bounds: as CursorTable.  Errors: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/backlog/cursor/backlog_cursor.hpp"

namespace eventrelay::relay {

// The catch-up read under way. Bounds: one pointer per cursor.
struct CatchUpState {
  bool active = false;
  bool expire = false;
  Offset below;     // of an expiry: it ends there
  Offset position;  // everything below was offered
  std::vector<BacklogCursor*> following;
};

// A record that is due: that of a cursor, or those of a key without a cursor, which an older owner
// wrote late or whose subscription is gone.
struct DueRecord {
  CursorId cursor = kLivePath;  // kLivePath: of `stray`
  std::string stray{};
  bool told = false;  // of `stray`: one that leaves nothing to do was written; a tombstone follows
};

// What is to be written, in this order. Bounds: one place per cursor or key.
struct WriteState {
  std::deque<DueRecord> queue;
  std::size_t writing = 0;
  std::uint32_t finished = 0;  // events since the last commit
  TimePoint committed_at{};
  std::size_t next_slot = 0;  // where the next commit goes on
  Offset ledger{-1};          // what the broker has of it
};

// What the ledger's metadata called done at take-over, some of it because a cursor answered for it.
// Bounds: one offset per unfinished event of a ledger.
struct LedgerAhead {
  Offset to;  // nothing is known from here on
  OffsetSet unfinished;
};

struct CursorBook {
  CursorTable table;
  LedgerAhead ahead;
  CatchUpState catch_up;
  WriteState writes;

  // First offset that the cursor has not read; in a catch-up read it moves with it.
  [[nodiscard]] Offset reach(const BacklogCursor& cursor) const;
  // First offset that it does not read: its end, or where the whole subscription's cursor stands.
  [[nodiscard]] Offset limit(const BacklogCursor& cursor) const;
  // Everything of it below is done.
  [[nodiscard]] Offset position(const BacklogCursor& cursor) const;
  // The next offset to hand out below `live`; nothing: not before something happens.
  [[nodiscard]] std::optional<Offset> place(const BacklogCursor& cursor, Offset live) const;
  // It has an end and does not have all of it handed out.
  [[nodiscard]] bool undispatched(const BacklogCursor& cursor) const;
  // Does the catch-up read hand out `at` for it?
  [[nodiscard]] bool wants(const BacklogCursor& cursor, Offset at) const;

  // A record of it is to be written.
  void mark(BacklogCursor& cursor);
  // It moved; finds out whether it is over.
  void note(BacklogCursor& cursor);
  void follow(BacklogCursor& cursor);
  void unfollow(BacklogCursor& cursor);
  // Marks all cursors of the same subscription or object: later events must not be handed out
  // before what came back.
  void unfollow_alike(BacklogCursor& cursor);
  void attach(BacklogCursor& cursor, Offset end);
  // Attaches it if it stands where the events belong to the live path or another cursor.
  void attach_if_there(BacklogCursor& cursor, Offset live);
  void calm(BacklogCursor& cursor);  // no longer Blocked
  // `job` is `cursor`'s from its first acknowledged record on.
  void hand_over(BacklogCursor& cursor, const ChainJob& job);
  void ownership(BacklogCursor& cursor);
  // Makes tombstones due for records that are over and not needed.
  void retire();

  [[nodiscard]] StateRecord record(const BacklogCursor& cursor) const;
  [[nodiscard]] std::string ranges(const BacklogCursor& cursor) const;
  // False: the text is not ours and says nothing.
  static bool restore(BacklogCursor& cursor, std::string_view ranges);

 private:
  [[nodiscard]] std::optional<Offset> first_returned(const BacklogCursor& cursor) const;
  void drop_job(CursorGroup& group, const ChainJob& job);
};

}  // namespace eventrelay::relay
