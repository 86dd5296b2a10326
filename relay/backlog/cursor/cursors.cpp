#include "relay/backlog/cursor/cursors.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "common/base/assert.hpp"

namespace eventrelay::relay {

namespace {

constexpr std::string_view kOrder = "order";

// The first offset behind `at` that another entry for the same begins with.
void end_before_next(const CursorGroup& group, CursorEntry& entry) {
  const auto take = [&entry](const CursorEntry& other) {
    if (other.from <= entry.from) return;
    if (entry.open() || other.from < entry.end) entry.end = other.from;
  };
  if (entry.whole) {
    for (const CursorEntry* const other : group.whole) take(*other);
    return;
  }
  const CursorEntry* other = group.object_first(entry.object);
  for (; other != nullptr; other = group.object_next(*other)) take(*other);
}

}  // namespace

// --- take-over -----------------------------------------------------------------------------------

void Cursors::load(const StateRecord& record, const Moment& moment) {
  CursorGroup& group = book_.table.group(record.subscription);
  auto entry = std::make_unique<CursorEntry>();
  entry->whole = !record.object;
  if (record.object) entry->object = *record.object;
  entry->state = record.state;
  entry->from = record.from;
  entry->swept = record.cursor;
  entry->blocked_at = record.cursor;
  if (record.end) entry->end = *record.end;
  if (record.due) {
    entry->due_wall = *record.due;
    entry->due = moment.now + Duration(*record.due - moment.wall);
  }
  entry->attempt = record.attempt;
  entry->since = record.since;
  entry->reason = book_.table.reason(record.reason);
  entry->durable = true;
  entry->written_cursor = entry->acked_cursor = record.cursor;
  entry->end_written = entry->end_acked = record.end.has_value();
  CursorBook::restore(*entry, record.ranges);
  CursorEntry& added = book_.table.add(group, std::move(entry));
  if (!record.complete()) return;
  added.over = added.over_written = added.over_acked = true;
  if (!added.whole) ++group.objects_over;
}

// An entry that went on when a later one for the same was made had been attached before.
void Cursors::loaded() {
  for (const auto& entry : book_.table.slots()) {
    if (entry == nullptr || entry->replays() || !entry->open()) continue;
    end_before_next(*entry->group, *entry);
    if (entry->open()) continue;
    entry->swept = std::min(entry->swept, entry->end);
    book_.mark(*entry);
    book_.note(*entry);
  }
}

void Cursors::ledger_restored(Offset committed, std::string_view metadata) {
  CursorEntry ledger;  // the same run lengths
  ledger.swept = committed;
  if (!CursorBook::restore(ledger, metadata)) return;
  book_.ahead.to = ledger.swept;
  book_.ahead.unfinished = std::move(ledger.returned);
}

// --- the live path -------------------------------------------------------------------------------

bool Cursors::has_entries(std::string_view subscription) const {
  return book_.table.find(subscription) != nullptr;
}

Cover Cursors::cover(const EventKey& key, Offset at) const {
  const CursorGroup* const group = book_.table.find(key.subscription);
  if (group == nullptr) return Cover::None;
  const CursorEntry* const whole = group->whole_at(at);
  const CursorEntry* const object = group->object_at(key.object, at);
  if (whole == nullptr && object == nullptr) return Cover::None;
  const bool durable =
      (whole != nullptr && whole->durable) || (object != nullptr && object->durable);
  return durable ? Cover::Durable : Cover::NotYet;
}

Cover Cursors::meet(const EventKey& key, Offset at, const Moment& moment) {
  if (book_.table.empty()) return Cover::None;
  const Cover cover = this->cover(key, at);
  if (cover != Cover::None || key.ordering == Ordering::None) return cover;
  CursorGroup* const group = book_.table.find(key.subscription);
  if (group == nullptr) return Cover::None;
  group->ordering = key.ordering;
  const bool whole_waits = std::any_of(
      group->whole.begin(), group->whole.end(),
      [this, at](const CursorEntry* entry) { return entry->end <= at && book_.unhanded(*entry); });
  if (whole_waits) {
    make(*group, nullptr, at, moment);
    return Cover::NotYet;
  }
  if (key.ordering != Ordering::Object || !later_waits(*group, key, at)) return Cover::None;
  make(*group, &key, at, moment);
  return Cover::NotYet;
}

// An earlier entry of the object has ended and not handed out everything.
bool Cursors::later_waits(const CursorGroup& group, const EventKey& key, Offset at) const {
  const CursorEntry* entry = group.object_first(key.object);
  for (; entry != nullptr; entry = group.object_next(*entry)) {
    if (entry->end <= at && book_.unhanded(*entry)) return true;
  }
  return false;
}

void Cursors::live_ended(std::string_view subscription, Offset at) {
  CursorGroup* const group = book_.table.find(subscription);
  if (group == nullptr) return;
  for (CursorEntry* const entry : group->whole) {
    if (!entry->out.erase(at)) continue;
    ++book_.writes.finished;
    return book_.note(*entry);
  }
}

void Cursors::committed(Offset next) {
  book_.writes.ledger = next;
  book_.retire();
}

// --- leaving the live path -----------------------------------------------------------------------

// `object`: its key; null: the whole subscription.
CursorEntry& Cursors::make(CursorGroup& group, const EventKey* object, Offset from,
                           const Moment& moment) {
  auto entry = std::make_unique<CursorEntry>();
  entry->whole = object == nullptr;
  if (object != nullptr) entry->object = object->object;
  entry->from = entry->swept = from;
  entry->since = moment.wall;
  entry->reason = book_.table.reason(kOrder);
  end_before_next(group, *entry);
  CursorEntry& added = book_.table.add(group, std::move(entry));
  book_.mark(added);
  if (added.whole) skip_ahead(added, from);
  return added;
}

// What an owner before had finished from `at` on stays finished.
void Cursors::skip_ahead(CursorEntry& entry, Offset at) const {
  const Offset to = entry.open() ? book_.ahead.to : std::min(book_.ahead.to, entry.end);
  entry.swept = std::max(at, to);
  for (const Offset offset : book_.ahead.unfinished.all()) {
    if (offset >= at && offset < to) entry.returned.insert(offset);
  }
}

namespace {

// A position instead of a list: from `untouched` on the entry has everything still to do.
void shorten(CursorEntry& entry, Offset untouched) {
  if (untouched < entry.from || untouched >= entry.swept) return;
  if (!entry.out.empty() && entry.out.all().back() >= untouched) return;
  entry.returned.erase_from(untouched);
  entry.swept = untouched;
}

}  // namespace

// The entry that answers for an unfinished live job, made if there is none.
CursorEntry& Cursors::fold(CursorGroup& group, const Detach& detach, Offset at,
                           const Moment& moment) {
  if (CursorEntry* const known = group.whole_at(at)) {
    if (detach.state == EntryState::Off && known->state != EntryState::Off && !known->over) {
      book_.unfollow(*known);
      book_.calm(*known);
      known->state = EntryState::Off;
      known->reason = book_.table.reason(detach.reason);
      book_.mark(*known);
    }
    return *known;
  }
  CursorEntry& made = make(group, nullptr, at, moment);
  made.state = detach.state;
  made.reason = book_.table.reason(detach.reason);
  made.returned.clear();
  skip_ahead(made, made.open() ? detach.live : std::min(made.end, detach.live));
  // What objects take over and is not written yet stays unfinished here until it is.
  for (const auto& other : book_.table.slots()) {
    if (other == nullptr || other->group != &group || other->takes_over == nullptr) continue;
    for (const ChainJob& job : *other->takes_over) {
      if (job.owner == kLivePath && made.covers(job.at)) made.out.insert(job.at);
    }
  }
  return made;
}

EntryId Cursors::detach(const Detach& detach, const Moment& moment) {
  CursorGroup& group = book_.table.group(detach.subscription);
  group.ordering = detach.ordering;
  std::vector<CursorEntry*> made;
  const auto entry_at = [&](Offset at) -> CursorEntry& {
    const bool is_new = group.whole_at(at) == nullptr;
    CursorEntry& entry = fold(group, detach, at, moment);
    if (is_new) made.push_back(&entry);
    return entry;
  };
  std::vector<Offset> named(detach.queued.begin(), detach.queued.end());
  named.insert(named.end(), detach.held.begin(), detach.held.end());
  std::sort(named.begin(), named.end());
  for (const Offset at : named) static_cast<void>(entry_at(at));
  for (const Offset at : detach.queued) {
    CursorEntry& entry = entry_at(at);
    book_.unfollow(entry);
    entry.out.erase(at);
    if (at < entry.swept) entry.returned.insert(at);
    entry.changed = true;
  }
  for (const Offset at : detach.held) {
    CursorEntry& entry = entry_at(at);
    entry.out.insert(at);
    entry.changed = true;
  }
  CursorEntry& last = entry_at(detach.live);
  // Nothing later of an order goes on in a sweep that is under way.
  if (detach.ordering != Ordering::None) book_.unfollow_alike(last);
  const EntryId id = last.id;
  for (CursorEntry* const entry : made) {
    if (detach.live >= book_.ahead.to) shorten(*entry, detach.untouched);
  }
  return id;
}

std::optional<EntryId> Cursors::block(const Block& block, const Moment& moment) {
  CursorGroup& group = book_.table.group(block.key.subscription);
  group.ordering = block.key.ordering;
  const bool whole = block.key.ordering == Ordering::Instance;
  const auto entry_at = [&](Offset at) {
    return whole ? group.whole_at(at) : group.object_at(block.key.object, at);
  };
  const auto put = [&](const ChainJob& job) -> CursorEntry& {
    CursorEntry* entry = entry_at(job.at);
    if (entry == nullptr) entry = &make(group, whole ? nullptr : &block.key, job.at, moment);
    book_.unfollow(*entry);
    if (entry->out.erase(job.at) || job.owner == entry->id || job.at < entry->swept) {
      entry->returned.insert(job.at);
    }
    if (job.owner != entry->id) book_.hand_over(*entry, job);
    if (entry->out.empty()) entry->rescuing = false;
    entry->changed = true;
    return *entry;
  };
  const bool full = !whole && group.objects >= bounds_.blocked_max;
  if (full && entry_at(block.at) == nullptr) return std::nullopt;
  CursorEntry& entry = put(ChainJob{block.at, block.owner});
  book_.unfollow_alike(entry);
  for (const ChainJob& job : block.chain) static_cast<void>(put(job));
  entry.since = block.first_failure;
  entry.reason = book_.table.reason(block.reason);
  book_.mark(entry);
  if (entry.state == EntryState::Off) return entry.id;
  entry.state = EntryState::Blocked;
  entry.blocked_at = block.at;
  entry.attempt = block.attempt;
  entry.due_wall = block.due;
  entry.due = moment.now + Duration(block.due - moment.wall);
  return entry.id;
}

void Cursors::give_back(EntryId id, std::span<const Offset> offsets, const Pause& pause) {
  CursorEntry* const entry = book_.table.find(id);
  if (entry == nullptr) return;
  book_.unfollow(*entry);
  if (entry->group->ordering != Ordering::None) book_.unfollow_alike(*entry);
  for (const Offset at : offsets) {
    if (entry->out.erase(at)) entry->returned.insert(at);
  }
  if (entry->out.empty()) entry->rescuing = false;
  if (pause.not_before) entry->due = std::max(entry->due, *pause.not_before);
}

void Cursors::done(EntryId id, Offset at) {
  CursorEntry* const entry = book_.table.find(id);
  if (entry == nullptr || !entry->out.erase(at)) return;
  ++book_.writes.finished;
  if (entry->state == EntryState::Blocked && at == entry->blocked_at) book_.calm(*entry);
  book_.note(*entry);
}

bool Cursors::switch_on(std::string_view subscription) {
  CursorGroup* const group = book_.table.find(subscription);
  if (group == nullptr || !group->is_off()) return false;
  for (CursorEntry* const entry : group->whole) {
    if (entry->state != EntryState::Off || entry->over) continue;
    entry->state = EntryState::Detached;
    book_.mark(*entry);
  }
  return true;
}

bool Cursors::is_off(std::string_view subscription) const {
  const CursorGroup* const group = book_.table.find(subscription);
  return group != nullptr && group->is_off();
}

bool Cursors::goes_on(EntryId id) const {
  const CursorEntry* const entry = book_.table.find(id);
  return entry != nullptr && entry->whole && entry->open();
}

// Its name lies below everything that may be detached later, so no two entries share one.
std::optional<EntryId> Cursors::replay(const Replay& replay, const Moment& moment) {
  if (replay.end <= replay.from) return std::nullopt;
  const std::string subscription(replay.subscription);
  Offset name = std::min(replay.from, Offset{book_.writes.ledger.value - 1});
  while (name.value >= 0 && book_.table.find_key(state_key(subscription, std::nullopt, name))) {
    --name.value;
  }
  if (name.value < 0) return std::nullopt;
  CursorGroup& group = book_.table.group(subscription);
  auto entry = std::make_unique<CursorEntry>();
  entry->state = EntryState::Replay;
  entry->from = name;
  entry->swept = replay.from;
  entry->end = replay.end;
  entry->since = moment.wall;
  entry->reason = book_.table.reason(replay.reason);
  CursorEntry& added = book_.table.add(group, std::move(entry));
  book_.mark(added);
  return added.id;
}

void Cursors::forget_unless(const std::function<bool(std::string_view)>& is_known) {
  for (const auto& entry : book_.table.slots()) {
    if (entry == nullptr || entry->forgotten || is_known(entry->group->subscription)) continue;
    book_.unfollow(*entry);
    const Offset end = entry->open() ? book_.reach(*entry) : entry->end;
    entry->out.clear();
    entry->returned.clear();
    entry->takes_over.reset();
    entry->swept = entry->end = std::max(end, entry->swept);
    entry->forgotten = true;
    if (!entry->over && !entry->whole) ++entry->group->objects_over;
    entry->over = true;
    book_.mark(*entry);
  }
}

// The sweep's side of Cursors: who is ready, who takes an event, who stays behind.

namespace {

constexpr Offset kNever{std::numeric_limits<std::int64_t>::max()};

// Finds the entries of one subscription that are ready. Thread: shard-local.  Bounds: O(entries).
class Muster {
 public:
  Muster(CursorBook& book, const CursorGroup& group, Offset live, TimePoint now)
      : book_(book), group_(group), live_(live), now_(now) {}

