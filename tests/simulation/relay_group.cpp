// A partition comes and goes: taking its state over, following it, giving it up, losing it.
#include <algorithm>

#include "relay.hpp"

namespace eventrelay::relay::simulation {

namespace {

constexpr Duration kRevokeWait = seconds{3};

LedgerBounds delay_bounds() {
  LedgerBounds bounds;
  bounds.count_max = 16;
  bounds.span_max = 64;
  return bounds;
}

CursorBounds cursor_bounds() {
  CursorBounds bounds;
  bounds.blocked_max = 3;
  bounds.commit_interval = milliseconds{700};
  bounds.commit_events = 10;
  return bounds;
}

}  // namespace

void Relay::assign(int partition) {
  auto& part = parts_[World::at(partition)];
  const std::uint64_t stay = ++stays_;
  part = std::make_unique<Part>("w" + std::to_string(life_->serial) + "-" + std::to_string(stay));
  part->id = partition;
  part->stay = stay;
  look_up(*part);
  world_.note("assigned", life_->worker, partition);
  world_.state_grew[World::at(partition)][life_->serial] = [this, partition, stay, life = life_,
                                                            &world = world_] {
    world.clock.after(world.ms(1, 20), life, [this, partition, stay] { follow(partition, stay); });
  };
  // It reads the state topic to its end.
  world_.clock.after(world_.ms(5, 60), life_, [this, partition, stay] {
    follow(partition, stay);
    if (Part* const owned = find(partition, stay)) act(*owned, owned->ownership.at_end());
  });
}

// Where the group stands is asked before the state is read: what is done later is in neither.
void Relay::look_up(Part& part) {
  part.known = world_.committed[World::at(part.id)];
  part.ledger = OffsetLedger(ledger_bounds());
  part.epoch = part.ledger.assign(part.known.offset);
  part.ledger.restore(part.known.metadata);
  part.next = part.known.offset.value_or(Offset{0}).value;
  part.known_to = World::end_of(part.known);
  for (int step = 0; step < kStepCount; ++step) {
    Delay& delay = part.delays[World::at(step)];
    const Committed& told = world_.delays_committed[World::at(part.id)][World::at(step)];
    delay.ledger = OffsetLedger(delay_bounds());
    delay.epoch = delay.ledger.assign(told.offset);
    delay.ledger.restore(told.metadata);
    delay.next = told.offset.value_or(Offset{0}).value;
  }
}

void Relay::act(Part& part, Ownership::Action act) {
  switch (act) {
    case Ownership::Action::None:
      return;
    case Ownership::Action::Mark:
      return world_.write(
          life_, World::Topic::State, part.id,
          [id = part.id, row = StateRow{std::string(kOwnerKey), part.state.mark()}, life = life_,
           &world = world_] { world.put_state(life, id, row); },
          [] {});
    case Ownership::Action::Confirm:
      return confirm(part);
    case Ownership::Action::Own:
      return own(part);
  }
}

// The group takes it from its owner alone.
void Relay::confirm(const Part& part) {
  const auto accepted = std::make_shared<bool>(world_.fault == Fault::OwnUnconfirmed);
  world_.write(
      life_, World::Topic::Commit, part.id,
      [id = part.id, accepted, life = life_, &world = world_] {
        *accepted = *accepted || world.owner[World::at(id)] == life;
      },
      [this, id = part.id, stay = part.stay, accepted] {
        Part* const owned = find(id, stay);
        if (owned != nullptr) act(*owned, owned->ownership.confirmed(*accepted));
      });
}

void Relay::own(Part& part) {
  const bool first = part.cursors == nullptr;
  if (!first) ++world_.tally.owned_again;
  part.cursors = &part.state.own(cursor_bounds(), world_.moment());
  world_.note("owner", life_->worker, part.id, first ? 1 : 0);
  if (first) begin(part);
  write_state(part);
  pump_later();
}

void Relay::begin(Part& part) {
  if (part.known.offset && world_.fault != Fault::CursorsIgnoreRanges) {
    part.cursors->ledger_restored(*part.known.offset, part.known.metadata);
  }
  part.stage = Stage::Running;
  world_.disturbed(part.id);
}

void Relay::follow(int partition, std::uint64_t stay) {
  using Verdict = StateFollower::Verdict;
  for (;;) {
    Part* const part = find(partition, stay);
    const auto& rows = world_.state[World::at(partition)];
    if (part == nullptr || part->followed >= rows.size()) return;
    switch (read_state(*part, rows[part->followed++])) {
      case Verdict::Fine:
        break;
      case Verdict::Durable:
        settle_covered(*part);
        pump_later();
        [[fallthrough]];
      case Verdict::Write:
        write_state(*part);
        break;
      case Verdict::MarkCounts:
        act(*part, part->ownership.mark_counts());
        break;
      case Verdict::Beaten:
        ++world_.tally.beaten;
        world_.note("beaten", life_->worker, partition);
        act(*part, part->ownership.beaten());
        break;
    }
  }
}

StateFollower::Verdict Relay::read_state(Part& part, const StateRow& row) const {
  std::string value = row.value;
  if (world_.fault == Fault::NoFencing && part.cursors == nullptr && !value.empty() &&
      row.key != kOwnerKey) {
    StateRecord record = *decode_state(value);
    record.epoch = std::max(record.epoch, part.state.highest());
    value = encode(record);
  }
  return *part.state.take(row.key, value);
}

void Relay::write_state(Part& part) {
  while (auto next = part.state.next_write()) {
    world_.write(
        life_, World::Topic::State, part.id,
        [id = part.id, row = StateRow{next->key, next->value}, life = life_, &world = world_] {
          world.put_state(life, id, row);
        },
        [this, id = part.id, stay = part.stay, token = next->token] {
          Part* const owned = find(id, stay);
          if (owned == nullptr) return;
          const auto seen = owned->state.stored(token);
          if (seen == StateFollower::Verdict::Fine) return;
          write_state(*owned);
          if (seen != StateFollower::Verdict::Durable) return;
          settle_covered(*owned);
          pump_later();
        });
  }
}

// --- the end -------------------------------------------------------------------------------------

void Relay::revoke(int partition, std::function<void()> released) {
  Part* const part = parts_[World::at(partition)].get();
  if (part == nullptr || part->stage != Stage::Running) {
    if (part != nullptr) drop(partition);
    return released();
  }
  world_.note("revoked", life_->worker, partition);
  part->stage = Stage::Revoking;
  part->released = std::move(released);
  part->revoke_by = world_.clock.now() + kRevokeWait;
  if (part->plan.catching_up()) end_catch_up(*part);
  // What waits is dropped, not done; what is in flight may still be delivered.
  std::vector<Finished> finished;
  const std::uint32_t before = scheduler_.jobs();
  scheduler_.remove(Partition{partition}, finished);
  counters_.dropped += before - scheduler_.jobs();
  for (const Finished& one : finished) settle(one);
  advance_revoke(*part);
}

void Relay::advance_revoke(Part& part) {
  part.cursors->commit(world_.clock.now(), CommitMode::Exactly);
  write_state(part);
  settle_covered(part);
  const bool busy = !part.flying.empty() || !part.backlog.empty() || !part.covered.empty() ||
                    part.cursors->writes_pending() > 0;
  if (busy && world_.clock.now() < part.revoke_by) return;
  // The last commit is waited for: it is there before anybody else has the partition.
  const Committed now{part.ledger.committable(), part.ledger.encode_ranges()};
  if (now.offset) {
    const std::uint64_t generation = world_.generations[World::at(part.id)];
    static_cast<void>(world_.commit_events(life_, part.id, generation, now));
  }
  for (int step = 0; step < kStepCount; ++step) {
    const Delay& delay = part.delays[World::at(step)];
    const Committed told{delay.ledger.committable(), delay.ledger.encode_ranges()};
    *delay.over = true;
    if (told.offset) world_.commit_delay(part.id, step, told);
  }
  const auto released = std::move(part.released);
  drop(part.id);
  released();
}

void Relay::drop(int partition) {
  Part& part = *parts_[World::at(partition)];
  std::vector<Finished> finished;
  const std::uint32_t before = scheduler_.jobs();
  scheduler_.remove(Partition{partition}, finished);
  counters_.dropped += before - scheduler_.jobs();
  for (Job* const job : part.covered) {
    ++counters_.dropped;
    finished.push_back(scheduler_.settle(*job, End::NotDone));
  }
  world_.note("dropped", life_->worker, partition);
  parts_[World::at(partition)] = nullptr;
  for (const Finished& one : finished) settle(one);
}

void Relay::lose(int partition) {
  if (parts_[World::at(partition)] == nullptr) return;
  std::function<void()> released = std::move(parts_[World::at(partition)]->released);
  drop(partition);
  if (released) released();
  pump_later();
}

void Relay::kill() {
  life_->alive = false;
  life_->died = world_.clock.now();
  world_.note("killed", life_->worker);
}

void Relay::stop(Duration pause) {
  life_->stopped_until = world_.clock.now() + pause;
  life_->sends_late = world_.chance(0.5);
  world_.note("stopped", life_->worker, pause / milliseconds{1});
}

}  // namespace eventrelay::relay::simulation
