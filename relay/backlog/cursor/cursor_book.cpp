#include "relay/backlog/cursor/cursor_book.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>

#include "common/base/assert.hpp"

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

// Entries as records: the cursor, and what is done above it as run lengths.

namespace {

constexpr std::string_view kFormat = "1:";
constexpr std::int64_t kRunMax = std::int64_t{1} << 40U;
constexpr std::size_t kReturnedMax = 1 << 16;  // unfinished offsets read back of one entry

// Appends one pair if it fits.
bool append_pair(std::int64_t unfinished, std::int64_t finished, std::string& out) {
  std::string pair = out.empty() ? std::string(kFormat) : std::string(",");
  pair += std::to_string(unfinished) + ',' + std::to_string(finished);
  if (out.size() + pair.size() > kRangesMax) return false;
  out += pair;
  return true;
}

// Takes one number and the comma behind it off the front of `text`.
std::optional<std::int64_t> take_number(std::string_view& text, std::int64_t least) {
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || number < least || number > kRunMax) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  if (text.empty()) return number;
  if (text.front() != ',' || text.size() == 1) return std::nullopt;
  text.remove_prefix(1);
  return number;
}

}  // namespace

StateRecord CursorBook::record(const CursorEntry& entry) const {
  StateRecord record;
  record.subscription = entry.group->subscription;
  if (!entry.whole) record.object = entry.object;
  record.state = entry.state;
  record.from = entry.from;
  record.cursor = cursor(entry);
  if (!entry.open()) record.end = entry.end;
  if (entry.due_wall != WallTime{}) record.due = entry.due_wall;
  record.attempt = entry.attempt;
  record.since = entry.since;
  record.reason = table.reason(entry.reason);
  record.ranges = ranges(entry);
  return record;
}

// `1:<unfinished>,<finished>,...` from the cursor on; what does not fit is left out at the far end.
std::string CursorBook::ranges(const CursorEntry& entry) const {
  std::vector<Offset> open;
  const std::vector<Offset>& out = entry.out.all();
  const std::vector<Offset>& returned = entry.returned.all();
  open.reserve(out.size() + returned.size());
  std::merge(out.begin(), out.end(), returned.begin(), returned.end(), std::back_inserter(open));
  const std::int64_t to = reach(entry).value;
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

bool CursorBook::restore(CursorEntry& entry, std::string_view ranges) {
  if (!ranges.starts_with(kFormat) || ranges.size() > kRangesMax) return false;
  ranges.remove_prefix(kFormat.size());
  std::vector<Offset> returned;
  std::int64_t at = entry.swept.value;
  while (!ranges.empty()) {
    // A ledger may begin with what is done.
    const std::int64_t least = returned.empty() && at == entry.swept.value ? 0 : 1;
    const auto unfinished = take_number(ranges, least);
    if (!unfinished || ranges.empty()) return false;
    const auto finished = take_number(ranges, 1);
    if (!finished) return false;
    if (returned.size() + static_cast<std::size_t>(*unfinished) > kReturnedMax) break;
    for (std::int64_t i = 0; i < *unfinished; ++i) returned.push_back(Offset{at + i});
    at += *unfinished + *finished;
    if (!entry.open() && at > entry.end.value) return false;
  }
  for (const Offset offset : returned) entry.returned.insert(offset);
  entry.swept = Offset{at};
  return true;
}

}  // namespace eventrelay::relay
