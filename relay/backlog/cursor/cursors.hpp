// What is detached in one partition: which events the live path skips, what a catch-up read hands
// out for which cursor, and which records of the `state` topic say so.
//
//   live path --meet--> take | skip | wait           refused, failed --detach, block--> cursor
//   cursor --begin_catch_up, offer--> scheduler --done, give_back--> cursor
//   cursor --end_catch_up, at the live position--> attached
//   cursor --next_write--> state topic --acknowledge--> what it covers may be skipped
//
// Why:     a detached subscription costs one cursor and one record, and holds nobody else up.
// Owner:   the shard, one per owned partition, from its take-over to its loss.
// Thread:  shard-local; time is an argument.
// Bounds:  CursorBounds; O(1) per event where a subscription has no cursors.
// Errors:  none; calls about a cursor that is gone do nothing.
//
// The one rule behind all others: an event is done for its owner only when it was delivered,
// parked or is dead, or an acknowledged record of a cursor covers it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "relay/backlog/cursor/cursor_book.hpp"
#include "relay/backlog/cursor/cursor_types.hpp"
#include "relay/backlog/cursor/state_record.hpp"

namespace eventrelay::relay {

// Thread: shard-local.  Bounds: see the head of this file.
class Cursors {
 public:
  // `epoch`: what its records carry.
  Cursors(const CursorBounds& bounds, StateEpoch epoch) : bounds_(bounds), epoch_(epoch) {}
  Cursors(const Cursors&) = delete;
  Cursors& operator=(const Cursors&) = delete;

  // Take-over, before any other call: every record that counts, loaded(), followed() for every
  // fenced key; and what the ledger's metadata says is done, where it says something.
  void load(const StateRecord& record, const Moment& moment);
  void loaded();
  void ledger_restored(Offset committed, std::string_view metadata);

  // --- The live path ---

  // True: every event is the live path's; meet() need not be asked.
  [[nodiscard]] bool empty() const noexcept { return book_.table.empty(); }
  [[nodiscard]] bool has_cursors(std::string_view subscription) const;
  // Does a cursor answer for the event at the live position? None: admit it. Durable: a cursor
  // does, so it is done for the ledger. NotYet: hold the partition and ask again after
  // acknowledge(). Ask for all subscriptions of the event before one is admitted. May make a
  // cursor, where an older event of the same order still waits.
  [[nodiscard]] Cover meet(const EventKey& key, Offset at, const Moment& moment);
  // The same about a live job that has left the scheduler (detach, block). Durable: settle it as
  // done; NotYet: ask again after acknowledge(); None: it is still the live path's.
  [[nodiscard]] Cover cover(const EventKey& key, Offset at) const;
  // A live job was delivered, parked or is dead. Needed only while has_cursors().
  void live_ended(std::string_view subscription, Offset at);
  // The ledger's offset that the broker has taken: what is attached below it may be forgotten.
  void committed(Offset next);

  // --- Leaving the live path ---

  // The whole subscription waits in the log from now on. A cursor that is open already is returned;
  // it takes what is named, and becomes Paused if that is asked for.
  CursorId detach(const Detach& detach, const Moment& moment);
  // An attempt of an ordered subscription failed: its job and all behind it in its chain leave the
  // scheduler. Live jobs settle as cover() says; jobs of a catch-up read are back with their
  // cursors already. Nothing: too many are blocked; then call detach() with the live jobs among
  // `queued`, and give_back() with a pause for those of a catch-up read.
  [[nodiscard]] std::optional<CursorId> block(const Block& block, const Moment& moment);
  // Jobs of a catch-up read left the scheduler unfinished (breaker open, paused, no room after
  // all): their events are read again, not before `pause.not_before`. An ordered job goes back
  // together with all behind it in its chain.
  void give_back(CursorId cursor, std::span<const Offset> offsets, const Pause& pause = {});
  // A job of a catch-up read was delivered, or its delay or dead-letter record is acknowledged.
  void done(CursorId cursor, Offset at);
  // Ends a pause. False: the subscription was not paused. detach() begins one.
  bool resume(std::string_view subscription);
  [[nodiscard]] bool is_paused(std::string_view subscription) const;
  // Since when it is paused; nothing: it is not.
  [[nodiscard]] std::optional<WallTime> paused_since(std::string_view subscription) const;
  // True for a whole subscription that is still detached. No live job is behind its ordered jobs,
  // so while the breaker is open they may be given back instead of blocked.
  [[nodiscard]] bool goes_on(CursorId cursor) const;
  // Ends the cursors of subscriptions that are gone.
  void forget_unless(const std::function<bool(std::string_view)>& is_known);
  // The log they point into is gone: nothing of them covers an event of the new one from now on. No
  // catch-up read is under way.
  void begin_anew();

