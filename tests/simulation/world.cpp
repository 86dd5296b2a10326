#include "world.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "common/base/event.hpp"

namespace eventrelay::relay::simulation {

namespace {

constexpr std::int64_t kEventsMin = 40;
constexpr std::int64_t kEventsMore = 60;
constexpr std::int64_t kBeforeCrowd = 10;         // events of each partition
constexpr Duration kCompactionLag = seconds{40};  // longer than it takes to write again
constexpr Duration kGrace = milliseconds{30};     // what a dying process had sent is still written

// Calls `found` for each offset that run lengths from `from` on name.
template <class Found>
void each_in_ranges(const std::string& text, std::int64_t from, Found found) {
  if (!text.starts_with("1:")) return;
  bool finished = false;
  const char* p = text.c_str() + 2;
  while (*p != '\0' && *p != '@') {
    char* rest = nullptr;
    const std::int64_t run = std::strtoll(p, &rest, 10);
    for (std::int64_t i = from; finished && i < from + run; ++i) found(i);
    from += run;
    finished = !finished;
    p = *rest == ',' ? rest + 1 : rest;
  }
}

std::uint64_t instance_of(int partition) {
  return 100 + static_cast<std::uint64_t>(partition);
}

// Subscriptions of the crowd want only events that come after the crowd.
std::string type_word(const SimEvent& event) {
  return (event.at < kBeforeCrowd ? "E" : "L") + std::to_string(event.type);
}

kafka::MadeRecord record_of(int partition, const SimEvent& given, std::size_t bytes) {
  kafka::MadeRecord record;
  record.partition = Partition{partition};
  record.offset = Offset{given.at};
  record.key = std::to_string(instance_of(partition));
  record.value.assign(bytes, 'x');
  record.stamped = kWallBegin + std::chrono::floor<milliseconds>(given.produced.time_since_epoch());
  const std::string id = std::to_string(given.at);
  const std::string type = type_word(given);
  Event event;
  event.id = id;
  event.element = "box";
  event.instance = InstanceId{instance_of(partition)};
  event.event_type = type;
  event.object_type = "files";
  event.object_id = given.object;
  event.date = "2026-01-01T00:00:00Z";
  event.received = record.stamped;
  event.content_type = "application/json";
  event.body = record.value;
  for (const HeaderField& field : RecordHeaders(event)) {
    record.headers.emplace_back(field.name, field.value);
  }
  return record;
}

}  // namespace

World::World(std::uint64_t seed, Fault planted, const Weather& may)
    : random(seed), fault(planted), weather(may) {
  make_events();
  make_subscribers();
  make_settings();
  for (const Subscriber& sub : subs) fates_.emplace_back(logs[at(sub.partition)].size());
  for (int p = 0; p < kPartitions; ++p) forgotten_[at(p)].resize(logs[at(p)].size());
  if (weather.late && chance(0.3)) {
    unwritable_from = TimePoint{ms(3000, 40'000)};
    unwritable_until = unwritable_from + ms(1000, 15'000);
  }
  if (weather.expires && chance(0.2)) retention = ms(30'000, 60'000);
}

void World::make_events() {
  for (int p = 0; p < kPartitions; ++p) {
    TimePoint when{};
    const std::int64_t count = kEventsMin + up_to(kEventsMore);
    // Bursts and pauses.
    for (std::int64_t i = 0; i < count; ++i) {
      when += chance(0.1) ? ms(500, 8000) : ms(0, 150);
      SimEvent event;
      event.at = i;
      event.object = "o" + std::to_string(up_to(5));
      event.type = static_cast<std::uint32_t>(up_to(4));
      event.produced = when;
      event.record = record_of(p, event, static_cast<std::size_t>(200 + up_to(2000)));
      logs[at(p)].push_back(std::move(event));
    }
  }
}

void World::make_subscribers() {
  constexpr std::array<Health, 7> kSick{Health::Dead,    Health::Flapping,   Health::Slow,
                                        Health::Hanging, Health::AsksToWait, Health::Picky,
                                        Health::Gone};
  constexpr std::array<Ordering, 3> kOrderings{Ordering::None, Ordering::Object,
                                               Ordering::Instance};
  for (int p = 0; p < kPartitions; ++p) {
    for (int i = 0; i < 5; ++i) {
      Subscriber sub;
      sub.name = i == 0 ? "" : "s" + std::to_string(i);
      sub.partition = p;
      if (i >= 2 && weather.sick) sub.health = kSick[static_cast<std::size_t>(up_to(7))];
      sub.ordering = i == 1 ? Ordering::Object : kOrderings[static_cast<std::size_t>(up_to(3))];
      if (i == 0) sub.ordering = Ordering::None;
      if (i >= 2 && chance(0.5)) sub.types = static_cast<std::uint32_t>(1 + up_to(15));
      if (i == 4 && weather.sick && chance(0.3))
        sub.rate = static_cast<std::uint32_t>(2 + up_to(8));
      sub.queues_exhausted = chance(0.3);
      subs.push_back(std::move(sub));
    }
    for (int i = 0; i < weather.hanging; ++i) {
      Subscriber sub;
      sub.name = "h" + std::to_string(i);
      sub.partition = p;
      sub.health = Health::Hanging;
      sub.late = true;
      subs.push_back(std::move(sub));
    }
  }
  for (int i = 0; i < std::ssize(subs); ++i) {
    Subscriber& sub = subs[at(i)];
    sub.id = std::to_string(instance_of(sub.partition)) + (sub.name.empty() ? "" : "/" + sub.name);
    numbers_.emplace(sub.id, i);
  }
}

// The same as a configuration file would have it.
void World::make_settings() {
  const bool boundless = fault == Fault::NoQueueBound || fault == Fault::NoConcurrencyBudget;
  Config config;
  config.retry.delays.assign(kSteps.begin(), kSteps.end());
  config.detach.after = boundless ? 1000 : kQueueJobs;
  config.detach.blocked_max = 3;
  if (fault == Fault::NeverCatchUp) config.detach.sweep_interval = std::chrono::hours{1000};
  config.relay.inflight_max = fault == Fault::KeepsNoSlots ? 7 : kInFlight;
  for (int p = 0; p < kPartitions; ++p) {
    InstanceConfig instance;
    instance.id = instance_of(p);
    instance.name = "p" + std::to_string(p);
    instance.element = "box";
    instance.events_enabled = true;
    for (const Subscriber& sub : subs) {
      if (sub.partition != p) continue;
      DeliveryConfig delivery;
      delivery.ordering = sub.ordering;
      delivery.concurrency = fault == Fault::NoConcurrencyBudget ? 1000 : kConcurrency;
      delivery.rate = sub.rate;
      delivery.signature = Signature::None;
      delivery.exhausted = sub.queues_exhausted ? Exhausted::Queue : Exhausted::Dead;
      if (sub.name.empty()) {
        instance.callback_url = "https://p" + std::to_string(p) + ".example.test/";
        instance.delivery = delivery;
        continue;
      }
      SubscriptionConfig subscription;
      subscription.name = sub.name;
      subscription.url = "https://" + sub.name + ".example.test/";
      subscription.delivery = delivery;
      for (std::uint32_t type = 0; type < 4; ++type) {
        if ((sub.types >> type & 1U) == 0) continue;
        if (!sub.late) subscription.filter.event_types.push_back("E" + std::to_string(type));
        subscription.filter.event_types.push_back("L" + std::to_string(type));
      }
      instance.subscriptions.push_back(std::move(subscription));
    }
    config.instances.push_back(std::move(instance));
  }
  Registry registry(config);
  settings = std::make_shared<const Settings>(Settings{std::move(config), std::move(registry)});
}

bool World::wants(int sub, const SimEvent& event) const {
  if (subs[at(sub)].late && event.at < kBeforeCrowd) return false;
  return (subs[at(sub)].types >> event.type & 1U) != 0;
}

std::int64_t World::log_end(int partition) const {
  const auto& events = logs[at(partition)];
  const auto end = std::partition_point(events.begin(), events.end(), [&](const SimEvent& event) {
    return event.produced <= clock.now();
  });
  return end - events.begin();
}

bool World::is_healthy(int sub) const {
  const Subscriber& one = subs[at(sub)];
  return one.health == Health::Healthy && one.rate == 0;
}

// --- Kafka ---------------------------------------------------------------------------------------

Duration World::latency() {
  if (weather.late && chance(0.02)) return ms(200, 3000);
  return ms(1, 12);
}

void World::write(const LifePtr& life, Topic topic, int partition, std::function<void()> land,
                  std::function<void()> ack) {
  TimePoint when = clock.now() + latency();
  const bool refused = topic == Topic::State || topic == Topic::Retry;
  if (refused && when >= unwritable_from && when < unwritable_until) {
    when = unwritable_until + latency();
  }
  // One producer's records of one partition keep their order.
  auto& last = landing_[{static_cast<std::int64_t>(life->serial), static_cast<std::int64_t>(topic),
                         partition}];
  when = last = std::max(when, last);
  if (when - clock.now() > milliseconds{100} && partition < kPartitions) {
    clock.after(when - clock.now(), [this, partition] { disturbed(partition); });
  }
  const std::uint64_t stay = partition < kPartitions ? life->stays[partition] : 0;
  clock.after(when - clock.now(),
              [this, life, partition, stay, land = std::move(land), ack = std::move(ack)] {
                if (!life->alive && clock.now() > life->died + kGrace) return;
                const auto arrive = [this, life, partition, stay, land, ack] {
                  land();
                  const bool own = partition < kPartitions;
                  if (own && (owner[at(partition)] != life || stays[at(partition)] != stay))
                    excuse(partition);
                  clock.after(latency(), life, ack);
                };
                // A stopped process may have sent it before, or sends it when it goes on.
                if (life->stopped_until > clock.now() && life->sends_late) {
                  clock.after(life->stopped_until - clock.now(), arrive);
                } else {
                  arrive();
                }
              });
}

void World::park(const LifePtr& life, std::uint64_t stay, int partition, int step,
                 const ParkRecord& record) {
  auto& topic = parked[at(partition)][at(step)];
  const auto offset = static_cast<std::int64_t>(topic.size());
  topic.push_back(record);
  topic.back().record.offset = Offset{offset};
  delays_forgotten_[at(partition)][at(step)].push_back(false);
  Fate& one = fate(record.subscriber, record.at);
  one.parked.emplace_back(step, offset);
  if (owner[at(partition)] == life && stays[at(partition)] == stay) {
    if (record.due < one.asked && one.excused <= 0)
      breach("parked for less than the endpoint asked for");
    one.not_before = record.due;
  } else {
    ++one.excused;  // one copy more than its owner knows of
  }
  ++tally.parked;
  note("parked", life->worker, record.subscriber, record.at);
  for (const auto& [number, tell] : watchers) tell(Log{Log::Kind::Retry, partition, step});
}

void World::dead_letter(const LifePtr& life, int sub, std::int64_t offset) {
  fate(sub, offset).dead = true;
  ++tally.dead;
  note("dead", life->worker, sub, offset);
}

void World::put_state(const LifePtr& life, int partition, const kafka::MadeRecord& row) {
  auto& log = state[at(partition)];
  log.push_back(row);
  log.back().offset = Offset{std::ssize(log) - 1};
  log.back().stamped = clock.wall();
  compacted[at(partition)].push_back(false);
  ++tally.state_records;
  const bool fresh = !counted_[at(partition)].records().contains(row.key);
  note("state", life->worker, partition, static_cast<std::int64_t>(state[at(partition)].size()));
  if (trace) std::printf("    %s %s\n", row.key.c_str(), row.value.c_str());
  if (!counted_[at(partition)].take(row.key, row.value)) breach("a state record is not read");
  if (row.key == kOwnerKey) {
    const auto mark = decode_owner(row.value);
    if (mark && ++marks_[mark->owner] > 1) ++tally.owned_again;
  } else if (!row.value.empty()) {
    if (const auto record = decode_state(row.value)) note_state(life, partition, *record, fresh);
  }
  judge(partition);
  for (const auto& [number, tell] : watchers) tell(Log{Log::Kind::State, partition, 0});
}

// What the first record of a cursor says about its subscription.
void World::note_state(const LifePtr& life, int partition, const StateRecord& record, bool fresh) {
  if (!fresh) return;
  if (record.state == CursorState::Blocked) {
    ++tally.blocks;
    const std::int64_t known = known_to[at(partition)];
    if (owner[at(partition)] == life && record.from.value < known) {
      excuse_object(sub_of(record.subscription), record.from.value, known);
    }
  } else if (!record.object) {
    ++tally.detaches;
  }
}

void World::compact(int partition) {
  const auto& log = state[at(partition)];
  std::map<std::string_view, std::size_t> last;
  for (std::size_t i = 0; i < log.size(); ++i) {
    if (log[i].stamped + std::chrono::floor<milliseconds>(kCompactionLag) > clock.wall()) break;
    const auto [it, first] = last.try_emplace(log[i].key, i);
    if (first) continue;
    if (!compacted[at(partition)][it->second]) ++tally.compacted;
    compacted[at(partition)][it->second] = true;
    it->second = i;
  }
}

Offset World::written_since(int partition, WallTime since) const {
  const auto& events = logs[at(partition)];
  const std::int64_t end = log_end(partition);
  std::int64_t first = 0;
  while (first < end && events[static_cast<std::size_t>(first)].record.stamped < since) ++first;
  return Offset{first};
}

bool World::commit_events(const LifePtr& life, int partition, std::uint64_t generation,
                          const Committed& now) {
  if (owner[at(partition)] != life || generations[at(partition)] != generation) {
    ++tally.refused_commits;
    note("commit refused", life->worker, partition);
    return false;
  }
  Committed& before = committed[at(partition)];
  if (before.offset && *now.offset < *before.offset) breach("a commit of events went back");
  before = now;
  note("commit", life->worker, partition, now.offset->value);
  if (trace) std::printf("    ranges %s\n", now.metadata.c_str());
  auto& forgotten = forgotten_[at(partition)];
  std::fill(forgotten.begin(), forgotten.end(), false);
  const auto end = std::min<std::int64_t>(now.offset->value, std::ssize(forgotten));
  std::fill(forgotten.begin(), forgotten.begin() + end, true);
  each_in_ranges(now.metadata, now.offset->value, [&](std::int64_t i) {
    if (i < std::ssize(forgotten)) forgotten[static_cast<std::size_t>(i)] = true;
  });
  judge(partition);
  return true;
}

void World::commit_delay(const LifePtr& life, std::uint64_t stay, int partition, int step,
                         const Committed& now) {
  delays_committed[at(partition)][at(step)] = now;
  auto& forgotten = delays_forgotten_[at(partition)][at(step)];
  std::fill(forgotten.begin(), forgotten.end(), false);
  const auto end = std::min<std::int64_t>(now.offset->value, std::ssize(forgotten));
  std::fill(forgotten.begin(), forgotten.begin() + end, true);
  each_in_ranges(now.metadata, now.offset->value, [&](std::int64_t i) {
    if (i < std::ssize(forgotten)) forgotten[static_cast<std::size_t>(i)] = true;
  });
  note("commit delay", partition, step, now.offset->value);
  judge(partition);
  if (owner[at(partition)] != life || stays[at(partition)] != stay) excuse(partition);
}

// --- the truth -----------------------------------------------------------------------------------

// Cursors that count and still have this event to hand out.
int World::cursors_with(int sub, const SimEvent& event) const {
  const Subscriber& one = subs[at(sub)];
  int count = 0;
  for (const auto& [name, record] : counted_[at(one.partition)].records()) {
    if (record.subscription != one.id) continue;
    if (record.object && one.ordering != Ordering::Instance && *record.object != event.object) {
      continue;
    }
    if (event.at < record.from.value || event.at < record.position.value) continue;
    if (record.end && event.at >= record.end->value) continue;
    bool done = false;
    each_in_ranges(record.ranges, record.position.value,
                   [&](std::int64_t i) { done = done || i == event.at; });
    if (!done) ++count;
  }
  return count;
}

int World::delays_with(int sub, std::int64_t offset) const {
  const int partition = subs[at(sub)].partition;
  int count = 0;
  for (const auto& [step, place] : fate(sub, offset).parked) {
    if (!delays_forgotten_[at(partition)][at(step)][static_cast<std::size_t>(place)]) ++count;
  }
  return count;
}

// Each event below a commit is delivered, dead, parked, or covered by a cursor.
void World::judge(int partition) {
  if (!broken.empty()) return;
  for (int sub = 0; sub < std::ssize(subs); ++sub) {
    if (subs[at(sub)].partition != partition) continue;
    for (const SimEvent& event : logs[at(partition)]) {
      if (!forgotten_[at(partition)][static_cast<std::size_t>(event.at)]) continue;
      const Fate& one = fate(sub, event.at);
      if (one.times > 0 || one.dead || !wants(sub, event)) continue;
      if (delays_with(sub, event.at) > 0 || cursors_with(sub, event) > 0) continue;
      return breach("lost: subscription " + subs[at(sub)].id + " event " +
                    std::to_string(event.at) + " of partition " + std::to_string(partition));
    }
  }
}

void World::judge_order(int sub, std::int64_t offset) {
  const Subscriber& one = subs[at(sub)];
  if (one.ordering == Ordering::None) return;
  const auto& events = logs[at(one.partition)];
  const SimEvent& event = events[static_cast<std::size_t>(offset)];
  for (const SimEvent& before : events) {
    if (before.at >= offset) return;
    if (!wants(sub, before)) continue;
    if (one.ordering == Ordering::Object && before.object != event.object) continue;
    const Fate& other = fate(sub, before.at);
    if (other.times > 0 || other.dead) continue;
    return breach("out of order: subscription " + one.id + " event " + std::to_string(offset) +
                  " before " + std::to_string(before.at));
  }
}

void World::excuse(int partition) {
  for (int sub = 0; sub < std::ssize(subs); ++sub) {
    if (subs[at(sub)].partition != partition) continue;
    for (const SimEvent& event : logs[at(partition)]) {
      if (!wants(sub, event)) continue;
      Fate& one = fate(sub, event.at);
      const int live = forgotten_[at(partition)][static_cast<std::size_t>(event.at)] ? 0 : 1;
      const int cursors = cursors_with(sub, event);
      const int ways = (cursors > 0 ? cursors : live) + delays_with(sub, event.at);
      one.excused = std::max(one.excused, ways - (one.times > 0 ? 0 : 1));
      one.not_before = one.asked = {};
    }
  }
}

void World::excuse_object(int sub, std::int64_t from, std::int64_t to) {
  const auto& events = logs[at(subs[at(sub)].partition)];
  for (std::int64_t i = from; i < std::min(to, std::ssize(events)); ++i) {
    if (events[static_cast<std::size_t>(i)].object !=
        events[static_cast<std::size_t>(from)].object) {
      continue;
    }
    Fate& one = fate(sub, i);
    if (one.times > 0) one.excused = std::max(one.excused, 1);
  }
}

void World::took(const LifePtr& life, int sub, std::int64_t offset, bool current) {
  Fate& one = fate(sub, offset);
  note("took", life->worker, sub, offset);
  const int partition = subs[at(sub)].partition;
  current = current && owner[at(partition)] == life;
  if (one.times == 0) {
    judge_order(sub, offset);
    const SimEvent& event = logs[at(partition)][static_cast<std::size_t>(offset)];
    if (is_healthy(sub) && current) {
      const Duration wait = clock.now() - std::max(event.produced, calm_since[at(partition)]);
      tally.healthy_wait = std::max(tally.healthy_wait, wait);
      if (wait > (weather.hanging > 0 ? kCalmWait : kHealthyWait)) {
        breach("healthy subscription " + subs[at(sub)].id + " waited " +
               std::to_string(wait / milliseconds{1}) + " ms for event " + std::to_string(offset));
      }
    }
  } else {
    ++tally.duplicates;
    if (current && --one.excused < 0) {
      breach("twice without a reason: subscription " + subs[at(sub)].id + " event " +
             std::to_string(offset));
    }
  }
  ++one.times;
  ++tally.delivered;
  // The present owner may not know of it.
  if (!current) ++one.excused;
}

// --- endpoints -----------------------------------------------------------------------------------

Reply World::call(const LifePtr& life, int sub, std::int64_t offset) {
  const Subscriber& one = subs[at(sub)];
  Fate& known = fate(sub, offset);
  if (known.excused <= 0 && known.not_before > clock.wall() && owner[at(one.partition)] == life) {
    breach("called before it was due: subscription " + one.id + " event " + std::to_string(offset));
  }
  Reply good{ms(5, 40), RetryClass::Delivered, true, std::nullopt};
  Reply bad{ms(1, 30), RetryClass::Retry, false, std::nullopt};
  if (healed) return good;
  switch (one.health) {
    case Health::Healthy:
      return good;
    case Health::Dead:
      return bad;
    case Health::Flapping:
      return clock.now().time_since_epoch() / seconds{10} % 2 == 0 ? good : bad;
    case Health::Slow:
      good.after = ms(300, 1500);
      return good;
    case Health::Hanging:
      bad.after = kHang;
      bad.took = chance(0.2);
      if (bad.took) ++known.excused;
      return bad;
    case Health::Gone:
      if (!chance(0.1)) return good;
      bad.retry = RetryClass::Gone;
      return bad;
    case Health::AsksToWait:
      if (!chance(0.4)) return good;
      bad.retry_after = seconds{1 + up_to(15)};
      if (owner[at(one.partition)] == life) known.asked = clock.wall() + *bad.retry_after;
      return bad;
    case Health::Picky:
      if (chance(0.7)) return good;
      if (chance(0.1)) bad.retry = RetryClass::Fatal;
      return bad;
  }
  return good;
}

// --- the end -------------------------------------------------------------------------------------

std::int64_t World::end_of(const Committed& known) {
  std::int64_t end = known.offset.value_or(Offset{0}).value;
  each_in_ranges(known.metadata, end, [&](std::int64_t i) { end = i + 1; });
  return end;
}

bool World::complete() const {
  return missing().empty();
}

std::string World::missing() const {
  for (int sub = 0; sub < std::ssize(subs); ++sub) {
    for (const SimEvent& event : logs[at(subs[at(sub)].partition)]) {
      const Fate& one = fate(sub, event.at);
      if (!wants(sub, event) || one.times > 0 || one.dead) continue;
      return "subscription " + subs[at(sub)].id + " event " + std::to_string(event.at);
    }
  }
  return {};
}

void World::breach(const std::string& what) {
  if (!broken.empty()) return;
  broken = what + " at " + std::to_string(clock.now().time_since_epoch() / milliseconds{1}) + " ms";
  if (trace) std::printf("BROKEN %s\n", broken.c_str());
}

void World::note(std::string_view what, std::int64_t a, std::int64_t b, std::int64_t c) {
  const auto add = [this](std::uint64_t value) { hash = (hash ^ value) * 1099511628211U; };
  for (const char letter : what) add(static_cast<unsigned char>(letter));
  add(static_cast<std::uint64_t>(clock.now().time_since_epoch().count()));
  for (const std::int64_t value : {a, b, c}) add(static_cast<std::uint64_t>(value));
  if (!trace) return;
  std::printf("%8.3f %-16.*s %ld %ld %ld\n",
              static_cast<double>(clock.now().time_since_epoch().count()) / 1e9,
              static_cast<int>(what.size()), what.data(), static_cast<long>(a),
              static_cast<long>(b), static_cast<long>(c));
}

}  // namespace eventrelay::relay::simulation