  // `crowded`: too many objects are blocked to go on with the whole.
  void run(const LaneGate::Lane& lane, bool crowded) {
    const bool ordered = group_.ordering != Ordering::None;
    bool waits = false;
    for (CursorEntry* const entry : group_.whole) {
      const bool ready = is_ready(*entry) && !waits && !(crowded && entry->open());
      if (ready) take(*entry);
      const bool all = ready && entry->state != EntryState::Blocked;
      waits = waits || (ordered && !all && book_.unhanded(*entry));
    }
    for (CursorEntry* entry : group_.buckets) {
      for (; entry != nullptr; entry = entry->bucket_next) {
        if (is_ready(*entry) && !(ordered && behind(*entry))) take(*entry);
      }
    }
    if (!lane.replay_open) return;
    for (CursorEntry* const entry : group_.replays) {
      if (is_ready(*entry)) take(*entry);
    }
  }

  [[nodiscard]] Offset lowest() const { return lowest_; }

 private:
  [[nodiscard]] bool is_ready(const CursorEntry& entry) const {
    const bool holds = entry.rescuing && group_.ordering != Ordering::None;
    return entry.durable && !entry.over && entry.due <= now_ && !holds;
  }

  // An earlier entry of its object will not hand out everything in this sweep.
  [[nodiscard]] bool behind(const CursorEntry& entry) const {
    const CursorEntry* one = group_.object_first(entry.object);
    for (; one != nullptr; one = group_.object_next(*one)) {
      if (one->from >= entry.from || !book_.unhanded(*one)) continue;
      if (!is_ready(*one) || one->state == EntryState::Blocked) return true;
    }
    return false;
  }

