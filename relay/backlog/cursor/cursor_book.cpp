#include "relay/backlog/cursor/cursor_book.hpp"

#include <algorithm>
#include <iterator>

#include "common/base/assert.hpp"
#include "relay/record/number_list.hpp"

namespace eventrelay::relay {

namespace {

Offset next_of(Offset at) {
  return Offset{at.value + 1};
}

}  // namespace

Offset CursorBook::reach(const BacklogCursor& cursor) const {
  if (!cursor.following) return cursor.reread;
  Offset to = std::min(catch_up.position, limit(cursor));
  if (catch_up.expire) {
    to = std::min(to, catch_up.below);
  } else if (cursor.state == CursorState::Blocked) {
    to = std::min(to, next_of(cursor.blocked_at));
  }
  return std::max(cursor.reread, to);
}

Offset CursorBook::limit(const BacklogCursor& cursor) const {
  if (!cursor.open()) return cursor.end;
  if (cursor.whole) return kNever;
  // Later events of the object belong to the cursor of the whole subscription, which this one
  // catches up with.
  const BacklogCursor* const whole = cursor.group->open_whole();
  if (whole == nullptr) return kNever;
  // It never ends before the event that names it: after a restart the whole one may stand below.
  const bool blocked = cursor.state == CursorState::Blocked;
  const Offset least = next_of(blocked ? cursor.blocked_at : cursor.from);
  return std::max({cursor.reread, reach(*whole), least});
}

Offset CursorBook::position(const BacklogCursor& cursor) const {
  Offset lowest = reach(cursor);
  if (!cursor.out.empty()) lowest = std::min(lowest, cursor.out.front());
  if (!cursor.returned.empty()) lowest = std::min(lowest, cursor.returned.front());
  return lowest;
}

// What the catch-up read has passed without offering it is not in the log any more.
std::optional<Offset> CursorBook::first_returned(const BacklogCursor& cursor) const {
  const std::vector<Offset>& all = cursor.returned.all();
  const bool passes = cursor.following && cursor.state != CursorState::Blocked;
  const auto first =
      passes ? std::lower_bound(all.begin(), all.end(), catch_up.position) : all.begin();
  if (first == all.end()) return std::nullopt;
  return *first;
}

std::optional<Offset> CursorBook::place(const BacklogCursor& cursor, Offset live) const {
  if (cursor.over) return std::nullopt;
  std::optional<Offset> at = first_returned(cursor);
  if (cursor.state == CursorState::Blocked && !catch_up.expire) {
    if (cursor.out.contains(cursor.blocked_at)) return std::nullopt;
    at = cursor.blocked_at;
  } else if (!at && reach(cursor) < limit(cursor)) {
    at = reach(cursor);
  }
  if (at && *at >= live) return std::nullopt;
  return at;
}

bool CursorBook::undispatched(const BacklogCursor& cursor) const {
  if (cursor.over || cursor.open()) return false;
  if (cursor.expiring) return true;
  if (cursor.state == CursorState::Blocked && !cursor.out.contains(cursor.blocked_at)) return true;
  return first_returned(cursor) || reach(cursor) < cursor.end;
}

bool CursorBook::wants(const BacklogCursor& cursor, Offset at) const {
  if (!cursor.following || cursor.out.contains(at)) return false;
  if (at >= limit(cursor) || (catch_up.expire && at >= catch_up.below)) return false;
  if (at < cursor.reread && !cursor.returned.contains(at)) return false;
  return cursor.state != CursorState::Blocked || catch_up.expire || at == cursor.blocked_at;
}

void CursorBook::mark(BacklogCursor& cursor) {
  if (cursor.sync == RecordSync::Writing) cursor.sync = RecordSync::WritingAndDue;
  if (cursor.sync != RecordSync::Idle) return;
  cursor.sync = RecordSync::Due;
  writes.queue.push_back(DueRecord{cursor.id});
}

void CursorBook::note(BacklogCursor& cursor) {
  cursor.changed = true;
  if (cursor.out.empty()) cursor.expiring = false;
  if (cursor.over || cursor.open() || !cursor.durable() || !cursor.out.empty()) return;
  if (first_returned(cursor) || reach(cursor) < cursor.end) return;
  if (cursor.following) return unfollow(cursor);  // and comes back here
  cursor.over = true;
  if (!cursor.whole) ++cursor.group->objects_over;
  mark(cursor);
}

void CursorBook::follow(BacklogCursor& cursor) {
  cursor.following = true;
  cursor.follow_index = static_cast<std::uint32_t>(catch_up.following.size());
  catch_up.following.push_back(&cursor);
}

void CursorBook::unfollow(BacklogCursor& cursor) {
  if (!cursor.following) return;
  const Offset to = reach(cursor);
  cursor.following = false;
  BacklogCursor* const last = catch_up.following.back();
  catch_up.following[cursor.follow_index] = last;
  last->follow_index = cursor.follow_index;
  catch_up.following.pop_back();
  cursor.changed = cursor.changed || to != cursor.reread;
  cursor.reread = to;
  if (cursor.state != CursorState::Blocked || catch_up.expire) {
    cursor.returned.erase_below(catch_up.expire ? std::min(catch_up.position, catch_up.below)
                                                : catch_up.position);
  } else if (catch_up.position > cursor.blocked_at) {
    cursor.returned.erase(cursor.blocked_at);  // handed out, or not in the log any more
  }
  const Offset at = cursor.blocked_at;
  const bool lost = !cursor.out.contains(at) && !cursor.returned.contains(at) && cursor.reread > at;
  if (cursor.state == CursorState::Blocked && lost) calm(cursor);
  if (!cursor.open() && to >= cursor.end) note(cursor);
}

void CursorBook::unfollow_alike(BacklogCursor& cursor) {
  CursorGroup& group = *cursor.group;
  if (cursor.whole) {
    for (BacklogCursor* const other : group.whole) unfollow(*other);
    return;
  }
  BacklogCursor* other = group.objects.find(cursor.object);
  for (; other != nullptr; other = group.objects.next(*other)) unfollow(*other);
}

void CursorBook::attach(BacklogCursor& cursor, Offset end) {
  EVENTRELAY_ASSERT(cursor.open() && end >= cursor.reread && end > cursor.from);
  cursor.end = end;
  mark(cursor);
  note(cursor);
}

void CursorBook::attach_if_there(BacklogCursor& cursor, Offset live) {
  if (!cursor.open() || !cursor.durable() || cursor.replays() || !cursor.returned.empty()) return;
  if (cursor.state != CursorState::Detached) return;
  // The live path passes events that this cursor answers for, so the cursor must have them first.
  const Offset top = limit(cursor);
  if (top == kNever && live < ahead.to) return;
  const Offset end = top == kNever ? live : top;
  // Nor may an object's cursor end below what a whole one has passed because of it, or leave
  // events to one that is not written yet.
  for (const BacklogCursor* const whole : cursor.group->whole) {
    if (!cursor.whole && (reach(*whole) > cursor.reread || !whole->durable())) return;
  }
  if (cursor.reread >= end && end > cursor.from) attach(cursor, cursor.reread);
}

void CursorBook::calm(BacklogCursor& cursor) {
  cursor.state = CursorState::Detached;
  cursor.attempt = 0;
  cursor.due = TimePoint{};
  cursor.due_wall = WallTime{};
  cursor.changed = true;
}

void CursorBook::hand_over(BacklogCursor& cursor, const ChainJob& job) {
  if (cursor.durable()) return drop_job(*cursor.group, job);
  if (cursor.takes_over == nullptr) cursor.takes_over = std::make_unique<std::vector<ChainJob>>();
  cursor.takes_over->push_back(job);
}

void CursorBook::ownership(BacklogCursor& cursor) {
  if (cursor.takes_over == nullptr) return;
  for (const ChainJob& job : *cursor.takes_over) drop_job(*cursor.group, job);
  cursor.takes_over.reset();
}

// A live job may be pinned in the cursor that took its subscription off the live path.
void CursorBook::drop_job(CursorGroup& group, const ChainJob& job) {
  if (BacklogCursor* const owner = table.find(job.owner)) {
    owner->out.erase(job.at);
    return note(*owner);
  }
  for (BacklogCursor* const cursor : group.whole) {
    if (cursor->covers(job.at) && cursor->out.erase(job.at)) note(*cursor);
  }
}

namespace {

// No record that could be read again, also after a crash, needs this one any more.
bool needless(const BacklogCursor& cursor, Offset ledger) {
  if (!cursor.acked || !cursor.acked->over || cursor.sync != RecordSync::Idle) return false;
  if (cursor.forgotten || cursor.replays()) return true;
  if (ledger < cursor.end) return false;
  for (const BacklogCursor* const other : cursor.group->whole) {
    const CursorSnapshot acked = other->acked.value_or(CursorSnapshot{Offset{-1}, false, false});
    if (other == &cursor || acked.over || other->from >= cursor.end) continue;
    if (cursor.whole) {
      // Its record tells a reader of the log that the other cursor has ended.
      if (other->from < cursor.from && !acked.ended) return false;
    } else if (other->open() || other->end > cursor.from) {
      // Without this record the other one would hand out again what this one has done.
      const Offset both = other->open() ? cursor.end : std::min(cursor.end, other->end);
      if (acked.position < both) return false;
    }
  }
  if (cursor.whole) return true;
  const CursorGroup& group = *cursor.group;
  const BacklogCursor* one = group.objects.find(cursor.object);
  for (; one != nullptr; one = group.objects.next(*one)) {
    if (one->from < cursor.from && !(one->acked && one->acked->ended)) return false;
  }
  return true;
}

}  // namespace

void CursorBook::retire() {
  for (const auto& cursor : table.slots()) {
    if (cursor == nullptr || !cursor->over || !needless(*cursor, writes.ledger)) continue;
    cursor->sync = RecordSync::TombstoneDue;
    writes.queue.push_back(DueRecord{cursor->id});
  }
}

// Cursors as records: the position, and what is done above it as run lengths.

namespace {

constexpr std::string_view kFormat = "1:";
constexpr std::int64_t kRunMax = std::int64_t{1} << 40U;
constexpr std::size_t kReturnedMax = 1 << 16;  // unfinished offsets read back of one cursor

// Appends one pair if it fits.
bool append_pair(std::int64_t unfinished, std::int64_t finished, std::string& out) {
  std::string pair = out.empty() ? std::string(kFormat) : std::string(",");
  pair += std::to_string(unfinished) + ',' + std::to_string(finished);
  if (out.size() + pair.size() > kRangesMax) return false;
  out += pair;
  return true;
}

}  // namespace

StateRecord CursorBook::record(const BacklogCursor& cursor) const {
  StateRecord record;
  record.subscription = cursor.group->subscription;
  if (!cursor.whole) record.object = cursor.object;
  record.state = cursor.state;
  record.from = cursor.from;
  record.position = position(cursor);
  if (!cursor.open()) record.end = cursor.end;
  if (cursor.due_wall != WallTime{}) record.due = cursor.due_wall;
  record.attempt = cursor.attempt;
  record.since = cursor.since;
  record.reason = table.reason(cursor.reason);
  record.ranges = ranges(cursor);
  return record;
}

// `1:<unfinished>,<finished>,...` from the position on; what does not fit is left out at the far
// end.
std::string CursorBook::ranges(const BacklogCursor& cursor) const {
  std::vector<Offset> open;
  const std::vector<Offset>& out = cursor.out.all();
  const std::vector<Offset>& returned = cursor.returned.all();
  open.reserve(out.size() + returned.size());
  std::merge(out.begin(), out.end(), returned.begin(), returned.end(), std::back_inserter(open));
  const std::int64_t to = reach(cursor).value;
  std::string text;
  for (std::size_t i = 0; i < open.size() && open[i].value < to;) {
    const std::int64_t first = open[i].value;
    std::int64_t next = first;
    for (; i < open.size() && open[i].value == next; ++i) ++next;
    const std::int64_t done_to = i < open.size() ? std::min(open[i].value, to) : to;
    if (done_to <= next) break;
    if (!append_pair(next - first, done_to - next, text)) break;
  }
  return text;
}

bool CursorBook::restore(BacklogCursor& cursor, std::string_view ranges) {
  if (!ranges.starts_with(kFormat) || ranges.size() > kRangesMax) return false;
  ranges.remove_prefix(kFormat.size());
  std::vector<Offset> returned;
  std::int64_t at = cursor.reread.value;
  while (!ranges.empty()) {
    // A ledger may begin with what is done.
    const std::int64_t least = returned.empty() && at == cursor.reread.value ? 0 : 1;
    const auto unfinished = take_number(ranges, least, kRunMax);
    if (!unfinished || ranges.empty()) return false;
    const auto finished = take_number(ranges, 1, kRunMax);
    if (!finished) return false;
    if (returned.size() + static_cast<std::size_t>(*unfinished) > kReturnedMax) break;
    for (std::int64_t i = 0; i < *unfinished; ++i) returned.push_back(Offset{at + i});
    at += *unfinished + *finished;
    if (!cursor.open() && at > cursor.end.value) return false;
  }
  for (const Offset offset : returned) cursor.returned.insert(offset);
  cursor.reread = Offset{at};
  return true;
}

}  // namespace eventrelay::relay
