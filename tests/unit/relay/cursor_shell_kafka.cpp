// The shell's catch-up read, records, commits and ends.
#include <algorithm>

#include "tests/unit/relay/cursor_shell.hpp"

namespace eventrelay::relay::sim {

void Shell::catch_up_step() {
  if (!cursors_->catching_up()) {
    if (const auto from = cursors_->begin_catch_up(*this, Offset{live_}, world_.moment())) {
      catch_up_at_ = from->value;
      world_.say("sweep", static_cast<std::size_t>(live_), catch_up_at_);
    }
    return;
  }
  const std::int64_t top = live_;
  if (world_.chance(0.3)) {
    const auto next = cursors_->next_wanted();
    if (next) catch_up_at_ = std::max(catch_up_at_, std::min(next->value, top));
  }
  if (catch_up_at_ >= top || cursors_->following() == 0) {
    cursors_->passed(Offset{std::min(catch_up_at_, top)});
    return cursors_->end_catch_up(Offset{live_});
  }
  const Offset at{catch_up_at_};
  std::vector<CursorId> takers;
  for (std::size_t sub = 0; sub < world_.subs.size(); ++sub) {
    if (!world_.wants(sub, catch_up_at_)) continue;
    takers.clear();
    cursors_->offer(world_.key(sub, catch_up_at_), at, world_.moment(), takers);
    for (const CursorId cursor : takers) {
      if (!has_room(sub)) {
        world_.say("stays behind", sub, at.value, cursor);
        cursors_->defer(cursor, at);
        continue;
      }
      world_.say("handed", sub, at.value, cursor);
      cursors_->dispatched(cursor, at);
      queues_[sub].push_back(Job{sub, catch_up_at_, cursor, false, false});
      if (world_.fault == Fault::DoneAtHandout) cursors_->done(cursor, at);
    }
  }
  cursors_->passed(Offset{++catch_up_at_});
}

// What the log start will soon reach goes to the dead-letter topic.
void Shell::expire_step() {
  if (cursors_->catching_up()) return;
  const std::int64_t taken = ledger_.committable().value_or(Offset{0}).value;
  const Offset below{static_cast<std::int64_t>(world_.pick(static_cast<std::size_t>(taken + 1)))};
  const auto from = cursors_->begin_expire(below);
  if (!from) return;
  for (std::int64_t at = from->value; at < below.value; ++at) {
    for (std::size_t sub = 0; sub < world_.subs.size(); ++sub) {
      if (!world_.wants(sub, at)) continue;
      std::vector<CursorId> takers;
      cursors_->offer(world_.key(sub, at), Offset{at}, world_.moment(), takers);
      for (const CursorId cursor : takers) {
        world_.say("rescued", sub, at, cursor);
        cursors_->dispatched(cursor, Offset{at});
        put_away(Job{sub, at, cursor, false, false});
      }
    }
    cursors_->passed(Offset{at + 1});
  }
  cursors_->end_catch_up(Offset{live_});
}

void Shell::write() {
  while (auto next = cursors_->next_write()) {
    if (world_.fault == Fault::CursorAtReread && !next->value.empty()) {
      StateRecord record = *decode_state(next->value);
      BacklogCursor cursor;
      cursor.reread = record.position;
      CursorBook::restore(cursor, record.ranges);
      record.position = cursor.reread;
      record.ranges.clear();
      next->value = encode(record);
    }
    pending_.push_back(Pending{next->key, next->value, next->token, {}});
  }
}

// The first record on its way is in the log.
void Shell::land() {
  write();
  if (pending_.empty()) return;
  const Pending record = std::move(pending_.front());
  pending_.pop_front();
  if (record.key.empty()) {
    world_.put_away(record.job.sub, record.job.at);
  } else {
    world_.land(record.key, record.value);
  }
  landed_.push_back(record);
}

void Shell::acknowledge() {
  if (landed_.empty()) return;
  const Pending record = std::move(landed_.front());
  landed_.pop_front();
  if (!record.key.empty()) {
    static_cast<void>(cursors_->acknowledge(record.token));
  } else {
    const auto is_it = [&](const Job& job) {
      return job.sub == record.job.sub && job.at == record.job.at && job.owner == record.job.owner;
    };
    backlog_.erase(std::find_if(backlog_.begin(), backlog_.end(), is_it));
    finished(record.job);
  }
  settle_leaving();
  if (cursors_->writes_pending() == 0) safe_position_ = mark_;
}

void Shell::commit_ledger() {
  if (zombie_) return;
  auto next = ledger_.committable();
  if (!next) return;
  if (world_.fault == Fault::CommitLive) next = Offset{live_};
  world_.commit(next->value, ledger_.encode_ranges());
  cursors_->committed(*next);
  safe_ledger_ = known();
  for (std::size_t at = 0; at < left_.size(); ++at) open_then_[at] = left_[at] > 0;
}

void Shell::follow() {
  for (; followed_ < world_.state.size(); ++followed_) {
    const StateRow& row = world_.state[followed_];
    std::optional<StateEpoch> epoch;
    if (row.key == kOwnerKey) {
      epoch = decode_owner(row.value)->epoch;
    } else if (!row.value.empty()) {
      epoch = decode_state(row.value)->epoch;
    }
    if (world_.fault == Fault::NoRepair && epoch && *epoch < cursors_->epoch()) continue;
    if (world_.fault == Fault::NoRepair && !epoch) continue;
    if (cursors_->followed(row.key, epoch) == Followed::Fenced) fenced_ = true;
  }
  // Compaction waits long enough for what is found to be written again.
  if (zombie_ || cursors_->writes_pending() > 0 || !pending_.empty()) return;
  if (!world_.chance(0.3)) return;
  world_.compact(followed_);
  followed_ = world_.state.size();
}

void Shell::flip_off() {
  const std::size_t sub = world_.pick(world_.subs.size());
  if (cursors_->is_off(world_.subs[sub].id)) {
    static_cast<void>(cursors_->resume(world_.subs[sub].id));
  } else if (world_.chance(0.2)) {
    detach(sub, world_.chance(0.5) ? CursorState::Off : CursorState::Detached, nullptr);
  }
}

void Shell::step() {
  if (fenced_) return;
  const double a = world_.chance(0.5) ? world_.random.unit() : 0.5 + world_.random.unit() / 2;
  if (a < 0.15) return take_live();
  if (a < 0.28) return start_attempt();
  if (a < 0.45) return end_attempt();
  if (a < 0.70) return catch_up_step();
  if (a < 0.80) return world_.chance(world_.slow) ? land() : void();
  if (a < 0.90) return world_.chance(world_.slow) ? acknowledge() : void();
  if (a < 0.93) return commit_ledger();
  if (a < 0.96) {
    mark_ = known();
    return cursors_->commit(world_.moment().now, CommitMode::Exactly);
  }
  if (a < 0.975) return follow();
  if (a < 0.985) {
    const std::size_t sub = world_.pick(world_.subs.size());
    world_.down[sub] = !world_.down[sub];
    return;
  }
  if (a < 0.993) return flip_off();
  if (world_.weather.expires && world_.chance(0.2)) expire_step();
}

void Shell::work() {
  for (std::size_t sub = 0; sub < world_.subs.size(); ++sub) {
    world_.down[sub] = false;
    static_cast<void>(cursors_->resume(world_.subs[sub].id));
  }
  take_live();
  for (int i = 0; i < 4; ++i) {
    start_attempt();
    end_attempt();
    catch_up_step();
  }
  land();
  acknowledge();
  if (world_.chance(0.1)) {
    cursors_->commit(world_.moment().now, CommitMode::Exactly);
    commit_ledger();
    follow();
  }
}

bool Shell::idle() const {
  if (live_ < kEvents || !pending_.empty() || !landed_.empty()) return false;
  // One that begins behind the last event stays until there is another.
  const std::vector<CursorStatus> left = cursors_->oldest(8);
  return cursors_->counts().attached == 0 &&
         std::all_of(left.begin(), left.end(), [](const CursorStatus& status) {
           return status.record.from.value == kEvents;
         });
}

std::string Shell::describe() const {
  std::string text = "live " + std::to_string(live_) + ", writes " +
                     std::to_string(cursors_->writes_pending()) + ", pending " +
                     std::to_string(pending_.size()) + ", leaving " +
                     std::to_string(leaving_.size()) + ", ledger " +
                     std::to_string(ledger_.committable().value_or(Offset{-1}).value);
  for (const CursorStatus& status : cursors_->oldest(10)) text += "\n" + encode(status.record);
  return text;
}

// Deliveries of which everybody has heard: not what is put away and not acknowledged.
std::uint64_t Shell::known() const {
  const auto unheard = std::count_if(landed_.begin(), landed_.end(),
                                     [](const Pending& record) { return record.key.empty(); });
  return world_.deliveries - static_cast<std::uint64_t>(unheard);
}

std::uint64_t Shell::at_risk() const {
  // The ledger knows events, not who of their subscribers had them.
  std::uint64_t shared = 0;
  for (std::size_t at = 0; at < left_.size(); ++at) {
    for (std::size_t sub = 0; open_then_[at] && sub < world_.subs.size(); ++sub) {
      if (world_.times[sub][at] > 0) ++shared;
    }
  }
  return world_.deliveries - std::min(safe_position_, safe_ledger_) + shared;
}

void Shell::drain() {
  if (cursors_->catching_up()) cursors_->end_catch_up(Offset{live_});
  for (std::size_t sub = 0; sub < queues_.size(); ++sub) {
    bool live = false;
    for (Job& job : queues_[sub]) {
      const Offset at{job.at};
      job.in_flight = false;
      live = live || job.owner == kLivePath;
      if (job.owner != kLivePath) cursors_->give_back(job.owner, std::span(&at, 1));
    }
    // An event that others have had already is not sent to them again.
    if (live) detach(sub, CursorState::Detached, nullptr);
    queues_[sub].clear();
  }
  const auto flush = [this] {
    do {
      land();
      acknowledge();
    } while (cursors_->writes_pending() > 0 || !pending_.empty() || !landed_.empty());
  };
  flush();
  cursors_->commit(world_.moment().now, CommitMode::Exactly);
  flush();
  commit_ledger();
}

void Shell::crash() {
  write();
  for (std::size_t lands = world_.pick(pending_.size() + 1); lands > 0; --lands) land();
}

}  // namespace eventrelay::relay::sim
