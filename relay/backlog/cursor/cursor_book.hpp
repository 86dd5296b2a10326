// What the parts of Cursors share: the entries, the sweep under way, what is to be written, and the
// few moves that change an entry.
//
// Why:     live path, sweep and records look at the same numbers; each rule about them is here
// once. Owner:   Cursors.  Thread: shard-local. Bounds:  as CursorTable.  Errors:  none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/backlog/cursor/cursor_entry.hpp"

namespace eventrelay::relay {

// The sweep under way. Thread: shard-local.  Bounds: one pointer per entry.
struct SweepState {
  bool active = false;
  bool rescue = false;
  Offset below;     // of a rescue
  Offset position;  // everything below was offered
  std::vector<CursorEntry*> following;
};

// What is to be written. Thread: shard-local.  Bounds: one place per entry.
struct WriteState {
  std::deque<EntryId> queue;
  std::deque<std::string> strays;  // keys of an older owner's entries
  std::size_t writing = 0;
  std::uint32_t finished = 0;  // events since the last commit
  TimePoint committed_at{};
  std::size_t next_slot = 0;  // where the next commit goes on
  Offset ledger{-1};          // what the broker has of it
};

// What the ledger's metadata called done at take-over, some of it because an entry answered for it.
// Thread: shard-local.  Bounds: one offset per unfinished event of a ledger.
struct LedgerAhead {
  Offset to;  // nothing is known from here on
  OffsetSet unfinished;
};

// Thread: shard-local.  Bounds: see the head of this file.
struct CursorBook {
  CursorTable table;
  LedgerAhead ahead;
  SweepState sweep;
  WriteState writes;

  // First offset that the entry has not read; in a sweep it moves with it.
  [[nodiscard]] Offset reach(const CursorEntry& entry) const;
  // First offset that it does not read: its end, or where the whole subscription's entry stands.
  [[nodiscard]] Offset limit(const CursorEntry& entry) const;
  // Everything of it below is done.
  [[nodiscard]] Offset cursor(const CursorEntry& entry) const;
  // The next offset to hand out below `live`; nothing: not before something happens.
  [[nodiscard]] std::optional<Offset> place(const CursorEntry& entry, Offset live) const;
  // It has an end and does not have all of it handed out.
  [[nodiscard]] bool unhanded(const CursorEntry& entry) const;
  // Does the sweep hand out `at` for it?
  [[nodiscard]] bool wants(const CursorEntry& entry, Offset at) const;

  // A record of it is to be written.
  void mark(CursorEntry& entry);
  // It moved; finds out whether it is over.
  void note(CursorEntry& entry);
  void follow(CursorEntry& entry);
  void unfollow(CursorEntry& entry);
  // All for the same: what is behind must not be handed out before what came back.
  void unfollow_alike(CursorEntry& entry);
  void attach(CursorEntry& entry, Offset end);
  // Attaches it if it stands where the events belong to somebody else.
  void attach_if_there(CursorEntry& entry, Offset live);
  void calm(CursorEntry& entry);  // no longer Blocked
  // `job` is `entry`'s from its first acknowledged record on.
  void hand_over(CursorEntry& entry, const ChainJob& job);
  void take_over(CursorEntry& entry);
  // Tombstones for what is over and needed by nobody.
  void retire();

  [[nodiscard]] StateRecord record(const CursorEntry& entry) const;
  [[nodiscard]] std::string ranges(const CursorEntry& entry) const;
  // False: the text is not ours and says nothing.
  static bool restore(CursorEntry& entry, std::string_view ranges);

 private:
  [[nodiscard]] std::optional<Offset> first_returned(const CursorEntry& entry) const;
  void drop_job(CursorGroup& group, const ChainJob& job);
};

}  // namespace eventrelay::relay
