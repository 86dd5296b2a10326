#include "relay/backlog/cursor/cursors.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/base/assert.hpp"

namespace eventrelay::relay {

namespace {

constexpr std::string_view kOrder = "order";

// Lets the cursor end where the next one for the same subscription or object begins.
void end_before_next(const CursorGroup& group, BacklogCursor& cursor) {
  const auto take = [&cursor](const BacklogCursor& other) {
    if (other.from <= cursor.from) return;
    if (cursor.open() || other.from < cursor.end) cursor.end = other.from;
  };
  if (cursor.whole) {
    for (const BacklogCursor* const other : group.whole) take(*other);
    return;
  }
  const BacklogCursor* other = group.objects.find(cursor.object);
  for (; other != nullptr; other = group.objects.next(*other)) take(*other);
}

}  // namespace

// --- take-over -----------------------------------------------------------------------------------

void Cursors::load(const StateRecord& record, const Moment& moment) {
  CursorGroup& group = book_.table.group(record.subscription);
  auto cursor = std::make_unique<BacklogCursor>();
  cursor->whole = !record.object;
  if (record.object) cursor->object = *record.object;
  cursor->state = record.state;
  cursor->from = record.from;
  cursor->reread = record.position;
  cursor->blocked_at = record.position;
  if (record.end) cursor->end = *record.end;
  if (record.due) {
    cursor->due_wall = *record.due;
    cursor->due = moment.now + Duration(*record.due - moment.wall);
  }
  cursor->attempt = record.attempt;
  cursor->since = record.since;
  cursor->reason = book_.table.reason(record.reason);
  cursor->written = cursor->acked =
      CursorSnapshot{record.position, record.end.has_value(), record.complete()};
  CursorBook::restore(*cursor, record.ranges);
  BacklogCursor& added = book_.table.add(group, std::move(cursor));
  if (!record.complete()) return;
  added.over = true;
  if (!added.whole) ++group.objects_over;
}

// A later cursor for the same is only made once the earlier one is attached, so an open cursor ends
// where the later one begins.
void Cursors::loaded() {
  for (const auto& cursor : book_.table.slots()) {
    if (cursor == nullptr || cursor->replays() || !cursor->open()) continue;
    end_before_next(*cursor->group, *cursor);
    if (cursor->open()) continue;
    cursor->reread = std::min(cursor->reread, cursor->end);
    book_.mark(*cursor);
    book_.note(*cursor);
  }
}

void Cursors::ledger_restored(Offset committed, std::string_view metadata) {
  BacklogCursor ledger;  // the same run lengths
  ledger.reread = committed;
  if (!CursorBook::restore(ledger, metadata)) return;
  book_.ahead.to = ledger.reread;
  book_.ahead.unfinished = std::move(ledger.returned);
}

// --- the live path -------------------------------------------------------------------------------

bool Cursors::has_cursors(std::string_view subscription) const {
  return book_.table.find(subscription) != nullptr;
}

Cover Cursors::cover(const EventKey& key, Offset at) const {
  const CursorGroup* const group = book_.table.find(key.subscription);
  if (group == nullptr) return Cover::None;
  const BacklogCursor* const whole = group->whole_at(at);
  const BacklogCursor* const object = group->object_at(key.object, at);
  if (whole == nullptr && object == nullptr) return Cover::None;
  const bool durable =
      (whole != nullptr && whole->durable()) || (object != nullptr && object->durable());
  return durable ? Cover::Durable : Cover::NotYet;
}

Cover Cursors::meet(const EventKey& key, Offset at, const Moment& moment) {
  if (book_.table.empty()) return Cover::None;
  const Cover cover = this->cover(key, at);
  if (cover != Cover::None || key.ordering == Ordering::None) return cover;
  CursorGroup* const group = book_.table.find(key.subscription);
  if (group == nullptr) return Cover::None;
  group->ordering = key.ordering;
  const bool whole_waits = std::any_of(group->whole.begin(), group->whole.end(),
                                       [this, at](const BacklogCursor* cursor) {
                                         return cursor->end <= at && book_.undispatched(*cursor);
                                       });
  if (whole_waits) {
    make(*group, nullptr, at, moment);
    return Cover::NotYet;
  }
  if (key.ordering != Ordering::Object || !later_waits(*group, key, at)) return Cover::None;
  make(*group, &key, at, moment);
  return Cover::NotYet;
}

// An earlier cursor of the object has ended and not handed out everything.
bool Cursors::later_waits(const CursorGroup& group, const EventKey& key, Offset at) const {
  const BacklogCursor* cursor = group.objects.find(key.object);
  for (; cursor != nullptr; cursor = group.objects.next(*cursor)) {
    if (cursor->end <= at && book_.undispatched(*cursor)) return true;
  }
  return false;
}

void Cursors::live_ended(std::string_view subscription, Offset at) {
  CursorGroup* const group = book_.table.find(subscription);
  if (group == nullptr) return;
  for (BacklogCursor* const cursor : group->whole) {
    if (!cursor->out.erase(at)) continue;
    ++book_.writes.finished;
    return book_.note(*cursor);
  }
}

void Cursors::committed(Offset next) {
  book_.writes.ledger = next;
  book_.retire();
}

// --- leaving the live path -----------------------------------------------------------------------

// `object`: its key; null: the whole subscription.
BacklogCursor& Cursors::make(CursorGroup& group, const EventKey* object, Offset from,
                             const Moment& moment) {
  auto cursor = std::make_unique<BacklogCursor>();
  cursor->whole = object == nullptr;
  if (object != nullptr) cursor->object = object->object;
  cursor->from = cursor->reread = from;
  cursor->since = moment.wall;
  cursor->reason = book_.table.reason(kOrder);
  end_before_next(group, *cursor);
  BacklogCursor& added = book_.table.add(group, std::move(cursor));
  book_.mark(added);
  if (added.whole) skip_ahead(added, from);
  return added;
}

// What a former owner had finished from `at` on stays finished.
void Cursors::skip_ahead(BacklogCursor& cursor, Offset at) const {
  const Offset to = cursor.open() ? book_.ahead.to : std::min(book_.ahead.to, cursor.end);
  cursor.reread = std::max(at, to);
  for (const Offset offset : book_.ahead.unfinished.all()) {
    if (offset >= at && offset < to) cursor.returned.insert(offset);
  }
}

namespace {

// From `untouched` on the cursor has everything still to do, so a position says it instead of a
// list.
void shorten(BacklogCursor& cursor, Offset untouched) {
  if (untouched < cursor.from || untouched >= cursor.reread) return;
  if (!cursor.out.empty() && cursor.out.all().back() >= untouched) return;
  cursor.returned.erase_from(untouched);
  cursor.reread = untouched;
}

}  // namespace

// The cursor that answers for an unfinished live job, made if there is none.
BacklogCursor& Cursors::fold(CursorGroup& group, const Detach& detach, Offset at,
                             const Moment& moment) {
  if (BacklogCursor* const known = group.whole_at(at)) {
    if (detach.state == CursorState::Paused && known->state != CursorState::Paused &&
        !known->over) {
      book_.unfollow(*known);
      book_.calm(*known);
      known->state = CursorState::Paused;
      known->since = moment.wall;
      known->reason = book_.table.reason(detach.reason);
      book_.mark(*known);
    }
    return *known;
  }
  BacklogCursor& made = make(group, nullptr, at, moment);
  made.state = detach.state;
  made.reason = book_.table.reason(detach.reason);
  made.returned.clear();
  skip_ahead(made, made.open() ? detach.live : std::min(made.end, detach.live));
  // An event that an object's cursor takes over stays unfinished here until that cursor is written.
  for (const auto& other : book_.table.slots()) {
    if (other == nullptr || other->group != &group || other->takes_over == nullptr) continue;
    for (const ChainJob& job : *other->takes_over) {
      if (job.owner == kLivePath && made.covers(job.at)) made.out.insert(job.at);
    }
  }
  return made;
}

CursorId Cursors::detach(const Detach& detach, const Moment& moment) {
  CursorGroup& group = book_.table.group(detach.subscription);
  group.ordering = detach.ordering;
  std::vector<BacklogCursor*> made;
  const auto cursor_at = [&](Offset at) -> BacklogCursor& {
    const bool is_new = group.whole_at(at) == nullptr;
    BacklogCursor& cursor = fold(group, detach, at, moment);
    if (is_new) made.push_back(&cursor);
    return cursor;
  };
  std::vector<Offset> named(detach.queued.begin(), detach.queued.end());
  named.insert(named.end(), detach.held.begin(), detach.held.end());
  std::sort(named.begin(), named.end());
  for (const Offset at : named) static_cast<void>(cursor_at(at));
  for (const Offset at : detach.queued) {
    BacklogCursor& cursor = cursor_at(at);
    book_.unfollow(cursor);
    cursor.out.erase(at);
    if (at < cursor.reread) cursor.returned.insert(at);
    cursor.changed = true;
  }
  for (const Offset at : detach.held) {
    BacklogCursor& cursor = cursor_at(at);
    cursor.out.insert(at);
    cursor.changed = true;
  }
  BacklogCursor& last = cursor_at(detach.live);
  // Later events of the same order stop in a catch-up read that is under way.
  if (detach.ordering != Ordering::None) book_.unfollow_alike(last);
  const CursorId id = last.id;
  for (BacklogCursor* const cursor : made) {
    if (detach.live >= book_.ahead.to) shorten(*cursor, detach.untouched);
  }
  return id;
}

std::optional<CursorId> Cursors::block(const Block& block, const Moment& moment) {
  CursorGroup& group = book_.table.group(block.key.subscription);
  group.ordering = block.key.ordering;
  const bool whole = block.key.ordering == Ordering::Instance;
  const auto cursor_at = [&](Offset at) {
    return whole ? group.whole_at(at) : group.object_at(block.key.object, at);
  };
  const auto put = [&](const ChainJob& job) -> BacklogCursor& {
    BacklogCursor* cursor = cursor_at(job.at);
    if (cursor == nullptr) cursor = &make(group, whole ? nullptr : &block.key, job.at, moment);
    book_.unfollow(*cursor);
    if (cursor->out.erase(job.at) || job.owner == cursor->id || job.at < cursor->reread) {
      cursor->returned.insert(job.at);
    }
    if (job.owner != cursor->id) book_.hand_over(*cursor, job);
    if (cursor->out.empty()) cursor->expiring = false;
    cursor->changed = true;
    return *cursor;
  };
  const bool full = !whole && group.objects.size() >= bounds_.blocked_max;
  if (full && cursor_at(block.at) == nullptr) return std::nullopt;
  BacklogCursor& cursor = put(ChainJob{block.at, block.owner});
  book_.unfollow_alike(cursor);
  for (const ChainJob& job : block.chain) static_cast<void>(put(job));
  cursor.since = block.first_failure;
  cursor.reason = book_.table.reason(block.reason);
  book_.mark(cursor);
  if (cursor.state == CursorState::Paused) return cursor.id;
  cursor.state = CursorState::Blocked;
  cursor.blocked_at = block.at;
  cursor.attempt = block.attempt;
  cursor.due_wall = block.due;
  cursor.due = moment.now + Duration(block.due - moment.wall);
  return cursor.id;
}

void Cursors::give_back(CursorId id, std::span<const Offset> offsets, const Pause& pause) {
  BacklogCursor* const cursor = book_.table.find(id);
  if (cursor == nullptr) return;
  book_.unfollow(*cursor);
  if (cursor->group->ordering != Ordering::None) book_.unfollow_alike(*cursor);
  for (const Offset at : offsets) {
    if (cursor->out.erase(at)) cursor->returned.insert(at);
  }
  if (cursor->out.empty()) cursor->expiring = false;
  if (pause.not_before) cursor->due = std::max(cursor->due, *pause.not_before);
}

void Cursors::done(CursorId id, Offset at) {
  BacklogCursor* const cursor = book_.table.find(id);
  if (cursor == nullptr || !cursor->out.erase(at)) return;
  ++book_.writes.finished;
  if (cursor->state == CursorState::Blocked && at == cursor->blocked_at) book_.calm(*cursor);
  book_.note(*cursor);
}

bool Cursors::resume(std::string_view subscription) {
  CursorGroup* const group = book_.table.find(subscription);
  if (group == nullptr || !group->is_paused()) return false;
  for (BacklogCursor* const cursor : group->whole) {
    if (cursor->state != CursorState::Paused || cursor->over) continue;
    cursor->state = CursorState::Detached;
    book_.mark(*cursor);
  }
  return true;
}

bool Cursors::is_paused(std::string_view subscription) const {
  const CursorGroup* const group = book_.table.find(subscription);
  return group != nullptr && group->is_paused();
}

std::optional<WallTime> Cursors::paused_since(std::string_view subscription) const {
  const CursorGroup* const group = book_.table.find(subscription);
  std::optional<WallTime> since;
  if (group == nullptr) return since;
  for (const BacklogCursor* const cursor : group->whole) {
    if (cursor->state != CursorState::Paused || cursor->over) continue;
    since = std::max(since.value_or(cursor->since), cursor->since);
  }
  return since;
}

bool Cursors::goes_on(CursorId id) const {
  const BacklogCursor* const cursor = book_.table.find(id);
  return cursor != nullptr && cursor->whole && cursor->open();
}

void Cursors::forget_unless(const std::function<bool(std::string_view)>& is_known) {
  for (const auto& cursor : book_.table.slots()) {
    if (cursor == nullptr || cursor->forgotten || is_known(cursor->group->subscription)) continue;
    book_.unfollow(*cursor);
    const Offset end = cursor->open() ? book_.reach(*cursor) : cursor->end;
    cursor->out.clear();
    cursor->returned.clear();
    cursor->takes_over.reset();
    cursor->reread = cursor->end = std::max(end, cursor->reread);
    cursor->forgotten = true;
    if (!cursor->over && !cursor->whole) ++cursor->group->objects_over;
    cursor->over = true;
    book_.mark(*cursor);
  }
}

void Cursors::begin_anew() {
  const auto& slots = book_.table.slots();
  WriteState& writes = book_.writes;
  std::erase_if(writes.queue, [](const DueRecord& due) { return due.cursor != kLivePath; });
  for (std::size_t i = 0; i < slots.size(); ++i) {
    BacklogCursor* const cursor = slots[i];
    if (cursor == nullptr) continue;
    book_.unfollow(*cursor);
    if (cursor->writing()) --writes.writing;  // its acknowledgement finds nobody
    const StateRecord record = book_.record(*cursor);
    writes.queue.push_back(
        DueRecord{kLivePath, state_key(record.subscription, record.object, record.from)});
    book_.table.erase(*cursor);
  }
  writes.ledger = Offset{-1};
  book_.ahead = {};
}

// The catch-up read's side of Cursors: which are ready, which take an event, which are deferred.

namespace {

// Finds the cursors of one subscription that are ready. Thread: shard-local.  Bounds: O(cursors).
class ReadyCollector {
 public:
  ReadyCollector(CursorBook& book, const CursorGroup& group, Offset live, TimePoint now)
      : book_(book), group_(group), live_(live), now_(now) {}

