// Delay topics and dead letters: what leaves memory, and how it comes back.
#include <algorithm>

#include "relay.hpp"

namespace eventrelay::relay::simulation {

void Relay::park(Job& job, const Step& step) {
  Part& part = *part_of(job);
  ParkRecord record;
  record.at = held_of(job).at;
  record.subscriber = sub_of(job);
  record.attempts = job.attempts_made;
  record.due = step.due;
  record.first_failure = job.first_failure.value_or(world_.clock.wall());
  const int delay = static_cast<int>(step.delay);
  if (world_.fault == Fault::SettleBeforeParked) {
    world_.write(
        life_, World::Topic::Retry, part.id,
        [id = part.id, delay, record, life = life_, known = world_.stays[World::at(part.id)],
         &world = world_] { world.park(life, known, id, delay, record); },
        [] {});
    ++counters_.parked;
    return settle(scheduler_.settle(job, End::Done));
  }
  part.backlog.push_back(&job);
  world_.write(
      life_, World::Topic::Retry, part.id,
      [id = part.id, delay, record, life = life_, known = world_.stays[World::at(part.id)],
       &world = world_] { world.park(life, known, id, delay, record); },
      [this, &job, id = part.id, stay = part.stay] {
        ++counters_.parked;
        written(job, id, stay);
      });
}

// The event is where it waits or stays, and leaves memory.
void Relay::written(Job& job, int partition, std::uint64_t stay) {
  if (Part* const owned = find(partition, stay)) {
    std::erase(owned->backlog, &job);
    const Offset at{held_of(job).at};
    if (held_of(job).from == Held::From::CatchUp) {
      owned->cursors->done(job.cursor, at);
    } else if (held_of(job).from == Held::From::Live) {
      owned->cursors->live_ended(world_.subs[World::at(sub_of(job))].id, at);
    }
  }
  settle(scheduler_.settle(job, End::Done));
  pump_later();
}

void Relay::dead_letter(Job& job) {
  Part& part = *part_of(job);
  part.backlog.push_back(&job);
  world_.write(
      life_, World::Topic::Dead, part.id,
      [id = part.id, sub = sub_of(job), at = held_of(job).at, life = life_, &world = world_] {
        world.dead_letter(life, id, sub, at);
      },
      [this, &job, id = part.id, stay = part.stay] {
        ++counters_.dead;
        written(job, id, stay);
      });
}

// True: it went on.
bool Relay::read_delay(Part& part, int step) {
  if (part.stage != Stage::Running) return false;
  Delay& delay = part.delays[World::at(step)];
  const auto& topic = world_.parked[World::at(part.id)][World::at(step)];
  if (!delay.head) {
    if (delay.next >= std::ssize(topic)) return false;
    switch (delay.ledger.begin(Offset{delay.next})) {
      case OffsetLedger::Begin::Full:
        return false;
      case OffsetLedger::Begin::AlreadyDone:
        ++world_.tally.restored;
        ++delay.next;
        return true;
      case OffsetLedger::Begin::Backwards:
        world_.breach("the ledger of a delay topic went backwards");
        return false;
      case OffsetLedger::Begin::Started:
        break;
    }
    delay.head = topic[static_cast<std::size_t>(delay.next)];
    ++delay.next;
    if (world_.fault == Fault::DelayCommitsHead) {
      static_cast<void>(delay.ledger.finish(Offset{delay.next - 1}, delay.epoch));
    }
    const Duration wait = delay.head->due - world_.clock.wall();
    if (wait > Duration{}) world_.clock.after(wait, life_, [this] { pump_later(); });
  }
  if (delay.written_again || delay.head->due > world_.clock.wall()) return false;
  const ParkRecord record = *delay.head;
  if (!has_room(record.subscriber)) {
    write_again(part, step);
    return false;
  }
  Held& held = hold(part, Held::From::Delay, record.at);
  held.step = step;
  held.place = delay.next - 1;
  JobState state;
  state.attempts_made = record.attempts;
  state.first_failure = record.first_failure;
  state.urgent = true;
  if (admit(held, record.subscriber, state) == Admitted::Full) {
    held_.erase(&held);
    return false;
  }
  delay.head.reset();
  return true;
}

// Its queue is full, or its breaker open: again into the shortest step, with what it had.
void Relay::write_again(Part& part, int step) {
  Delay& delay = part.delays[World::at(step)];
  delay.written_again = true;
  ParkRecord record = *delay.head;
  record.due = world_.clock.wall() + kSteps.front();
  const std::int64_t place = delay.next - 1;
  world_.write(
      life_, World::Topic::Retry, part.id,
      [id = part.id, record, life = life_, known = world_.stays[World::at(part.id)],
       &world = world_] { world.park(life, known, id, 0, record); },
      [this, id = part.id, stay = part.stay, step, place] {
        Part* const owned = find(id, stay);
        if (owned == nullptr) return;
        Delay& mine = owned->delays[World::at(step)];
        mine.head.reset();
        mine.written_again = false;
        if (world_.fault != Fault::DelayCommitsHead) {
          static_cast<void>(mine.ledger.finish(Offset{place}, mine.epoch));
        }
        pump_later();
      });
}

}  // namespace eventrelay::relay::simulation
