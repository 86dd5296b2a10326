#include "relay/cursors.hpp"

#include <algorithm>

#include "common/assert.hpp"

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

}  // namespace eventrelay::relay