  // `crowded`: too many objects are blocked to go on with the whole.
  void run(const ReadinessGate::Readiness& queue, bool crowded) {
    const bool ordered = group_.ordering != Ordering::None;
    bool waits = false;
    for (BacklogCursor* const cursor : group_.whole) {
      const bool ready = is_ready(*cursor) && !waits && !(crowded && cursor->open());
      if (ready) take(*cursor);
      const bool all = ready && cursor->state != CursorState::Blocked;
      waits = waits || (ordered && !all && book_.undispatched(*cursor));
    }
    group_.objects.for_each([&](BacklogCursor& cursor) {
      if (is_ready(cursor) && !(ordered && behind(cursor))) take(cursor);
    });
    if (!queue.replay_open) return;
    for (BacklogCursor* const cursor : group_.replays) {
      if (is_ready(*cursor)) take(*cursor);
    }
  }

  [[nodiscard]] Offset lowest() const { return lowest_; }

 private:
  [[nodiscard]] bool is_ready(const BacklogCursor& cursor) const {
    const bool holds = cursor.expiring && group_.ordering != Ordering::None;
    return cursor.durable() && !cursor.over && cursor.due <= now_ && !holds;
  }

  // An earlier cursor of its object will not hand out everything in this catch-up read.
  [[nodiscard]] bool behind(const BacklogCursor& cursor) const {
    const BacklogCursor* one = group_.objects.find(cursor.object);
    for (; one != nullptr; one = group_.objects.next(*one)) {
      if (one->from >= cursor.from || !book_.undispatched(*one)) continue;
      if (!is_ready(*one) || one->state == CursorState::Blocked) return true;
    }
    return false;
  }