  void take(CursorEntry& entry) {
    const auto place = book_.place(entry, live_);
    if (!place) return;
    book_.follow(entry);
    lowest_ = std::min(lowest_, *place);
  }

  CursorBook& book_;
  const CursorGroup& group_;
  Offset live_;
  TimePoint now_;
  Offset lowest_ = kNever;
};

}  // namespace

std::optional<Offset> Cursors::begin_sweep(LaneGate& gate, Offset live, const Moment& moment) {
  EVENTRELAY_ASSERT(!book_.sweep.active);
  // The live position moves on by what nobody waits for: who stands there needs no sweep.
  for (const auto& entry : book_.table.slots()) {
    if (entry != nullptr) book_.attach_if_there(*entry, live);
  }
  book_.sweep.rescue = false;
  book_.sweep.position = Offset{0};
  Offset lowest = kNever;
  for (auto& [name, group] : book_.table.groups()) {
    if (group.is_off()) continue;
    const LaneGate::Lane lane = gate.look(name);
    group.ordering = lane.ordering;
    if (!lane.open || std::exchange(group.rescue_next, false)) continue;
    Muster muster(book_, group, live, moment.now);
    muster.run(lane, group.objects - group.objects_over >= bounds_.blocked_max);
    lowest = std::min(lowest, muster.lowest());
  }
  if (book_.sweep.following.empty()) return std::nullopt;
  book_.sweep.active = true;
  book_.sweep.position = lowest;
  return lowest;
}

namespace {

// Calls `visit` with every entry that answers for events of the group.
template <class Visit>
void each_entry(const CursorGroup& group, Visit visit) {
  for (CursorEntry* const entry : group.whole) visit(*entry);
  for (CursorEntry* entry : group.buckets) {
    for (; entry != nullptr; entry = entry->bucket_next) visit(*entry);
  }
  for (CursorEntry* const entry : group.replays) visit(*entry);
}

}  // namespace

// In order, nothing overtakes what is under way: that ends first, and nothing more begins.
std::optional<Offset> Cursors::begin_rescue(Offset below) {
  EVENTRELAY_ASSERT(!book_.sweep.active);
  SweepState& sweep = book_.sweep;
  sweep.rescue = true;
  sweep.below = below;
  sweep.position = Offset{0};
  Offset lowest = kNever;
  for (auto& [name, group] : book_.table.groups()) {
    bool busy = false;
    bool near = false;
    each_entry(group, [&](const CursorEntry& entry) {
      busy = busy || (!entry.out.empty() && !entry.rescuing);
      near = near || (entry.durable && book_.place(entry, below));
    });
    group.rescue_next = near && busy && group.ordering != Ordering::None;
    if (!near || group.rescue_next) continue;
    each_entry(group, [&](CursorEntry& entry) {
      const auto place = book_.place(entry, below);
      if (!place || !entry.durable) return;
      book_.follow(entry);
      lowest = std::min(lowest, *place);
    });
  }
  if (sweep.following.empty()) return std::nullopt;
  sweep.active = true;
  sweep.position = lowest;
  return lowest;
}

namespace {

// `whole` stands at `at`, and everything of the object below is handed out: it takes over here.
bool catches_up(const CursorBook& book, const CursorEntry& object, const CursorEntry& whole,
                Offset at) {
  if (!object.open() || !whole.open() || !object.following || !whole.following) return false;
  if (object.state == EntryState::Blocked && !book.sweep.rescue) return false;
  if (object.swept > at || at <= object.from) return false;
  if (!object.returned.empty() && object.returned.all().back() >= at) return false;
  return whole.swept <= at && book.wants(whole, at);
}

}  // namespace

void Cursors::offer(const EventKey& key, Offset at, const Moment& moment,
                    std::vector<EntryId>& takers) {
  book_.sweep.position = std::max(book_.sweep.position, at);
  CursorGroup* const group = book_.table.find(key.subscription);
  if (group == nullptr) return;
  for (const CursorEntry* const entry : group->replays) {
    if (book_.wants(*entry, at)) takers.push_back(entry->id);
  }
  CursorEntry* const whole = group->whole_at(at);
  CursorEntry* object = group->object_at(key.object, at);
  if (object != nullptr && whole != nullptr && catches_up(book_, *object, *whole, at)) {
    book_.attach(*object, at);
    object = nullptr;
  }
  const bool whole_wants = whole != nullptr && book_.wants(*whole, at);
  if (object == nullptr && whole_wants) {
    const bool ordered = key.ordering == Ordering::Object && !book_.sweep.rescue;
    if (!ordered || !later_waits(*group, key, at)) return takers.push_back(whole->id);
    object = &make(*group, &key, at, moment);
  }
  if (object == nullptr) return;
  if (whole_wants && !object->durable) {
    // It stays unfinished here until the object's record is acknowledged.
    handed(whole->id, at);
    book_.hand_over(*object, ChainJob{at, whole->id});
  }
  if (book_.wants(*object, at)) takers.push_back(object->id);
}

void Cursors::handed(EntryId id, Offset at) {
  CursorEntry* const entry = book_.table.find(id);
  if (entry == nullptr) return;
  EVENTRELAY_ASSERT(entry->following);
  entry->returned.erase(at);
  entry->out.insert(at);
  entry->swept = std::max(entry->swept, Offset{at.value + 1});
  entry->changed = true;
  entry->rescuing = book_.sweep.rescue;
  // A blocked one tries its event alone.
  if (entry->state == EntryState::Blocked && !book_.sweep.rescue) book_.unfollow(*entry);
}

void Cursors::stay_behind(EntryId id, Offset at) {
  const CursorEntry* const entry = book_.table.find(id);
  if (entry == nullptr) return;
  passed(at);
  const CursorGroup* const group = entry->group;
  for (std::size_t i = book_.sweep.following.size(); i > 0; --i) {
    CursorEntry* const one = book_.sweep.following[i - 1];
    if (one->group == group) book_.unfollow(*one);
  }
}

void Cursors::passed(Offset next) {
  book_.sweep.position = std::max(book_.sweep.position, next);
}

std::optional<Offset> Cursors::next_wanted() const {
  Offset lowest = kNever;
  for (const CursorEntry* const entry : book_.sweep.following) {
    const auto place = book_.place(*entry, kNever);
    if (place) lowest = std::min(lowest, std::max(*place, book_.sweep.position));
  }
  if (lowest == kNever) return std::nullopt;
  return lowest;
}

void Cursors::end_sweep(Offset live) {
  std::vector<EntryId> stood;
  while (!book_.sweep.following.empty()) {
    CursorEntry& entry = *book_.sweep.following.back();
    stood.push_back(entry.id);
    book_.unfollow(entry);
    book_.note(entry);
  }
  book_.sweep.active = false;
  if (book_.sweep.rescue) return;
  // The whole first: where it stands, its objects' entries end too.
  for (const bool whole : {true, false}) {
    for (const EntryId id : stood) {
      CursorEntry* const entry = book_.table.find(id);
      if (entry != nullptr && entry->whole == whole) book_.attach_if_there(*entry, live);
    }
  }
}

// The state topic's side of Cursors, and what a status page shows.

namespace {

constexpr std::uint64_t kStray = ~std::uint64_t{0};  // token of a tombstone without an entry

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
    CursorEntry* const entry = slots[writes.next_slot++].get();
    if (entry == nullptr || entry->over || entry->queued) continue;
    if (!entry->changed && book_.cursor(*entry) == entry->written_cursor) continue;
    book_.mark(*entry);
    if (!all && ++marked >= most) return;
  }
}

