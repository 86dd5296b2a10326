#include "tests/unit/relay/cursor_world.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

namespace eventrelay::relay::sim {

World::World(std::uint64_t seed, Fault planted, Weather allowed)
    : random(seed), fault(planted), weather(allowed) {
  const std::size_t objects = 1 + pick(4);
  for (std::int64_t at = 0; at < kEvents; ++at) {
    const std::size_t object = pick(objects);
    // Some events have no single object; a name may hold what separates a key.
    log.push_back(LogEvent{static_cast<std::uint32_t>(pick(2)),
                           object == 0 ? std::string() : "o|@" + std::to_string(object)});
  }
  const std::size_t count = 1 + pick(3);
  for (std::size_t i = 0; i < count; ++i) {
    constexpr Ordering kOrders[] = {Ordering::None, Ordering::Object, Ordering::Object,
                                    Ordering::Instance};
    subs.push_back(Subscriber{"7/" + std::to_string(i), kOrders[pick(4)], chance(0.3) ? 1U : 3U});
  }
  down.assign(count, false);
  times.assign(count, std::vector<int>(kEvents, 0));
  constexpr double kSlow[] = {1, 0.3, 0.05};
  slow = kSlow[pick(3)];
  trace_ = std::getenv("EVENTRELAY_SIMULATION_TRACE") != nullptr;
}

void World::say(const char* what, std::size_t sub, std::int64_t at, CursorId cursor) const {
  if (!trace_) return;
  std::fprintf(stderr, "%lld %s sub %zu at %lld entry %llx\n", static_cast<long long>(step), what,
               sub, static_cast<long long>(at), static_cast<unsigned long long>(cursor.value));
}

bool World::wants(std::size_t sub, std::int64_t at) const {
  return (subs[sub].types >> log[static_cast<std::size_t>(at)].type & 1U) != 0;
}

EventKey World::key(std::size_t sub, std::int64_t at) const {
  return EventKey{subs[sub].id, log[static_cast<std::size_t>(at)].object, subs[sub].ordering};
}

bool World::same_chain(std::size_t sub, std::int64_t one, std::int64_t other) const {
  switch (subs[sub].ordering) {
    case Ordering::None:
      return false;
    case Ordering::Instance:
      return true;
    case Ordering::Object:
      break;
  }
  return log[static_cast<std::size_t>(one)].object == log[static_cast<std::size_t>(other)].object;
}

Moment World::moment() const {
  const auto time = std::chrono::milliseconds(step * 10);
  return Moment{TimePoint(time), WallTime(std::chrono::milliseconds(1'000'000) + time)};
}

void World::fail(const std::string& what) {
  if (broken.empty()) broken = "step " + std::to_string(step) + ": " + what;
}

void World::deliver(std::size_t sub, std::int64_t at) {
  int& count = times[sub][static_cast<std::size_t>(at)];
  for (std::int64_t before = 0; count == 0 && before < at; ++before) {
    if (!wants(sub, before) || !same_chain(sub, before, at)) continue;
    if (times[sub][static_cast<std::size_t>(before)] > 0) continue;
    fail("order: " + subs[sub].id + " got " + std::to_string(at) + " before " +
         std::to_string(before));
  }
  put_away(sub, at);
}

void World::put_away(std::size_t sub, std::int64_t at) {
  ++deliveries;
  say("has", sub, at);
  if (times[sub][static_cast<std::size_t>(at)]++ > 0) ++duplicates;
}

// Nobody may forget the event without this. A whole subscription may also leave it to an object.
bool World::settled(std::size_t sub, std::int64_t at, bool by_whole) const {
  if (times[sub][static_cast<std::size_t>(at)] > 0) return true;
  for (const auto& [name, record] : counted_.records()) {
    if (record.subscription != subs[sub].id || record.state == CursorState::Replay) continue;
    if (record.object && *record.object != log[static_cast<std::size_t>(at)].object) continue;
    if (!record.object && by_whole) continue;
    if (at >= record.from.value && (!record.end || at < record.end->value)) return true;
  }
  return false;
}

void World::land(const std::string& key, const std::string& value) {
  state.push_back(StateRow{key, value});
  if (trace_) std::fprintf(stderr, "    %s %s\n", key.c_str(), value.c_str());
  const auto counts = counted_.take(key, value);
  if (!counts) return fail("bad record " + key + " " + value);
  if (*counts && !value.empty() && key != kOwnerKey) judge(*decode_state(value));
}

// The position, and what the ranges call done, is never ahead.
void World::judge(const StateRecord& record) {
  const auto sub = static_cast<std::size_t>(
      std::find_if(subs.begin(), subs.end(),
                   [&](const Subscriber& one) { return one.id == record.subscription; }) -
      subs.begin());
  BacklogCursor cursor;
  cursor.reread = record.position;
  if (record.end) cursor.end = *record.end;
  if (!record.ranges.empty() && !CursorBook::restore(cursor, record.ranges)) {
    return fail("bad ranges " + record.ranges);
  }
  for (std::int64_t at = record.from.value; at < cursor.reread.value; ++at) {
    if (at >= kEvents || !wants(sub, at) || cursor.returned.contains(Offset{at})) continue;
    if (record.object && *record.object != log[static_cast<std::size_t>(at)].object) continue;
    const bool reached = times[sub][static_cast<std::size_t>(at)] > 0;
    if (reached || (!record.object && settled(sub, at, true))) continue;
    return fail("cursor of " + record.subscription + " from " + std::to_string(record.from.value) +
                " is ahead of " + std::to_string(at));
  }
}

void World::commit(std::int64_t next, std::string ranges) {
  committed = Offset{next};
  metadata = std::move(ranges);
  if (trace_) std::fprintf(stderr, "    ledger %d %s\n", static_cast<int>(next), metadata.c_str());
  for (std::int64_t at = 0; at < std::min(next, kEvents); ++at) {
    for (std::size_t sub = 0; sub < subs.size(); ++sub) {
      if (wants(sub, at) && !settled(sub, at, false)) {
        fail("commit " + std::to_string(next) + " is ahead of " + std::to_string(at) + " of " +
             subs[sub].id);
      }
    }
  }
}

void World::compact(std::size_t upto) {
  std::set<std::string> seen;
  std::vector<StateRow> kept;
  for (std::size_t i = state.size(); i-- > 0;) {
    const bool newer = !seen.insert(state[i].key).second;
    if (i < upto && newer) continue;
    kept.push_back(state[i]);
  }
  std::reverse(kept.begin(), kept.end());
  state = std::move(kept);
}

StateTable World::read() const {
  StateTable table;
  if (fault == Fault::None || fault > Fault::AnyTombstone) {
    for (const StateRow& row : state) static_cast<void>(table.take(row.key, row.value));
    return table;
  }
  // The same with the fault in it: the rows that count for it, as if they were all there is.
  std::vector<StateRow> rows = state;
  if (fault == Fault::NoFencing || fault == Fault::AnyTombstone || fault == Fault::OneKey) {
    std::vector<StateRow> last;
    for (const StateRow& row : rows) {
      const auto same = [&](const StateRow& one) {
        if (fault != Fault::OneKey) return one.key == row.key;
        return one.key.substr(0, one.key.rfind('@')) == row.key.substr(0, row.key.rfind('@'));
      };
      const bool erases = fault != Fault::AnyTombstone || row.value.empty();
      if (erases) last.erase(std::remove_if(last.begin(), last.end(), same), last.end());
      if (!row.value.empty()) last.push_back(row);
    }
    if (fault == Fault::NoFencing) {
      for (StateRow& row : last) {
        auto record = decode_state(row.value);
        if (!record) continue;
        record->epoch = 0;
        row.value = encode(*record);
      }
      std::stable_partition(last.begin(), last.end(),
                            [](const StateRow& row) { return row.key != kOwnerKey; });
    }
    rows = std::move(last);
  }
  for (const StateRow& row : rows) static_cast<void>(table.take(row.key, row.value));
  return table;
}

bool World::complete() const {
  for (std::size_t sub = 0; sub < subs.size(); ++sub) {
    for (std::int64_t at = 0; at < kEvents; ++at) {
      if (wants(sub, at) && times[sub][static_cast<std::size_t>(at)] == 0) return false;
    }
  }
  return true;
}

}  // namespace eventrelay::relay::sim
