#include "tests/unit/relay/cursor_shell.hpp"

#include <algorithm>

namespace eventrelay::relay::sim {

namespace {

LedgerBounds ledger_bounds() {
  LedgerBounds bounds;
  bounds.count_max = 12;
  bounds.span_max = 64;
  return bounds;
}

CursorBounds cursor_bounds() {
  CursorBounds bounds;
  bounds.blocked_max = 3;
  bounds.commit_interval = std::chrono::milliseconds(300);
  bounds.commit_events = 5;
  return bounds;
}

std::vector<Offset> offsets_of(const std::vector<Job>& jobs) {
  std::vector<Offset> offsets;
  for (const Job& job : jobs) offsets.push_back(Offset{job.at});
  std::sort(offsets.begin(), offsets.end());
  return offsets;
}

}  // namespace

// Reads the state topic, sets the mark, reads up to it: here in one step, as nothing is taken or
// delivered before it is done.
Shell::Shell(World& world)
    : world_(world),
      ledger_(ledger_bounds()),
      queues_(world.subs.size()),
      left_(static_cast<std::size_t>(kEvents), 0),
      open_then_(static_cast<std::size_t>(kEvents), false) {
  const StateEpoch epoch = world.read().epoch() + 1;
  world.land(std::string(kOwnerKey), encode(OwnerRecord{epoch, "w" + std::to_string(epoch)}));
  const StateTable table = world.read();
  cursors_ = std::make_unique<Cursors>(cursor_bounds(), epoch);
  for (const auto& [key, record] : table.records()) cursors_->load(record, world.moment());
  cursors_->loaded();
  if (world.fault != Fault::NoRepair) {
    for (const std::string& key : table.fenced()) static_cast<void>(cursors_->followed(key, 0));
  }
  followed_ = world.state.size();
  epoch_ = ledger_.assign(world.committed);
  ledger_.restore(world.metadata);
  const bool says = world.committed && world.fault != Fault::LedgerUnsaid;
  if (says) cursors_->ledger_restored(*world.committed, world.metadata);
  live_ = world.committed.value_or(Offset{0}).value;
  mark_ = safe_position_ = safe_ledger_ = world.deliveries;
}

ReadinessGate::Readiness Shell::look(std::string_view subscription) {
  for (std::size_t sub = 0; sub < world_.subs.size(); ++sub) {
    if (world_.subs[sub].id != subscription) continue;
    Readiness readiness;
    readiness.open = has_room(sub) && (!world_.down[sub] || world_.chance(0.3));
    readiness.replay_open = readiness.open;
    readiness.ordering = world_.subs[sub].ordering;
    return readiness;
  }
  return {};
}

// --- the live path -------------------------------------------------------------------------------

void Shell::take_live() {
  if (live_ >= kEvents) return;
  const Offset at{live_};
  if (!begun_) {
    switch (ledger_.begin(at)) {
      case OffsetLedger::Begin::Started:
        begun_ = true;
        break;
      case OffsetLedger::Begin::AlreadyDone:
        ++live_;
        return;
      case OffsetLedger::Begin::Backwards:
        world_.broken = "ledger goes backwards";
        return;
      case OffsetLedger::Begin::Full:
        for (std::size_t sub = 0; sub < queues_.size(); ++sub) {
          if (!queues_[sub].empty()) return detach(sub, CursorState::Detached, nullptr);
        }
        return;
    }
  }
  std::vector<std::size_t> mine;
  for (std::size_t sub = 0; sub < world_.subs.size(); ++sub) {
    if (!world_.wants(sub, live_)) continue;
    const Cover cover = cursors_->meet(world_.key(sub, live_), at, world_.moment());
    if (cover == Cover::NotYet && world_.fault != Fault::SkipBeforeAck) return;
    if (cover == Cover::None) mine.push_back(sub);
  }
  for (const std::size_t sub : mine) {
    if (!has_room(sub)) return detach(sub, CursorState::Detached, nullptr);
  }
  for (const std::size_t sub : mine)
    queues_[sub].push_back(Job{sub, live_, kLivePath, false, false});
  left_[static_cast<std::size_t>(live_)] = static_cast<int>(mine.size());
  if (mine.empty()) static_cast<void>(ledger_.finish(at, epoch_));
  begun_ = false;
  ++live_;
}

// `failed`: a job that is not in its queue any more and waits with the others.
void Shell::detach(std::size_t sub, CursorState state, const Job* failed) {
  std::vector<Job> queued;
  std::vector<Job> held;
  std::vector<Job> kept;
  for (const Job& job : queues_[sub]) {
    const bool live = job.owner == kLivePath;
    if (live && !job.in_flight) {
      queued.push_back(job);
      continue;
    }
    if (live) held.push_back(job);
    kept.push_back(job);
  }
  queues_[sub] = std::move(kept);
  for (const Job& job : backlog_) {
    if (job.sub == sub && job.owner == kLivePath) held.push_back(job);
  }
  if (failed != nullptr) queued.push_back(*failed);
  if (world_.fault == Fault::HeldUnnamed) held.clear();
  const std::vector<Offset> queued_at = offsets_of(queued);
  const std::vector<Offset> held_at = offsets_of(held);
  Detach detach;
  detach.subscription = world_.subs[sub].id;
  detach.ordering = world_.subs[sub].ordering;
  detach.live = Offset{live_};
  detach.queued = queued_at;
  detach.held = held_at;
  detach.state = state;
  // Without an order the queue takes its jobs as they came.
  for (std::size_t i = queued.size(); i > 0 && !queued[i - 1].flown; --i) {
    if (detach.ordering == Ordering::None) detach.untouched = Offset{queued[i - 1].at};
  }
  detach.reason = "full";
  const CursorId cursor = cursors_->detach(detach, world_.moment());
  world_.say("detach", sub, live_, cursor);
  for (const Job& job : queued) world_.say("  queued", sub, job.at);
  for (const Job& job : held) world_.say("  held", sub, job.at);
  leaving_.insert(leaving_.end(), queued.begin(), queued.end());
  if (world_.fault != Fault::SettleAtOnce) return;
  for (const Job& job : queued) settle_live(job);
  leaving_.resize(leaving_.size() - queued.size());
}

void Shell::settle_leaving() {
  std::vector<Job> kept;
  for (const Job& job : leaving_) {
    switch (cursors_->cover(world_.key(job.sub, job.at), Offset{job.at})) {
      case Cover::Durable:
        settle_live(job);
        break;
      case Cover::NotYet:
        kept.push_back(job);
        break;
      case Cover::None:
        world_.broken = "nobody answers for " + std::to_string(job.at);
        break;
    }
  }
  leaving_ = std::move(kept);
}

void Shell::settle_live(const Job& job) {
  if (--left_[static_cast<std::size_t>(job.at)] == 0) {
    static_cast<void>(ledger_.finish(Offset{job.at}, epoch_));
  }
}

// --- attempts ------------------------------------------------------------------------------------

bool Shell::may_start(std::size_t sub, std::size_t index) const {
  const std::vector<Job>& queue = queues_[sub];
  if (queue[index].in_flight) return false;
  const auto busy =
      std::count_if(queue.begin(), queue.end(), [](const Job& job) { return job.in_flight; });
  if (busy >= kInFlightMax) return false;
  // What is on its way to a dead-letter topic holds its chain until it is there.
  for (const Job& job : backlog_) {
    if (job.sub == sub && world_.same_chain(sub, job.at, queue[index].at)) return false;
  }
  return std::none_of(
      queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(index),
      [&](const Job& job) { return world_.same_chain(sub, job.at, queue[index].at); });
}

void Shell::start_attempt() {
  const std::size_t sub = world_.pick(queues_.size());
  for (std::size_t i = 0; i < queues_[sub].size(); ++i) {
    if (!may_start(sub, i)) continue;
    queues_[sub][i].in_flight = queues_[sub][i].flown = true;
    return;
  }
}

void Shell::end_attempt() {
  const std::size_t sub = world_.pick(queues_.size());
  std::vector<std::size_t> flying;
  for (std::size_t i = 0; i < queues_[sub].size(); ++i) {
    if (queues_[sub][i].in_flight) flying.push_back(i);
  }
  if (flying.empty()) return;
  const std::size_t index = flying[world_.pick(flying.size())];
  Job job = queues_[sub][index];
  job.in_flight = false;
  queues_[sub].erase(queues_[sub].begin() + static_cast<std::ptrdiff_t>(index));
  if (world_.down[sub] || world_.chance(0.1)) return fail(job);
  world_.deliver(sub, job.at);
  finished(job);
}

void Shell::finished(const Job& job) {
  const Offset at{job.at};
  if (job.owner != kLivePath) return cursors_->done(job.owner, at);
  cursors_->live_ended(world_.subs[job.sub].id, at);
  settle_live(job);
}

// Written to a delay or dead-letter topic; finished when that is acknowledged.
void Shell::put_away(const Job& job) {
  backlog_.push_back(job);
  pending_.push_back(Pending{{}, {}, 0, job});
}

void Shell::fail(Job job) {
  const std::size_t sub = job.sub;
  if (world_.subs[sub].ordering != Ordering::None) return fail_ordered(job);
  if (world_.chance(0.1)) {  // 410
    put_away(job);
    return detach(sub, CursorState::Off, nullptr);
  }
  const bool breaker_open = world_.down[sub] && world_.chance(0.5);
  if (!breaker_open || job.owner == kLivePath) return put_away(job);
  const Offset at{job.at};
  cursors_->give_back(job.owner, std::span(&at, 1));
}

// The jobs behind `job` in its chain, out of the queue.
std::vector<Job> Shell::take_chain(const Job& job) {
  std::vector<Job> chain;
  std::vector<Job> kept;
  for (const Job& one : queues_[job.sub]) {
    (world_.same_chain(job.sub, one.at, job.at) ? chain : kept).push_back(one);
  }
  if (world_.fault == Fault::ChainGoesOn) return {};
  queues_[job.sub] = std::move(kept);
  std::sort(chain.begin(), chain.end(),
            [](const Job& one, const Job& other) { return one.at < other.at; });
  return chain;
}

void Shell::give_back_chain(const Job& job) {
  std::vector<Job> chain{job};
  if (world_.fault != Fault::GiveBackAlone) {
    const std::vector<Job> behind = take_chain(job);
    chain.insert(chain.end(), behind.begin(), behind.end());
  }
  for (const Job& one : chain) {
    const Offset at{one.at};
    if (one.owner == kLivePath) {
      world_.broken = "a live job behind one that goes on in the log";
      return;
    }
    cursors_->give_back(one.owner, std::span(&at, 1));
    world_.say("give back", one.sub, one.at, one.owner);
  }
}

void Shell::fail_ordered(const Job& job) {
  const EventKey key = world_.key(job.sub, job.at);
  std::uint32_t attempts = 1;
  bool detached = false;
  if (const auto handout = cursors_->handout(job.owner)) {
    attempts = handout->attempts_made + 1;
    detached = handout->state == CursorState::Detached;
  }
  if (attempts >= kAttemptsMax && !world_.down[job.sub]) return put_away(job);
  const bool goes_on = detached && cursors_->goes_on(job.owner);
  if (goes_on && world_.down[job.sub] && world_.chance(0.5)) return give_back_chain(job);
  const std::vector<Job> behind = take_chain(job);
  std::vector<ChainJob> chain;
  for (const Job& one : behind) chain.push_back(ChainJob{Offset{one.at}, one.owner});
  Block block;
  block.key = key;
  block.at = Offset{job.at};
  block.owner = job.owner;
  block.chain = chain;
  block.due = world_.moment().wall + std::chrono::milliseconds(world_.pick(400));
  block.attempt = attempts;
  block.first_failure = world_.moment().wall;
  block.reason = "http_5xx";
  std::vector<Job> all = behind;
  all.insert(all.begin(), job);
  world_.say("block", job.sub, job.at, job.owner);
  for (const Job& one : behind) world_.say("  behind", one.sub, one.at, one.owner);
  const bool blocked = cursors_->block(block, world_.moment()).has_value();
  if (blocked) {
    for (const Job& one : all) {
      if (one.owner == kLivePath) leaving_.push_back(one);
    }
    return;
  }
  // Too many are blocked: the whole subscription waits, this event with it.
  bool live = false;
  for (const Job& one : all) {
    const Offset at{one.at};
    if (one.owner == kLivePath) {
      queues_[one.sub].push_back(one);
      live = true;
    } else {
      cursors_->give_back(one.owner, std::span(&at, 1));
    }
  }
  if (live) detach(job.sub, CursorState::Detached, nullptr);
}

}  // namespace eventrelay::relay::sim