std::optional<StateWrite> Cursors::next_write() {
  WriteState& writes = book_.writes;
  if (!writes.strays.empty()) {
    StateWrite write{kStray, std::move(writes.strays.front()), {}};
    writes.strays.pop_front();
    ++writes.writing;
    return write;
  }
  while (!writes.queue.empty()) {
    CursorEntry* const entry = book_.table.find(writes.queue.front());
    writes.queue.pop_front();
    if (entry == nullptr) continue;
    entry->queued = false;
    entry->writing = true;
    entry->changed = false;
    ++writes.writing;
    StateRecord record = book_.record(*entry);
    StateWrite write{
        entry->id.value, state_key(record.subscription, record.object, record.from), {}};
    if (entry->ending) return write;
    entry->written_cursor = record.cursor;
    entry->end_written = !entry->open();
    entry->over_written = entry->over;
    record.epoch = epoch_;
    write.value = encode(record);
    return write;
  }
  return std::nullopt;
}

bool Cursors::acknowledge(std::uint64_t token) {
  WriteState& writes = book_.writes;
  if (token == kStray) {
    --writes.writing;
    return false;
  }
  CursorEntry* const entry = book_.table.find(EntryId{token});
  if (entry == nullptr || !entry->writing) return false;
  --writes.writing;
  entry->writing = false;
  if (entry->ending) {
    book_.unfollow(*entry);
    book_.table.erase(*entry);
    return false;
  }
  entry->acked_cursor = entry->written_cursor;
  entry->end_acked = entry->end_written;
  entry->over_acked = entry->over_written;
  if (entry->queued) writes.queue.push_back(entry->id);
  const bool first = !entry->durable;
  entry->durable = true;
  if (first) {
    book_.take_over(*entry);
    const bool changed = entry->changed;
    book_.note(*entry);  // it may be over; that alone is nothing new to write
    entry->changed = changed;
  }
  if (entry->over_acked && entry->forgotten) book_.retire();
  return first;
}