  void take(BacklogCursor& cursor) {
    const auto place = book_.place(cursor, live_);
    if (!place) return;
    book_.follow(cursor);
    lowest_ = std::min(lowest_, *place);
  }

  CursorBook& book_;
  const CursorGroup& group_;
  Offset live_;
  TimePoint now_;
  Offset lowest_ = kNever;
};

}  // namespace

std::optional<Offset> Cursors::begin_catch_up(ReadinessGate& gate, Offset live,
                                              const Moment& moment) {
  EVENTRELAY_ASSERT(!book_.catch_up.active);
  // A cursor that stands at the live position needs no catch-up read: what lay between was for
  // others.
  for (const auto& cursor : book_.table.slots()) {
    if (cursor != nullptr) book_.attach_if_there(*cursor, live);
  }
  book_.catch_up.expire = false;
  book_.catch_up.position = Offset{0};
  Offset lowest = kNever;
  for (auto& [name, group] : book_.table.groups()) {
    if (group.is_paused()) continue;
    const ReadinessGate::Readiness queue = gate.look(name);
    group.ordering = queue.ordering;
    if (!queue.open || std::exchange(group.expire_next, false)) continue;
    ReadyCollector collect_ready(book_, group, live, moment.now);
    collect_ready.run(queue, group.objects.size() - group.objects_over >= bounds_.blocked_max);
    lowest = std::min(lowest, collect_ready.lowest());
  }
  if (book_.catch_up.following.empty()) return std::nullopt;
  book_.catch_up.active = true;
  book_.catch_up.position = lowest;
  return lowest;
}

namespace {

// Calls `visit` with every cursor that answers for events of the group.
template <class Visit>
void each_cursor(const CursorGroup& group, Visit visit) {
  for (BacklogCursor* const cursor : group.whole) visit(*cursor);
  group.objects.for_each(visit);
  for (BacklogCursor* const cursor : group.replays) visit(*cursor);
}

}  // namespace

bool Cursors::others_ready(ReadinessGate& gate, Offset live, const Moment& moment) const {
  for (const auto& [name, group] : book_.table.groups()) {
    if (group.is_paused()) continue;
    bool ready = false;
    each_cursor(group, [&](const BacklogCursor& cursor) {
      const bool due = cursor.durable() && !cursor.over && cursor.due <= moment.now;
      ready = ready || (due && !cursor.following && book_.place(cursor, live));
    });
    if (ready && gate.look(name).open) return true;
  }
  return false;
}

// Where order matters, nothing may overtake what is under way: that ends first, and nothing more is
// handed out meanwhile.
std::optional<Offset> Cursors::begin_expire(Offset below) {
  EVENTRELAY_ASSERT(!book_.catch_up.active);
  CatchUpState& catch_up = book_.catch_up;
  catch_up.expire = true;
  catch_up.below = below;
  catch_up.position = Offset{0};
  Offset lowest = kNever;
  for (auto& [name, group] : book_.table.groups()) {
    bool busy = false;
    bool near = false;
    each_cursor(group, [&](const BacklogCursor& cursor) {
      busy = busy || (!cursor.out.empty() && !cursor.expiring);
      near = near || (cursor.durable() && book_.place(cursor, below));
    });
    group.expire_next = near && busy && group.ordering != Ordering::None;
    if (!near || group.expire_next) continue;
    each_cursor(group, [&](BacklogCursor& cursor) {
      const auto place = book_.place(cursor, below);
      if (!place || !cursor.durable()) return;
      book_.follow(cursor);
      lowest = std::min(lowest, *place);
    });
  }
  if (catch_up.following.empty()) return std::nullopt;
  catch_up.active = true;
  catch_up.position = lowest;
  return lowest;
}

namespace {

// `whole` stands at `at`, and everything of the object below is handed out: it takes over here.
bool catches_up(const CursorBook& book, const BacklogCursor& object, const BacklogCursor& whole,
                Offset at) {
  if (!object.open() || !whole.open() || !object.following || !whole.following) return false;
  if (object.state == CursorState::Blocked && !book.catch_up.expire) return false;
  if (object.reread > at || at <= object.from) return false;
  if (!object.returned.empty() && object.returned.all().back() >= at) return false;
  return whole.reread <= at && book.wants(whole, at);
}

}  // namespace

void Cursors::offer(const EventKey& key, Offset at, const Moment& moment,
                    std::vector<CursorId>& takers) {
  book_.catch_up.position = std::max(book_.catch_up.position, at);
  CursorGroup* const group = book_.table.find(key.subscription);
  if (group == nullptr) return;
  for (const BacklogCursor* const cursor : group->replays) {
    if (book_.wants(*cursor, at)) takers.push_back(cursor->id);
  }
  BacklogCursor* const whole = group->whole_at(at);
  BacklogCursor* object = group->object_at(key.object, at);
  if (object != nullptr && whole != nullptr && catches_up(book_, *object, *whole, at)) {
    book_.attach(*object, at);
    object = nullptr;
  }
  const bool whole_wants = whole != nullptr && book_.wants(*whole, at);
  if (object == nullptr && whole_wants) {
    const bool ordered = key.ordering == Ordering::Object && !book_.catch_up.expire;
    if (!ordered || !later_waits(*group, key, at)) return takers.push_back(whole->id);
    object = &make(*group, &key, at, moment);
  }
  if (object == nullptr) return;
  if (whole_wants && !object->durable()) {
    // It stays unfinished here until the object's record is acknowledged.
    dispatched(whole->id, at);
    book_.hand_over(*object, ChainJob{at, whole->id});
  }
  if (book_.wants(*object, at)) takers.push_back(object->id);
}

void Cursors::dispatched(CursorId id, Offset at) {
  BacklogCursor* const cursor = book_.table.find(id);
  if (cursor == nullptr) return;
  EVENTRELAY_ASSERT(cursor->following);
  cursor->returned.erase(at);
  cursor->out.insert(at);
  cursor->reread = std::max(cursor->reread, Offset{at.value + 1});
  cursor->changed = true;
  cursor->expiring = book_.catch_up.expire;
  // A blocked one tries its event alone.
  if (cursor->state == CursorState::Blocked && !book_.catch_up.expire) book_.unfollow(*cursor);
}

void Cursors::defer(CursorId id, Offset at) {
  const BacklogCursor* const cursor = book_.table.find(id);
  if (cursor == nullptr) return;
  passed(at);
  const CursorGroup* const group = cursor->group;
  for (std::size_t i = book_.catch_up.following.size(); i > 0; --i) {
    BacklogCursor* const one = book_.catch_up.following[i - 1];
    if (one->group == group) book_.unfollow(*one);
  }
}

void Cursors::passed(Offset next) {
  book_.catch_up.position = std::max(book_.catch_up.position, next);
}

std::optional<Offset> Cursors::next_wanted() const {
  Offset lowest = kNever;
  for (const BacklogCursor* const cursor : book_.catch_up.following) {
    const auto place = book_.place(*cursor, kNever);
    if (place) lowest = std::min(lowest, std::max(*place, book_.catch_up.position));
  }
  if (lowest == kNever) return std::nullopt;
  return lowest;
}

void Cursors::end_catch_up(Offset live) {
  std::vector<CursorId> stood;
  while (!book_.catch_up.following.empty()) {
    BacklogCursor& cursor = *book_.catch_up.following.back();
    stood.push_back(cursor.id);
    book_.unfollow(cursor);
    book_.note(cursor);
  }
  book_.catch_up.active = false;
  if (book_.catch_up.expire) return;
  // The whole subscription's cursor comes first, since those of its objects end where it stands.
  for (const bool whole : {true, false}) {
    for (const CursorId id : stood) {
      BacklogCursor* const cursor = book_.table.find(id);
      if (cursor != nullptr && cursor->whole == whole) book_.attach_if_there(*cursor, live);
    }
  }
}

// The state topic's side of Cursors, and what a status page shows.

namespace {

constexpr std::uint64_t kStray = ~std::uint64_t{0};  // token of a tombstone without a cursor
// Token of the record before it, which nobody waits for: the tombstone stands behind it.
constexpr std::uint64_t kStrayOver = kStray - 1;

// A record for `key` that leaves nothing to do. The mark that makes a late record of an older owner
// not count may go in compaction before that record does; a tombstone alone, which has no epoch,
// would then leave it standing. Nothing if the key is none of ours.
std::optional<StateRecord> over_record(std::string_view key, StateEpoch epoch) {
  const auto at = key.rfind('@');
  if (at == std::string_view::npos) return std::nullopt;
  StateRecord record;
  const std::string_view digits = key.substr(at + 1);
  const auto [rest, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), record.from.value);
  if (error != std::errc{} || rest != digits.data() + digits.size()) return std::nullopt;
  const std::string_view names = key.substr(0, at);
  const auto bar = names.find('|');
  record.subscription = std::string(names.substr(0, bar));
  if (bar != std::string_view::npos) record.object = std::string(names.substr(bar + 1));
  record.position = record.from;
  record.end = record.from;
  record.epoch = epoch;
  if (state_key(record.subscription, record.object, record.from) != key) return std::nullopt;
  return record;
}

}  // namespace

