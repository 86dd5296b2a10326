// The way of an event through one process: read, sent, ended, committed.
#include <algorithm>

#include "relay.hpp"

namespace eventrelay::relay::simulation {

namespace {

constexpr Duration kTick = milliseconds{200};
constexpr std::uint32_t kQueueJobs = 10;
constexpr std::uint32_t kConcurrency = 3;
constexpr std::uint32_t kInFlight = 24;

RetryPlan retry_plan() {
  RetryPlan plan;
  plan.waits.assign(kSteps.begin(), kSteps.end());
  plan.steps.assign(kSteps.begin(), kSteps.end());
  return plan;
}

}  // namespace

// In a crowd it is slots that are few, and nothing else.
SchedulerBounds Relay::scheduler_bounds() const {
  const bool crowd = world_.weather.hanging > 0;
  SchedulerBounds bounds;
  bounds.in_flight_max = world_.fault == Fault::KeepsNoSlots ? 7 : kInFlight;
  bounds.jobs_max = crowd ? kQueueJobs * static_cast<std::uint32_t>(std::ssize(world_.subs)) : 96;
  bounds.bytes_max = crowd ? 10'000'000 : 120'000;
  return bounds;
}

LedgerBounds Relay::ledger_bounds() const {
  LedgerBounds bounds;
  bounds.count_max = world_.weather.hanging > 0 ? 128 : 24;
  bounds.span_max = 128;
  return bounds;
}

Relay::Relay(World& world, int worker)
    : world_(world),
      life_(std::make_shared<Life>()),
      scheduler_(scheduler_bounds()),
      retry_(retry_plan()),
      jitter_(world.random.next()) {
  life_->worker = worker;
  life_->serial = ++world.lives;
  for (int sub = 0; sub < std::ssize(world.subs); ++sub) {
    QueueConfig config;
    config.ordering = world.subs[World::at(sub)].ordering;
    config.concurrency = world.fault == Fault::NoConcurrencyBudget ? 1000 : kConcurrency;
    config.jobs_max = kQueueJobs;
    const bool boundless =
        world.fault == Fault::NoQueueBound || world.fault == Fault::NoConcurrencyBudget;
    if (boundless) config.jobs_max = 1000;
    config.rate = world.subs[World::at(sub)].rate;
    config.breaker.trip_after = boundless ? 1'000'000 : 5;
    config.breaker.cool_down_max = seconds{8};
    queues_.push_back(&scheduler_.add_queue(config));
    subs_[queues_.back()->index] = sub;
  }
  tick();
}

Relay::~Relay() = default;

bool Relay::has_room(int sub) const {
  const eventrelay::relay::SubscriptionQueue& queue = *queues_[World::at(sub)];
  if (queue.breaker.state() != CircuitBreaker::State::Closed) return queue.jobs == 0;
  return queue.jobs < queue.config.jobs_max;
}

ReadinessGate::Readiness Relay::look(std::string_view subscription) {
  ReadinessGate::Readiness answer;
  for (int sub = 0; sub < std::ssize(world_.subs); ++sub) {
    if (world_.subs[World::at(sub)].id != subscription) continue;
    const CircuitBreaker& breaker = queue_of(sub).breaker;
    const auto probe = breaker.probe_at();
    const bool closed = breaker.state() == CircuitBreaker::State::Closed;
    answer.open = has_room(sub) && (closed || (probe && *probe <= world_.clock.now()));
    answer.replay_open = answer.open;
    answer.ordering = world_.subs[World::at(sub)].ordering;
  }
  return answer;
}

Held& Relay::hold(const Part& part, Held::From from, std::int64_t at) {
  auto held = std::make_unique<Held>();
  const SimEvent& event = event_of(part, at);
  held->from = from;
  held->at = at;
  held->stay = part.stay;
  held->partition = Partition{part.id};
  held->offset = Offset{at};
  held->epoch = part.epoch;
  held->bytes = event.bytes;
  held->event.object_id = event.object;
  Held& result = *held;
  held_[&result] = std::move(held);
  return result;
}

Relay::Part* Relay::find(int partition, std::uint64_t stay) {
  Part* const part = parts_[World::at(partition)].get();
  return part != nullptr && part->stay == stay ? part : nullptr;
}

Relay::Part* Relay::part_of(const Job& job) {
  const Held& held = held_of(job);
  return find(held.partition.value, held.stay);
}

// --- reading -------------------------------------------------------------------------------------

Admitted Relay::admit(Held& held, int sub, const JobState& state) {
  eventrelay::relay::SubscriptionQueue* const queue = &queue_of(sub);
  const Admitted admitted = scheduler_.admit(held, std::span(&queue, 1), state);
  if (admitted == Admitted::Yes) ++counters_.taken;
  return admitted;
}

// True: it went on.
bool Relay::read_live(Part& part) {
  if (part.stage != Stage::Running || part.next >= world_.log_end(part.id)) return false;
  const Offset at{part.next};
  const SimEvent& event = event_of(part, part.next);
  if (!part.waits) {
    switch (part.ledger.begin(at)) {
      case OffsetLedger::Begin::Started:
        part.waits = true;
        break;
      case OffsetLedger::Begin::AlreadyDone:
        ++world_.tally.restored;
        ++part.next;
        return true;
      case OffsetLedger::Begin::Backwards:
        world_.breach("the ledger went backwards");
        return false;
      case OffsetLedger::Begin::Full: {
        // Whoever waits with most leaves, or the partition stands still.
        int crowd = -1;
        std::uint32_t most = 0;
        for (int sub = 0; sub < std::ssize(queues_); ++sub) {
          if (world_.subs[World::at(sub)].partition != part.id) continue;
          const eventrelay::relay::SubscriptionQueue& queue = queue_of(sub);
          const std::uint32_t queued = queue.jobs - queue.in_flight;
          if (queued > most && (!queue.fresh.empty() || !queue.urgent.empty())) {
            most = queued;
            crowd = sub;
          }
        }
        if (crowd >= 0) detach(part, crowd, CursorState::Detached, {});
        return false;
      }
    }
  }
  std::vector<eventrelay::relay::SubscriptionQueue*> queues;
  for (int sub = 0; sub < std::ssize(queues_); ++sub) {
    if (world_.subs[World::at(sub)].partition != part.id || !world_.wants(sub, event)) continue;
    const Cover cover = part.cursors->meet(world_.key(sub, event), at, world_.moment());
    if (cover == Cover::NotYet && world_.fault != Fault::SkipBeforeDurable) {
      write_state(part);
      return false;
    }
    if (cover == Cover::None) queues.push_back(&queue_of(sub));
  }
  if (!queues.empty()) {
    Held& held = hold(part, Held::From::Live, part.next);
    if (scheduler_.admit(held, queues) == Admitted::Full) {
      held_.erase(&held);
      bool any = false;
      for (const eventrelay::relay::SubscriptionQueue* const queue : queues) {
        if (queue->jobs < queue->config.jobs_max) continue;
        detach(part, subs_.at(queue->index), CursorState::Detached, {});
        any = true;
      }
      return any;
    }
    counters_.taken += queues.size();
  } else {
    static_cast<void>(part.ledger.finish(at, part.epoch));
  }
  part.waits = false;
  ++part.next;
  return true;
}

void Relay::pump_later() {
  if (std::exchange(pump_posted_, true)) return;
  world_.clock.after(Duration{}, life_, [this] {
    pump_posted_ = false;
    pump();
  });
}

void Relay::pump() {
  if (pumping_ || !world_.broken.empty()) return;
  pumping_ = true;
  for (bool on = true; on && world_.broken.empty();) {
    while (Job* const job = scheduler_.next(world_.clock.now())) send(*job);
    on = false;
    if (scheduler_.slots_scarce()) break;
    for (const auto& part : parts_) {
      if (part == nullptr) continue;
      for (int i = 0; i < 8 && read_live(*part); ++i) on = true;
      for (int i = 0; i < 8 && read_catch_up(*part); ++i) on = true;
      for (int step = 0; step < kStepCount; ++step) on = read_delay(*part, step) || on;
    }
  }
  static_cast<void>(scheduler_.take_room());
  pumping_ = false;
  const auto due = scheduler_.next_due();
  if (!due || *due >= woken_at_) return;
  woken_at_ = *due;
  world_.clock.after(*due - world_.clock.now(), life_, [this, at = *due] {
    if (woken_at_ != at) return;
    woken_at_ = TimePoint::max();
    pump();
  });
}

// --- attempts ------------------------------------------------------------------------------------

void Relay::send(Job& job) {
  if (Part* const part = part_of(job)) part->flying.insert(&job);
  const int sub = sub_of(job);
  const std::int64_t at = held_of(job).at;
  world_.note("send", life_->worker, sub, at);
  const Reply reply = world_.call(life_, sub, at);
  if (reply.took) {
    // It has it a little before the answer is heard, whatever becomes of the sender.
    const int partition = world_.subs[World::at(sub)].partition;
    const std::uint64_t stay = world_.stays[World::at(partition)];
    world_.clock.after(reply.after - reply.after / 4,
                       [life = life_, sub, at, partition, stay, &world = world_] {
                         world.took(life, sub, at, stay == world.stays[World::at(partition)]);
                       });
  }
  world_.clock.after(reply.after, life_, [this, &job, reply] { on_end(job, reply); });
}

void Relay::on_end(Job& job, const Reply& reply) {
  Part* const part = part_of(job);
  if (part != nullptr) part->flying.erase(&job);
  if (reply.retry != RetryClass::Delivered) {
    fail(job, reply);
  } else {
    const Held& held = held_of(job);
    if (part != nullptr && held.from == Held::From::Live && !part->cursors->empty()) {
      part->cursors->live_ended(world_.subs[World::at(sub_of(job))].id, Offset{held.at});
    }
    if (part != nullptr && held.from == Held::From::CatchUp) {
      part->cursors->done(job.cursor, Offset{held.at});
    }
    ++counters_.delivered;
    settle(scheduler_.finish(job, world_.clock.now()));
  }
  pump();
  if (part != nullptr && part->stage == Stage::Revoking) advance_revoke(*part);
}

void Relay::settle(const Finished& finished) {
  if (finished.held == nullptr) return;
  Held& held = *static_cast<Held*>(finished.held);
  Part* const part = find(held.partition.value, held.stay);
  if (part != nullptr && finished.done) {
    if (held.from == Held::From::Live) {
      static_cast<void>(part->ledger.finish(Offset{held.at}, part->epoch));
    } else if (held.from == Held::From::Delay) {
      Delay& delay = part->delays[World::at(held.step)];
      if (world_.fault != Fault::DelayCommitsHead) {
        static_cast<void>(delay.ledger.finish(Offset{held.place}, delay.epoch));
      }
    }
  }
  held_.erase(&held);
}

// --- now and then --------------------------------------------------------------------------------

void Relay::commit(Part& part) {
  if (part.cursors == nullptr) return;
  Committed now{part.ledger.committable(), part.ledger.encode_ranges()};
  if (world_.fault == Fault::CommitLive) now = Committed{Offset{part.next}, {}};
  if (now.offset && (now.offset != part.told.offset || now.metadata != part.told.metadata)) {
    part.told = now;
    world_.write(
        life_, World::Topic::Commit, part.id,
        [id = part.id, now, life = life_, generation = world_.generations[World::at(part.id)],
         &world = world_] { static_cast<void>(world.commit_events(life, id, generation, now)); },
        [this, id = part.id, stay = part.stay, now] {
          Part* const owned = find(id, stay);
          if (owned == nullptr || world_.owner[World::at(id)] != life_) return;
          if (owned->cursors) owned->cursors->committed(*now.offset);
        });
  }
  for (int step = 0; step < kStepCount; ++step) {
    Delay& delay = part.delays[World::at(step)];
    Committed told{delay.ledger.committable(), delay.ledger.encode_ranges()};
    if (!told.offset) continue;
    if (told.offset == delay.told.offset && told.metadata == delay.told.metadata) continue;
    delay.told = told;
    world_.write(
        life_, World::Topic::Commit, kPartitions + part.id * kStepCount + step,
        [id = part.id, step, told, life = life_, over = delay.over,
         stay = world_.stays[World::at(part.id)], &world = world_] {
          if (*over) return;
          world.commit_delay(id, step, told);
          // Nothing fences these: a former owner may set them back.
          if (world.owner[World::at(id)] != life || world.stays[World::at(id)] != stay) {
            world.excuse(id);
          }
        },
        [] {});
  }
}

void Relay::tick() {
  for (const auto& part : parts_) {
    if (part == nullptr) continue;
    act(*part, part->ownership.again());
    if (part->cursors == nullptr) continue;
    commit(*part);
    part->cursors->commit(world_.clock.now(), CommitMode::WhenDue);
    write_state(*part);
    settle_covered(*part);
    if (world_.healed) {
      for (const Subscriber& sub : world_.subs) {
        if (sub.partition == part->id) static_cast<void>(part->cursors->resume(sub.id));
      }
    }
    if (part->stage == Stage::Revoking) advance_revoke(*part);
  }
  look_at_breakers();
  pump();
  check();
  world_.clock.after(kTick, life_, [this] { tick(); });
}

// Counters balance, and nothing grows past its bound.
void Relay::check() {
  const Counters& c = counters_;
  const std::uint64_t ended = c.delivered + c.parked + c.dead + c.cursor + c.given_back + c.dropped;
  if (c.taken != ended + scheduler_.jobs()) {
    world_.breach("counters do not balance: taken " + std::to_string(c.taken) + ", ended " +
                  std::to_string(ended) + ", in memory " + std::to_string(scheduler_.jobs()));
  }
  const SchedulerBounds bounds = scheduler_bounds();
  std::size_t bytes = 0;
  for (const auto& [key, held] : held_) bytes += held->bytes;
  if (bytes != scheduler_.held_bytes()) world_.breach("held bytes are counted wrong");
  if (bytes > bounds.bytes_max + 2200 || scheduler_.jobs() > bounds.jobs_max) {
    world_.breach("more in memory than the bound");
  }
  if (scheduler_.in_flight() > kInFlight) world_.breach("more in flight than the bound");
  for (const eventrelay::relay::SubscriptionQueue* const queue : queues_) {
    if (queue->in_flight > kConcurrency) world_.breach("a subscription has more than its slots");
    if (queue->jobs > kQueueJobs) world_.breach("a subscription has more than its places");
  }
  for (const auto& part : parts_) {
    if (part == nullptr) continue;
    if (part->ledger.in_flight() > ledger_bounds().count_max) world_.breach("a window is too wide");
  }
}

bool Relay::idle() const {
  if (scheduler_.jobs() > 0) return false;
  for (const auto& part : parts_) {
    if (part == nullptr) continue;
    if (part->stage != Stage::Running || part->cursors->writes_pending() > 0) return false;
    if (part->next < std::ssize(world_.logs[World::at(part->id)])) return false;
    if (world_.committed[World::at(part->id)].offset != Offset{part->next}) return false;
    for (const CursorStatus& cursor : part->cursors->oldest(100)) {
      if (cursor.record.from.value < part->next) return false;
    }
  }
  return true;
}

std::string Relay::describe() const {
  std::string text = "jobs " + std::to_string(scheduler_.jobs());
  for (const auto& part : parts_) {
    if (part == nullptr) continue;
    text += "; partition " + std::to_string(part->id) + " next " + std::to_string(part->next) +
            " waits " + std::to_string(part->waits) + " stage " +
            std::to_string(static_cast<int>(part->stage)) + " covered " +
            std::to_string(part->covered.size()) + " away " + std::to_string(part->backlog.size());
    if (part->cursors == nullptr) continue;
    for (const CursorStatus& cursor : part->cursors->oldest(5))
      text += "\n" + encode(cursor.record);
  }
  return text;
}

}  // namespace eventrelay::relay::simulation
