// The sweep's side of Cursors: who is ready, who takes an event, who stays behind.
#include <algorithm>
#include <limits>
#include <utility>

#include "common/assert.hpp"
#include "relay/cursors.hpp"

namespace eventrelay::relay {

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

}  // namespace eventrelay::relay