void Cursors::commit(TimePoint now, CommitMode mode) {
  WriteState& writes = book_.writes;
  const bool all = mode == CommitMode::Exactly;
  const bool due = now - writes.committed_at >= bounds_.commit_interval;
  if (!all && !due && writes.finished < bounds_.commit_events) return;
  const std::uint32_t most = due ? bounds_.commit_records : bounds_.commit_records_early;
  if (all || due) writes.committed_at = now;
  writes.finished = 0;
  const auto& slots = book_.table.slots();
  std::uint32_t marked = 0;
  for (std::size_t seen = 0; seen < slots.size(); ++seen) {
    if (writes.next_slot >= slots.size()) writes.next_slot = 0;
    BacklogCursor* const cursor = slots[writes.next_slot++];
    if (cursor == nullptr || cursor->over || cursor->due_to_write()) continue;
    const bool moved = !cursor->written || book_.position(*cursor) != cursor->written->position;
    if (!cursor->changed && !moved) continue;
    book_.mark(*cursor);
    if (!all && ++marked >= most) return;
  }
}

// Its place in the queue is free once the tombstone is handed over.
StateWrite Cursors::next_of_stray() {
  WriteState& writes = book_.writes;
  DueRecord& due = writes.queue.front();
  if (!std::exchange(due.told, true)) {
    if (const auto record = over_record(due.stray, epoch_)) {
      return StateWrite{kStrayOver, due.stray, encode(*record)};
    }
  }
  StateWrite write{kStray, std::move(due.stray), {}};
  writes.queue.pop_front();
  ++writes.writing;
  return write;
}