std::size_t Cursors::writes_pending() const noexcept {
  return book_.writes.writing + book_.writes.queue.size() + book_.writes.strays.size();
}

void Cursors::raise(StateEpoch epoch) {
  EVENTRELAY_ASSERT(epoch > epoch_);
  epoch_ = epoch;
  for (const auto& entry : book_.table.slots()) {
    // A tombstone counts whoever wrote it.
    if (entry == nullptr || entry->ending || !entry->writing) continue;
    entry->writing = entry->queued = false;
    --book_.writes.writing;
    book_.mark(*entry);
  }
}

Followed Cursors::followed(std::string_view key, std::optional<StateEpoch> epoch) {
  if (epoch && *epoch > epoch_) return Followed::Fenced;
  if (key == kOwnerKey || (epoch && *epoch == epoch_)) return Followed::Fine;
  if (CursorEntry* const entry = book_.table.find_key(key)) {
    if (entry->ending) return Followed::Fine;  // most likely our own tombstone; one more follows
    book_.mark(*entry);
    return Followed::Repaired;
  }
  if (!epoch) return Followed::Fine;
  book_.writes.strays.emplace_back(key);
  return Followed::Repaired;
}

std::optional<Handout> Cursors::handout(EntryId id) const {
  const CursorEntry* const entry = book_.table.find(id);
  if (entry == nullptr) return std::nullopt;
  Handout handout;
  handout.state = entry->state;
  if (entry->state != EntryState::Blocked) return handout;
  handout.attempts_made = entry->attempt;
  handout.first_failure = entry->since;
  return handout;
}