  // --- The catch-up read, one at a time ---

  // Where to start reading; nothing: no cursor is ready. Read ascending from there, never at or
  // above the live position.
  [[nodiscard]] std::optional<Offset> begin_catch_up(ReadinessGate& gate, Offset live,
                                                     const Moment& moment);
  // True when a cursor is ready that is not in the catch-up read under way. O(cursors).
  [[nodiscard]] bool others_ready(ReadinessGate& gate, Offset live, const Moment& moment) const;
  // The same for what the log start will soon reach, ready or not: cursors with a position below
  // `below`, up to there. What is offered goes to the dead letters: call dispatched(), and done()
  // when that record is acknowledged. Ask before each begin_catch_up() while the log start is near.
  [[nodiscard]] std::optional<Offset> begin_expire(Offset below);
  // Appends the cursors that take this event; asked once per subscription that it matches. Admit
  // one job for each, then call dispatched() or defer(); asking twice before that is fine.
  void offer(const EventKey& key, Offset at, const Moment& moment, std::vector<CursorId>& takers);
  void dispatched(CursorId cursor, Offset at);
  // Its queue has no room for `at`: its subscription goes on from there in the next catch-up read.
  void defer(CursorId cursor, Offset at);
  // Everything below `next` was offered or is not in the log.
  void passed(Offset next);
  // Cursors still in the catch-up read; 0: end it.
  [[nodiscard]] std::size_t following() const noexcept { return book_.catch_up.following.size(); }
  // The lowest offset that any of them still wants: jump there if it is far. O(following).
  [[nodiscard]] std::optional<Offset> next_wanted() const;
  // Attaches what stands at the live position: the live path takes its events from there at once.
  void end_catch_up(Offset live);
  [[nodiscard]] bool catching_up() const noexcept { return book_.catch_up.active; }

  // --- The state topic ---

  // Makes records due for cursors that moved. Call now and then; Exactly before a drain's end.
  void commit(TimePoint now, CommitMode mode);
  // The next record to write, until there is none; one per key is on its way at a time.
  [[nodiscard]] std::optional<StateWrite> next_write();
  // Kafka has it. True: a cursor became durable, ask meet() and cover() again.
  bool acknowledge(std::uint64_t token);
  [[nodiscard]] std::size_t writes_pending() const noexcept;  // on their way, or due
  // What is written from now on carries this epoch; a record that is on its way is written again.
  void raise(StateEpoch epoch);
  // The log they were written into is gone: all are due.
  void write_all();
  // A record that appeared behind our mark, in log order; no epoch: a tombstone.
  Followed followed(std::string_view key, std::optional<StateEpoch> epoch);

  // --- Looking ---

  // What a job starts with; nothing: the cursor is gone.
  [[nodiscard]] std::optional<Handout> handout(CursorId cursor) const;
  [[nodiscard]] std::vector<CursorStatus> oldest(std::size_t max) const;
  [[nodiscard]] CursorCounts counts() const;
  // Each cursor that has something left to read below `live`, its end included; O(cursors).
  void for_each_waiting(Offset live, const std::function<void(const WaitingRange&)>& visit) const;
  // The log must not be cut above it.
  [[nodiscard]] std::optional<Offset> lowest_position() const;
  [[nodiscard]] StateEpoch epoch() const noexcept { return epoch_; }

 private:
  BacklogCursor& make(CursorGroup& group, const EventKey* object, Offset from,
                      const Moment& moment);
  void skip_ahead(BacklogCursor& cursor, Offset at) const;
  BacklogCursor& fold(CursorGroup& group, const Detach& detach, Offset at, const Moment& moment);
  [[nodiscard]] bool later_waits(const CursorGroup& group, const EventKey& key, Offset at) const;
  // The next record of the key without a cursor that the queue begins with.
  [[nodiscard]] StateWrite next_of_stray();

  CursorBook book_;
  CursorBounds bounds_;
  StateEpoch epoch_;
};

}  // namespace eventrelay::relay