std::optional<StateWrite> Cursors::next_write() {
  WriteState& writes = book_.writes;
  while (!writes.queue.empty()) {
    if (writes.queue.front().cursor == kLivePath) return next_of_stray();
    BacklogCursor* const cursor = book_.table.find(writes.queue.front().cursor);
    writes.queue.pop_front();
    if (cursor == nullptr) continue;
    const bool last = cursor->ending();
    cursor->sync = last ? RecordSync::TombstoneWriting : RecordSync::Writing;
    cursor->changed = false;
    ++writes.writing;
    StateRecord record = book_.record(*cursor);
    StateWrite write{
        cursor->id.value, state_key(record.subscription, record.object, record.from), {}};
    if (last) return write;
    cursor->written = CursorSnapshot{record.position, !cursor->open(), cursor->over};
    record.epoch = epoch_;
    write.value = encode(record);
    return write;
  }
  return std::nullopt;
}

bool Cursors::acknowledge(std::uint64_t token) {
  WriteState& writes = book_.writes;
  if (token == kStrayOver) return false;
  if (token == kStray) {
    --writes.writing;
    return false;
  }
  BacklogCursor* const cursor = book_.table.find(CursorId{token});
  if (cursor == nullptr || !cursor->writing()) return false;
  --writes.writing;
  if (cursor->ending()) {
    book_.unfollow(*cursor);
    book_.table.erase(*cursor);
    return false;
  }
  const bool again = cursor->due_to_write();
  cursor->sync = again ? RecordSync::Due : RecordSync::Idle;
  if (again) writes.queue.push_back(DueRecord{cursor->id});
  const bool first = !cursor->durable();
  cursor->acked = cursor->written;
  if (first) {
    book_.ownership(*cursor);
    const bool changed = cursor->changed;
    book_.note(*cursor);  // it may be over now, which alone needs no record
    cursor->changed = changed;
  }
  if (cursor->acked->over && cursor->forgotten) book_.retire();
  return first;
}