std::vector<EntryStatus> Cursors::oldest(std::size_t max) const {
  std::vector<const CursorEntry*> all;
  for (const auto& entry : book_.table.slots()) {
    if (entry != nullptr && !entry->over) all.push_back(entry.get());
  }
  const auto older = [](const CursorEntry* one, const CursorEntry* other) {
    return one->since < other->since || (one->since == other->since && one->id < other->id);
  };
  const std::size_t count = std::min(max, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count), all.end(),
                    older);
  std::vector<EntryStatus> statuses;
  for (std::size_t i = 0; i < count; ++i) {
    statuses.push_back(EntryStatus{book_.record(*all[i]), all[i]->out.all().size()});
  }
  return statuses;
}

CursorCounts Cursors::counts() const {
  CursorCounts counts;
  for (const auto& entry : book_.table.slots()) {
    if (entry == nullptr) continue;
    if (entry->replays()) {
      ++counts.replays;
    } else if (!entry->open() && !book_.unhanded(*entry)) {
      ++counts.attached;
    } else if (entry->state == EntryState::Off) {
      ++counts.off;
    } else if (entry->state == EntryState::Blocked || !entry->whole) {
      ++counts.blocked;
    } else {
      ++counts.detached;
    }
  }
  return counts;
}

std::optional<Offset> Cursors::lowest_cursor() const {
  std::optional<Offset> lowest;
  for (const auto& entry : book_.table.slots()) {
    if (entry == nullptr || entry->over) continue;
    const Offset at = book_.cursor(*entry);
    if (!lowest || at < *lowest) lowest = at;
  }
  return lowest;
}

}  // namespace eventrelay::relay
