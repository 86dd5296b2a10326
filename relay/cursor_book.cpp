#include "relay/cursor_book.hpp"

#include <algorithm>
#include <limits>

#include "common/assert.hpp"

namespace eventrelay::relay {

namespace {

constexpr Offset kNever{std::numeric_limits<std::int64_t>::max()};

Offset next_of(Offset at) {
  return Offset{at.value + 1};
}

}  // namespace

Offset CursorBook::reach(const CursorEntry& entry) const {
  if (!entry.following) return entry.swept;
  Offset to = std::min(sweep.position, limit(entry));
  if (sweep.rescue) {
    to = std::min(to, sweep.below);
  } else if (entry.state == EntryState::Blocked) {
    to = std::min(to, next_of(entry.blocked_at));
  }
  return std::max(entry.swept, to);
}

Offset CursorBook::limit(const CursorEntry& entry) const {
  if (!entry.open()) return entry.end;
  if (entry.whole) return kNever;
  // Later events of the object are the whole subscription's: an object's entry catches up with it.
  const CursorEntry* const whole = entry.group->open_whole();
  if (whole == nullptr) return kNever;
  // Never before what names it: after a restart the whole one may stand below.
  const bool blocked = entry.state == EntryState::Blocked;
  const Offset least = next_of(blocked ? entry.blocked_at : entry.from);
  return std::max({entry.swept, reach(*whole), least});
}

Offset CursorBook::cursor(const CursorEntry& entry) const {
  Offset lowest = reach(entry);
  if (!entry.out.empty()) lowest = std::min(lowest, entry.out.front());
  if (!entry.returned.empty()) lowest = std::min(lowest, entry.returned.front());
  return lowest;
}

// What the sweep has gone past without being asked to take it is not in the log any more.
std::optional<Offset> CursorBook::first_returned(const CursorEntry& entry) const {
  const std::vector<Offset>& all = entry.returned.all();
  const bool passes = entry.following && entry.state != EntryState::Blocked;
  const auto first =
      passes ? std::lower_bound(all.begin(), all.end(), sweep.position) : all.begin();
  if (first == all.end()) return std::nullopt;
  return *first;
}

std::optional<Offset> CursorBook::place(const CursorEntry& entry, Offset live) const {
  if (entry.over) return std::nullopt;
  std::optional<Offset> at = first_returned(entry);
  if (entry.state == EntryState::Blocked && !sweep.rescue) {
    if (entry.out.contains(entry.blocked_at)) return std::nullopt;
    at = entry.blocked_at;
  } else if (!at && reach(entry) < limit(entry)) {
    at = reach(entry);
  }
  if (at && *at >= live) return std::nullopt;
  return at;
}

bool CursorBook::unhanded(const CursorEntry& entry) const {
  if (entry.over || entry.open()) return false;
  if (entry.rescuing) return true;
  if (entry.state == EntryState::Blocked && !entry.out.contains(entry.blocked_at)) return true;
  return first_returned(entry) || reach(entry) < entry.end;
}

bool CursorBook::wants(const CursorEntry& entry, Offset at) const {
  if (!entry.following || entry.out.contains(at)) return false;
  if (at >= limit(entry) || (sweep.rescue && at >= sweep.below)) return false;
  if (at < entry.swept && !entry.returned.contains(at)) return false;
  return entry.state != EntryState::Blocked || sweep.rescue || at == entry.blocked_at;
}

void CursorBook::mark(CursorEntry& entry) {
  if (entry.queued) return;
  entry.queued = true;
  if (!entry.writing) writes.queue.push_back(entry.id);
}

void CursorBook::note(CursorEntry& entry) {
  entry.changed = true;
  if (entry.out.empty()) entry.rescuing = false;
  if (entry.over || entry.open() || !entry.durable || !entry.out.empty()) return;
  if (first_returned(entry) || reach(entry) < entry.end) return;
  if (entry.following) return unfollow(entry);  // and comes back here
  entry.over = true;
  if (!entry.whole) ++entry.group->objects_over;
  mark(entry);
}

void CursorBook::follow(CursorEntry& entry) {
  entry.following = true;
  entry.follow_index = static_cast<std::uint32_t>(sweep.following.size());
  sweep.following.push_back(&entry);
}

void CursorBook::unfollow(CursorEntry& entry) {
  if (!entry.following) return;
  const Offset to = reach(entry);
  entry.following = false;
  CursorEntry* const last = sweep.following.back();
  sweep.following[entry.follow_index] = last;
  last->follow_index = entry.follow_index;
  sweep.following.pop_back();
  entry.changed = entry.changed || to != entry.swept;
  entry.swept = to;
  if (entry.state != EntryState::Blocked || sweep.rescue) {
    entry.returned.erase_below(sweep.rescue ? std::min(sweep.position, sweep.below)
                                            : sweep.position);
  } else if (sweep.position > entry.blocked_at) {
    entry.returned.erase(entry.blocked_at);  // handed out, or not in the log any more
  }
  const Offset at = entry.blocked_at;
  const bool lost = !entry.out.contains(at) && !entry.returned.contains(at) && entry.swept > at;
  if (entry.state == EntryState::Blocked && lost) calm(entry);
  if (!entry.open() && to >= entry.end) note(entry);
}

void CursorBook::unfollow_alike(CursorEntry& entry) {
  CursorGroup& group = *entry.group;
  if (entry.whole) {
    for (CursorEntry* const other : group.whole) unfollow(*other);
    return;
  }
  CursorEntry* other = group.object_first(entry.object);
  for (; other != nullptr; other = group.object_next(*other)) unfollow(*other);
}

void CursorBook::attach(CursorEntry& entry, Offset end) {
  EVENTRELAY_ASSERT(entry.open() && end >= entry.swept && end > entry.from);
  entry.end = end;
  mark(entry);
  note(entry);
}

void CursorBook::attach_if_there(CursorEntry& entry, Offset live) {
  if (!entry.open() || !entry.durable || entry.replays() || !entry.returned.empty()) return;
  if (entry.state != EntryState::Detached) return;
  // Events that the live path passes unasked were skipped for this entry: it must have them first.
  const Offset top = limit(entry);
  if (top == kNever && live < ahead.to) return;
  const Offset end = top == kNever ? live : top;
  // Nor may an object's entry end below what a whole one has passed because of it, or leave
  // events to one that is not written yet.
  for (const CursorEntry* const whole : entry.group->whole) {
    if (!entry.whole && (reach(*whole) > entry.swept || !whole->durable)) return;
  }
  if (entry.swept >= end && end > entry.from) attach(entry, entry.swept);
}

void CursorBook::calm(CursorEntry& entry) {
  entry.state = EntryState::Detached;
  entry.attempt = 0;
  entry.due = TimePoint{};
  entry.due_wall = WallTime{};
  entry.changed = true;
}

void CursorBook::hand_over(CursorEntry& entry, const ChainJob& job) {
  if (entry.durable) return drop_job(*entry.group, job);
  if (entry.takes_over == nullptr) entry.takes_over = std::make_unique<std::vector<ChainJob>>();
  entry.takes_over->push_back(job);
}

void CursorBook::take_over(CursorEntry& entry) {
  if (entry.takes_over == nullptr) return;
  for (const ChainJob& job : *entry.takes_over) drop_job(*entry.group, job);
  entry.takes_over.reset();
}

// A live job may be pinned in the entry that took its subscription off the live path.
void CursorBook::drop_job(CursorGroup& group, const ChainJob& job) {
  if (CursorEntry* const owner = table.find(job.owner)) {
    owner->out.erase(job.at);
    return note(*owner);
  }
  for (CursorEntry* const entry : group.whole) {
    if (entry->covers(job.at) && entry->out.erase(job.at)) note(*entry);
  }
}

namespace {

// Nothing that could be read again, after a crash either, needs it any more.
bool needless(const CursorEntry& entry, Offset ledger) {
  if (!entry.over_acked || entry.ending || entry.writing || entry.queued) return false;
  if (entry.forgotten || entry.replays()) return true;
  if (ledger < entry.end) return false;
  for (const CursorEntry* const other : entry.group->whole) {
    if (other == &entry || other->over_acked || other->from >= entry.end) continue;
    if (entry.whole) {
      // Its being there tells a reader of the log that the other one has ended.
      if (other->from < entry.from && !other->end_acked) return false;
    } else if (other->open() || other->end > entry.from) {
      // It would hand out again what the entry for the object has done.
      const Offset both = other->open() ? entry.end : std::min(entry.end, other->end);
      if (other->acked_cursor < both) return false;
    }
  }
  if (entry.whole) return true;
  const CursorGroup& group = *entry.group;
  const CursorEntry* one = group.object_first(entry.object);
  for (; one != nullptr; one = group.object_next(*one)) {
    if (one->from < entry.from && !one->end_acked) return false;
  }
  return true;
}

}  // namespace

void CursorBook::retire() {
  for (const auto& entry : table.slots()) {
    if (entry == nullptr || !entry->over || !needless(*entry, writes.ledger)) continue;
    entry->ending = true;
    mark(*entry);
  }
}

}  // namespace eventrelay::relay
