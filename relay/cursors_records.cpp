// The state topic's side of Cursors, and what a status page shows.
#include <algorithm>

#include "common/assert.hpp"
#include "relay/cursors.hpp"

namespace eventrelay::relay {

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