std::size_t Cursors::writes_pending() const noexcept {
  return book_.writes.writing + book_.writes.queue.size();
}

void Cursors::raise(StateEpoch epoch) {
  EVENTRELAY_ASSERT(epoch > epoch_);
  epoch_ = epoch;
  for (const auto& cursor : book_.table.slots()) {
    // A tombstone counts, even from an older owner.
    if (cursor == nullptr || cursor->ending() || !cursor->writing()) continue;
    cursor->sync = RecordSync::Idle;
    --book_.writes.writing;
    book_.mark(*cursor);
  }
}

void Cursors::write_all() {
  for (const auto& cursor : book_.table.slots()) {
    if (cursor != nullptr && !cursor->ending()) book_.mark(*cursor);
  }
}

Followed Cursors::followed(std::string_view key, std::optional<StateEpoch> epoch) {
  if (epoch && *epoch > epoch_) return Followed::Fenced;
  if (key == kOwnerKey || (epoch && *epoch == epoch_)) return Followed::Fine;
  if (BacklogCursor* const cursor = book_.table.find_key(key)) {
    if (cursor->ending()) return Followed::Fine;  // most likely our own tombstone; one more follows
    book_.mark(*cursor);
    return Followed::Repaired;
  }
  if (!epoch) return Followed::Fine;
  book_.writes.queue.push_back(DueRecord{kLivePath, std::string(key)});
  return Followed::Repaired;
}

