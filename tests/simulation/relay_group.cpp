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
  part = std::make_unique<Part>();
  part->id = partition;
  part->stay = ++stays_;
  part->ledger = OffsetLedger(ledger_bounds());
  part->name = "w" + std::to_string(life_->serial) + "-" + std::to_string(part->stay);
  world_.note("assigned", life_->worker, partition);
  take_over(*part);
}

// Reads the state topic to its end and sets its mark.
void Relay::take_over(Part& part) {
  world_.clock.after(world_.ms(5, 60), life_, [this, id = part.id, stay = part.stay] {
    if (find(id, stay) != nullptr) mark(id, stay);
  });
}

void Relay::mark(int partition, std::uint64_t stay) {
  Part& part = *find(partition, stay);
  StateTable table;
  for (const StateRow& row : world_.state[World::at(partition)]) {
    static_cast<void>(table.take(row.key, row.value));
  }
  part.state_epoch = table.epoch() + 1;
  const StateRow row{std::string(kOwnerKey), encode(OwnerRecord{part.state_epoch, part.name})};
  const auto at = std::make_shared<std::size_t>(0);
  world_.write(
      life_, World::Topic::State, partition,
      [partition, row, at, life = life_, &world = world_] {
        *at = world.put_state(life, partition, row);
      },
      [this, partition, stay, at] {
        if (find(partition, stay) != nullptr) read_marked(partition, stay, *at);
      });
}

// Up to its own mark; the mark counts unless somebody else was faster.
void Relay::read_marked(int partition, std::uint64_t stay, std::size_t row) {
  Part& part = *find(partition, stay);
  StateTable table;
  for (std::size_t i = 0; i <= row; ++i) {
    const StateRow& one = world_.state[World::at(partition)][i];
    if (world_.fault == Fault::NoFencing && !one.value.empty() && one.key != kOwnerKey) {
      StateRecord record = *decode_state(one.value);
      record.epoch = std::max(record.epoch, table.epoch());
      static_cast<void>(table.take(one.key, encode(record)));
      continue;
    }
    static_cast<void>(table.take(one.key, one.value));
  }
  if (table.owner() != part.name || table.epoch() != part.state_epoch) return mark(partition, stay);
  part.followed = row + 1;
  // One commit that the group accepts: no mark of a former owner is younger than this one.
  world_.write(
      life_, World::Topic::Commit, partition, [] {},
      [this, partition, stay, table] {
        Part* const owned = find(partition, stay);
        if (owned != nullptr && world_.owner[World::at(partition)] == life_) begin(*owned, table);
      });
}

void Relay::begin(Part& part, const StateTable& table) {
  part.cursors = std::make_unique<Cursors>(cursor_bounds(), part.state_epoch);
  for (const auto& [key, record] : table.records()) part.cursors->load(record, world_.moment());
  part.cursors->loaded();
  for (const std::string& key : table.fenced()) {
    static_cast<void>(part.cursors->followed(key, StateEpoch{0}));
  }
  const Committed& known = world_.committed[World::at(part.id)];
  part.epoch = part.ledger.assign(known.offset);
  part.ledger.restore(known.metadata);
  if (known.offset && world_.fault != Fault::CursorsIgnoreRanges) {
    part.cursors->ledger_restored(*known.offset, known.metadata);
  }
  part.next = known.offset.value_or(Offset{0}).value;
  part.known_to = World::end_of(known);
  for (int step = 0; step < kStepCount; ++step) {
    Delay& delay = part.delays[World::at(step)];
    const Committed& told = world_.delays_committed[World::at(part.id)][World::at(step)];
    delay.ledger = OffsetLedger(delay_bounds());
    delay.epoch = delay.ledger.assign(told.offset);
    delay.ledger.restore(told.metadata);
    delay.next = told.offset.value_or(Offset{0}).value;
  }
  part.stage = Stage::Running;
  world_.disturbed(part.id);
  world_.note("owner", life_->worker, part.id, part.next);
  world_.state_grew[World::at(part.id)] = [this, id = part.id, stay = part.stay, life = life_,
                                           &world = world_] {
    world.clock.after(world.ms(1, 20), life, [this, id, stay] { follow(id, stay); });
  };
  write_state(part);
  pump_later();
  follow(part.id, part.stay);  // it may be gone after this
}

// What came behind the mark. A record of our own is durable once it is read back here.
void Relay::follow(int partition, std::uint64_t stay) {
  Part* const part = find(partition, stay);
  if (part == nullptr || part->cursors == nullptr) return;
  bool durable = false;
  const auto& rows = world_.state[World::at(partition)];
  for (; part->followed < rows.size(); ++part->followed) {
    const StateRow& row = rows[part->followed];
    std::optional<StateEpoch> epoch;
    if (row.key == kOwnerKey) {
      epoch = decode_owner(row.value)->epoch;
    } else if (!row.value.empty()) {
      epoch = decode_state(row.value)->epoch;
    }
    const auto own = part->own_rows.find(part->followed);
    if (own != part->own_rows.end()) {
      durable = part->cursors->acknowledge(own->second) || durable;
      part->own_rows.erase(own);
      --part->writing;
      continue;
    }
    if (part->cursors->followed(row.key, epoch) != Followed::Fenced) continue;
    // A mark that is younger than ours: take over again, if it is still ours to take.
    ++world_.tally.fenced;
    world_.note("fenced", life_->worker, partition);
    if (part->stage == Stage::Revoking) return;
    drop(partition);
    world_.handed_over(partition);
    return assign(partition);
  }
  write_state(*part);
  if (durable) {
    settle_covered(*part);
    pump_later();
  }
}

void Relay::write_state(Part& part) {
  if (part.cursors == nullptr) return;
  while (auto next = part.cursors->next_write()) {
    ++part.writing;
    world_.write(
        life_, World::Topic::State, part.id,
        [this, id = part.id, stay = part.stay, row = StateRow{next->key, next->value},
         token = next->token, life = life_, &world = world_] {
          // Noted before those who follow hear of it; a dead process hears nothing.
          if (life->alive) {
            if (Part* const owned = find(id, stay)) {
              owned->own_rows[world.state[World::at(id)].size()] = token;
            }
          }
          static_cast<void>(world.put_state(life, id, row));
        },
        [] {});
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
  if (part->plan.sweeping()) end_sweep(*part);
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
  const bool busy = !part.flying.empty() || !part.away.empty() || !part.covered.empty() ||
                    part.writing > 0 || part.cursors->writes_pending() > 0;
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