std::optional<Handout> Cursors::handout(CursorId id) const {
  const BacklogCursor* const cursor = book_.table.find(id);
  if (cursor == nullptr) return std::nullopt;
  Handout handout;
  handout.state = cursor->state;
  if (cursor->state != CursorState::Blocked) return handout;
  handout.attempts_made = cursor->attempt;
  handout.first_failure = cursor->since;
  return handout;
}

std::vector<CursorStatus> Cursors::oldest(std::size_t max) const {
  std::vector<const BacklogCursor*> all;
  for (const auto& cursor : book_.table.slots()) {
    if (cursor != nullptr && !cursor->over) all.push_back(cursor.get());
  }
  const auto older = [](const BacklogCursor* one, const BacklogCursor* other) {
    return one->since < other->since || (one->since == other->since && one->id < other->id);
  };
  const std::size_t count = std::min(max, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count), all.end(),
                    older);
  std::vector<CursorStatus> statuses;
  for (std::size_t i = 0; i < count; ++i) {
    statuses.push_back(CursorStatus{book_.record(*all[i]), all[i]->out.all().size()});
  }
  return statuses;
}

void Cursors::for_each_waiting(Offset live,
                               const std::function<void(const WaitingRange&)>& visit) const {
  for (const auto& cursor : book_.table.slots()) {
    if (cursor == nullptr || cursor->over) continue;
    const StateRecord record = book_.record(*cursor);
    const std::int64_t left = record.end.value_or(live).value - record.position.value;
    if (left <= 0) continue;
    visit(WaitingRange{record.subscription, static_cast<std::uint64_t>(left), record.since});
  }
}

CursorCounts Cursors::counts() const {
  CursorCounts counts;
  for (const auto& cursor : book_.table.slots()) {
    if (cursor == nullptr) continue;
    if (cursor->replays()) {
      ++counts.replays;
    } else if (!cursor->open() && !book_.undispatched(*cursor)) {
      ++counts.attached;
    } else if (cursor->state == CursorState::Paused) {
      ++counts.paused;
    } else if (cursor->state == CursorState::Blocked || !cursor->whole) {
      ++counts.blocked;
    } else {
      ++counts.detached;
    }
  }
  return counts;
}

std::optional<Offset> Cursors::lowest_position() const {
  std::optional<Offset> lowest;
  for (const auto& cursor : book_.table.slots()) {
    if (cursor == nullptr || cursor->over) continue;
    const Offset at = book_.position(*cursor);
    if (!lowest || at < *lowest) lowest = at;
  }
  return lowest;
}

}  // namespace eventrelay::relay
