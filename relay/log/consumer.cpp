#include "relay/log/consumer.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/base/assert.hpp"
#include "common/observe/log.hpp"
#include "common/process/failpoint.hpp"
#include "relay/log/commit_text.hpp"

namespace eventrelay::relay {

using Hold = PartitionState::Hold;
using Share = PartitionState::Share;

// --- assignment ---------------------------------------------------------------------------------

void Consumer::assign(std::span<const kafka::Assigned> partitions) {
  for (const kafka::Assigned& assigned : partitions) {
    auto& known = partitions_[assigned.partition.value];
    if (known == nullptr) known = std::make_unique<PartitionState>(window_);
    PartitionState& partition = *known;
    if (partition.owned) continue;
    partition.unread_since = {};
    partition.id = assigned.partition;
    partition.owned = partition.reading = true;
    partition.stopped.clear();
    partition.hold = Hold::No;
    partition.cursors = nullptr;
    partition.at_hand.reset();
    partition.behind = false;
    partition.awaited.reset();
    partition.share = Share::Within;
    partition.position = assigned.committed;
    partition.committed = assigned.committed;
    partition.assigned_at = assigned.committed;
    CommitText text = decode_commit(assigned.metadata);
    partition.ranges = std::move(text.ranges);
    partition.begun = assigned.committed ? text.begun : std::nullopt;
    partition.starts_awaited = 0;
    partition.seen.clear();
    partition.folded.clear();
    partition.ledger.assign(assigned.committed);
    if (!partition.ranges.empty()) partition.ledger.restore(partition.ranges);
    owned_.push_back(&partition);
    partition.has_data = true;  // until next() says otherwise
    enter_turn(partition);
  }
}

void Consumer::open(Partition id, Cursors& cursors) {
  PartitionState* const partition = find(id);
  if (partition == nullptr || !partition->owned) return;
  partition->cursors = &cursors;
  // Some of what the ranges call done was left to a cursor.
  if (partition->assigned_at && !failpoint::skips("tell-ranges"))
    cursors.ledger_restored(*partition->assigned_at, partition->ranges);
  enter_turn(*partition);
}

std::optional<Offset> Consumer::live_position(const PartitionState& partition) {
  return partition.at_hand ? partition.at_hand : partition.position;
}

void Consumer::stop_reading(Partition id) {
  PartitionState* const partition = find(id);
  if (partition == nullptr || !partition->reading) return;
  partition->reading = false;
  leave_turn(*partition);
  let_go(*partition);
  forget_unread(*partition);
}

void Consumer::drop(Partition id) {
  PartitionState* const partition = find(id);
  if (partition == nullptr || !partition->owned) return;
  stop_reading(id);
  partition->owned = false;
  partition->blocked = false;
  partition->cursors = nullptr;
  // Ends the epoch: what is still in flight can not touch the next assignment's ledger.
  partition->ledger.assign(std::nullopt);
  std::erase(owned_, partition);
}

void Consumer::begin_anew(Partition id, TimePoint now) {
  PartitionState* const partition = find(id);
  if (partition == nullptr || !partition->owned || !partition->reading) return;
  slab_.relay_log_restarts_total.add();
  log::warn("the events of a partition are read from the start of their log",
            {{"partition", id}, {"position", partition->position.value_or(Offset{-1})}});
  let_go(*partition);
  forget_unread(*partition);
  partition->at_hand.reset();
  partition->awaited.reset();
  if (std::exchange(partition->behind, false) && gate_ != nullptr)
    gate_->on_read_to_end(*partition);
  partition->position.reset();
  partition->committed.reset();
  partition->assigned_at.reset();
  partition->ranges.clear();
  partition->begun.reset();
  partition->seen.clear();
  partition->folded.clear();
  partition->ledger.assign(std::nullopt);  // ends the epoch of what is in flight
  partition->starts_awaited = kStartsAwaited;
  partition->start_asked = now;
  member_->read_anew(id);
  partition->has_data = true;
  enter_turn(*partition);
}

void Consumer::await_starts(TimePoint now) {
  for (PartitionState* partition : owned_) {
    if (partition->starts_awaited <= 1 || !partition->reading) continue;
    if (now - partition->start_asked < kStartAgain) continue;
    const std::optional<kafka::Watermarks> log = member_->watermarks(partition->id);
    if (log && log->end == log->start) continue;  // nothing is there yet
    --partition->starts_awaited;
    partition->start_asked = now;
    partition->coming.clear();
    member_->read_anew(partition->id);
  }
}

// Whether a record may be the first of a log that began anew: the library may have gone on in the
// middle instead, and is asked again then.
bool Consumer::is_start(PartitionState& partition, Offset offset) {
  const std::optional<kafka::Watermarks> log = member_->watermarks(partition.id);
  const bool first = offset <= (log ? log->start : Offset{0});
  if (!first && partition.starts_awaited > 1) return false;
  partition.starts_awaited = 0;
  return true;
}

PartitionState* Consumer::find(Partition id) {
  const auto it = partitions_.find(id.value);
  return it == partitions_.end() ? nullptr : it->second.get();
}

// --- turns --------------------------------------------------------------------------------------

void Consumer::enter_turn(PartitionState& partition) {
  const bool wanted =
      partition.reading && partition.stopped.empty() && partition.hold == Hold::No &&
      !partition.blocked && (gate_ == nullptr || partition.cursors != nullptr) &&
      (partition.has_data || partition.waiting != nullptr || !partition.coming.empty());
  if (!wanted || partition.in_turn) return;
  partition.in_turn = true;
  turn_.push_back(&partition);
}

void Consumer::leave_turn(PartitionState& partition) {
  if (!partition.in_turn) return;
  partition.in_turn = false;
  const auto it = std::find(turn_.begin(), turn_.end(), &partition);
  const auto at = static_cast<std::size_t>(it - turn_.begin());
  turn_.erase(it);
  if (at < next_turn_) --next_turn_;
}

void Consumer::on_readable(Partition id) {
  PartitionState* const partition = find(id);
  if (partition == nullptr) return;
  partition->has_data = true;
  enter_turn(*partition);
}

std::size_t Consumer::read(std::size_t max, Reach reach) {
  if (scheduler_.take_room()) {
    let_go_of(Hold::Queue);
    let_go_of(Hold::State);
  }
  std::size_t count = 0;
  // A round in which every partition had enough ends it.
  for (std::size_t passed = 0; count < max && passed < turn_.size();) {
    if (next_turn_ >= turn_.size()) next_turn_ = 0;
    PartitionState& partition = *turn_[next_turn_];
    if (has_enough(partition, reach)) {
      ++passed;
      ++next_turn_;
      continue;
    }
    passed = 0;
    count += read_from(partition, std::min(kTurn, max - count));
    if (partition.in_turn) ++next_turn_;
  }
  return count;
}

bool Consumer::has_enough(PartitionState& partition, Reach reach) {
  const bool over = over_its_share(partition);
  if (over != (partition.share != Share::Within)) {
    partition.share = over ? Share::Used : Share::Within;
  }
  const bool awaited = partition.awaited && live_position(partition) <= partition.awaited;
  const bool far = reach == Reach::Far || awaited;
  const auto share = static_cast<std::uint32_t>(kEnough / owned_.size());
  if (!over && (far || partition.held_count < std::max(share, kEnoughLeast))) return false;
  held_back(partition);
  // A subscription that can not be served must not fill the window.
  if (over && gate_ != nullptr) gate_->shrink_window(partition);
  return true;
}

// What one partition holds must leave room for the others: a quarter of the shard's bounds is for
// any partition, and of another quarter each has an equal share. The rest is for catch-up reads.
bool Consumer::over_its_share(const PartitionState& partition) const noexcept {
  const SchedulerBounds& bounds = scheduler_.bounds();
  if (scheduler_.held_bytes() > bounds.bytes_max / 4 &&
      partition.held_bytes > bounds.bytes_max / 4 / owned_.size()) {
    return true;
  }
  return scheduler_.jobs() > bounds.jobs_max / 4 &&
         partition.held_count > bounds.jobs_max / 4 / owned_.size();
}

void Consumer::await(Partition id, Offset offset, TimePoint now) {
  PartitionState* const partition = find(id);
  if (partition == nullptr || !partition->reading) return;
  // Events that wait one after the other, each for a moment, are one wait without a break.
  const bool goes_on = partition->awaited && now - partition->awaited_seen <= kAwaitedBreak;
  if (!goes_on) partition->awaited_since = now;
  partition->awaited = offset;
  partition->awaited_seen = now;
  retry(id);
}

void Consumer::retry(Partition id) {
  PartitionState* const partition = find(id);
  if (partition == nullptr) return;
  if (partition->hold != Hold::Queue && partition->hold != Hold::Window) return;
  let_go(*partition);
  enter_turn(*partition);
}

void Consumer::held_back(PartitionState& partition) {
  if (std::exchange(partition.behind, true) || gate_ == nullptr) return;
  gate_->on_held_back(partition);
}

std::size_t Consumer::read_from(PartitionState& partition, std::size_t max) {
  for (std::size_t count = 0; count < max; ++count) {
    HeldRecord* record = std::exchange(partition.waiting, nullptr);
    if (record == nullptr) {
      std::optional<kafka::Message> message = next_message(partition, max - count);
      if (!message) {
        partition.has_data = false;
        leave_turn(partition);
        partition.awaited.reset();
        if (std::exchange(partition.behind, false) && gate_ != nullptr) {
          gate_->on_read_to_end(partition);
        }
        return count;
      }
      if (partition.starts_awaited > 0 && !is_start(partition, message->offset())) continue;
      record = load(partition, std::move(*message));
      if (record == nullptr) return count;
    }
    partition.at_hand = record->offset;
    if (take(partition, *record) != Verdict::Yes) return count;
    partition.at_hand.reset();
  }
  return max;
}

std::optional<kafka::Message> Consumer::next_message(PartitionState& partition, std::size_t max) {
  if (partition.coming.empty()) fetch(partition, max);
  if (partition.coming.empty()) return std::nullopt;
  kafka::Message message = std::move(partition.coming.back());
  partition.coming.pop_back();
  return message;
}

void Consumer::fetch(PartitionState& partition, std::size_t max) {
  expected_.clear();
  while (partition.coming.size() < max) {
    std::optional<kafka::Message> message = member_->next(partition.id);
    if (!message) break;
    InstanceId id;
    const std::string_view key = message->key();
    std::from_chars(key.data(), key.data() + key.size(), id.value);
    expected_.push_back(id);
    partition.coming.push_back(std::move(*message));
  }
  std::reverse(partition.coming.begin(), partition.coming.end());
  subscriptions_.expect(expected_);
}

// What was read and not taken.
void Consumer::forget_unread(PartitionState& partition) {
  partition.coming.clear();
  if (HeldRecord* const record = std::exchange(partition.waiting, nullptr)) {
    free(partition, *record, End::NotDone);
  }
}

HeldRecord* Consumer::load(PartitionState& partition, kafka::Message message) {
  HeldRecord& record = records_.take();
  const auto event = message.event(record.texts);
  if (!event) {
    records_.free(record);
    stop(partition, "offset " + std::to_string(message.offset().value) + ": " +
                        std::string(describe(event.error())));
    return nullptr;
  }
  failpoint::at("after-consume");
  note_begin(partition, message);
  slab_.relay_events_consumed_total.add();
  partition.unread_since = std::max(partition.unread_since, event->received);
  record.event = *event;
  record.bits.reset();
  if (!event->provider_id.empty()) record.bits = event_bits(event->id);
  if (record.bits) partition.seen.expect(*record.bits);
  record.partition = partition.id;
  record.offset = message.offset();
  record.bytes = cost_of(message);
  record.message = std::move(message);
  record.owner = this;
  record.home = &partition;
  record.born = age_;
  partition.held.push_back(record);
  ++partition.held_count;
  partition.held_bytes += record.bytes;
  return &record;
}

void Consumer::note_begin(PartitionState& partition, const kafka::Message& message) {
  const bool first = message.offset() == Offset{0};
  if (partition.begun && !first) return;
  const bool all_before = first || !partition.assigned_at;  // it was read from its start
  partition.begun = all_before ? message.stamped() : WallTime{message.stamped() + kClocksDiffer};
}

// --- one record ---------------------------------------------------------------------------------

Consumer::Verdict Consumer::take(PartitionState& partition, HeldRecord& record) {
  if (!record.begun) {
    const Verdict begun = begin(partition, record);
    if (begun != Verdict::Yes) return begun;
    if (!record.begun) return Verdict::Yes;  // finished before the restart, or folded
  }
  queues_.clear();
  const Subscriptions::Match match = subscriptions_.match(record.event, queues_);
  if (match != Subscriptions::Match::Some) {
    unmatched(partition, record, match);
    return Verdict::Yes;
  }
  if (partition.cursors != nullptr && !partition.cursors->empty()) {
    const GateVerdict pass = gate_->pass(record, queues_);
    if (pass == GateVerdict::Wait) hold(partition, record, Hold::State);
    if (pass == GateVerdict::Wait) return Verdict::Held;
    if (pass == GateVerdict::Done) free(partition, record, End::Done);
    if (pass == GateVerdict::Done) return Verdict::Yes;
  }
  if (scheduler_.admit(record, queues_) == Admitted::Full) {
    const bool leaves = gate_ != nullptr && gate_->make_room(record, queues_);
    hold(partition, record, leaves ? Hold::State : Hold::Queue);
    return Verdict::Held;
  }
  return Verdict::Yes;
}

// Done, unless its instance may yet come.
void Consumer::unmatched(PartitionState& partition, HeldRecord& record,
                         Subscriptions::Match match) {
  ++unmatched_;
  if (match == Subscriptions::Match::UnknownInstance) {
    EVENTRELAY_ASSERT(unknown_ != nullptr);
    return unknown_->keep(record);
  }
  slab_.relay_unmatched_total.add(match == Subscriptions::Match::DeletedInstance
                                      ? metrics::Unmatched::DeletedInstance
                                      : metrics::Unmatched::NoSubscription);
  free(partition, record, End::Done);
}

Consumer::Verdict Consumer::begin(PartitionState& partition, HeldRecord& record) {
  using Begin = OffsetLedger::Begin;
  Begin begun = partition.ledger.begin(record.offset);
  if (begun == Begin::Backwards) {
    log::warn("partition went backwards: its log was cut or is read again",
              {{"partition", partition.id},
               {"offset", record.offset},
               {"position", partition.position.value_or(Offset{-1})}});
    partition.ledger.assign(record.offset);
    partition.folded.clear();
    partition.seen.clear();  // it would take what is read again for repeated
    if (record.offset == Offset{0}) restarted(partition);
    begun = partition.ledger.begin(record.offset);
  }
  switch (begun) {
    case Begin::Started:
      record.begun = true;
      record.epoch = partition.ledger.epoch();
      if (sums_ != nullptr) sums_->note_received(record.event.instance, record.event.received);
      break;
    case Begin::AlreadyDone:
      ++already_done_;
      static_cast<void>(seen_before(partition, record));
      free(partition, record, End::Done);
      break;
    case Begin::Full:
      if (gate_ != nullptr) gate_->shrink_window(partition);
      hold(partition, record, Hold::Window);
      return Verdict::Held;
    case Begin::Backwards:
      EVENTRELAY_ASSERT(false);
  }
  partition.position = Offset{record.offset.value + 1};
  if (record.begun && seen_before(partition, record)) {
    slab_.relay_folded_total.add();
    free(partition, record, End::Done);
  }
  return Verdict::Yes;
}

void Consumer::restarted(PartitionState& partition) {
  slab_.relay_log_restarts_total.add();
  partition.committed.reset();
  partition.assigned_at.reset();
  partition.ranges.clear();
  if (restarted_) restarted_(partition.id);
}

// A provider that got no answer in time sends again, and both were stored. The first of them is
// unfinished, parked, detached or delivered: in every case something covers it.
bool Consumer::seen_before(PartitionState& partition, const HeldRecord& record) {
  if (!record.bits || partition.seen.note(*record.bits) != DuplicateWindow::Verdict::Before) {
    return false;
  }
  if (partition.folded.size() == DuplicateWindow::kIds) partition.folded.pop_front();
  partition.folded.push_back(record.offset);
  return true;
}

bool Consumer::folded(Partition id, Offset offset) {
  const PartitionState* const partition = find(id);
  return partition != nullptr &&
         std::binary_search(partition->folded.begin(), partition->folded.end(), offset);
}

void Consumer::settled(HeldRecord& record, End end) {
  PartitionState& partition = *record.home;
  free(partition, record, end);
  // A window that was full is read again when a quarter of it has become free.
  const std::uint32_t low = window_.count_max / 4 * 3;
  if (partition.hold == Hold::Window && partition.ledger.in_flight() <= low) {
    let_go(partition);
    enter_turn(partition);
  }
}

// The record leaves memory. Not done: its offset stays open, so nothing is committed past it.
void Consumer::free(PartitionState& partition, HeldRecord& record, End end) {
  const bool done = end == End::Done;
  if (done && record.begun) partition.ledger.finish(record.offset, record.epoch);
  if (done && budget_ != nullptr) budget_->give_back(record.event.body.size());
  unlink(partition.held, record);
  --partition.held_count;
  partition.held_bytes -= record.bytes;
  records_.free(record);
}

void Consumer::age() {
  for (PartitionState* partition : owned_) {
    // In the order in which they were read, so the young ones are at the end.
    for (HeldRecord& record : partition->held) {
      if (age_ == record.born) break;
      record.copy_out();
    }
  }
  ++age_;
}

// --- holding back -------------------------------------------------------------------------------

void Consumer::hold(PartitionState& partition, HeldRecord& record, Hold why) {
  partition.waiting = &record;
  partition.hold = why;
  leave_turn(partition);
  held_back_.push_back(&partition);
  if (why == Hold::Queue || why == Hold::Window) held_back(partition);
}

void Consumer::let_go(PartitionState& partition) {
  if (partition.hold == Hold::No) return;
  partition.hold = Hold::No;
  std::erase(held_back_, &partition);
}

void Consumer::let_go_of(Hold why) {
  for (std::size_t i = held_back_.size(); i-- > 0;) {
    PartitionState& partition = *held_back_[i];
    if (partition.hold != why) continue;
    let_go(partition);
    enter_turn(partition);
  }
}

void Consumer::state_written(Partition id) {
  PartitionState* const partition = find(id);
  if (partition == nullptr) return;
  if (partition->hold != Hold::State && partition->hold != Hold::Window) return;
  let_go(*partition);
  enter_turn(*partition);
}

void Consumer::block(Partition id) {
  PartitionState* const partition = find(id);
  if (partition == nullptr) return;
  partition->blocked = true;
  leave_turn(*partition);
}

void Consumer::unblock(Partition id) {
  PartitionState* const partition = find(id);
  if (partition == nullptr) return;
  partition->blocked = false;
  enter_turn(*partition);
}

void Consumer::stop_partition(Partition id, std::string reason) {
  PartitionState* const partition = find(id);
  if (partition != nullptr && partition->owned) stop(*partition, std::move(reason));
}

void Consumer::stop(PartitionState& partition, std::string reason) {
  log::error("partition stopped: a record can not be read",
             {{"partition", partition.id}, {"reason", reason}});
  partition.stopped = std::move(reason);
  leave_turn(partition);
}

std::optional<WallTime> Consumer::oldest_unread(WallTime now) {
  std::optional<WallTime> oldest;
  for (PartitionState* partition : owned_) {
    WallTime& since = partition->unread_since;
    const bool known = since != WallTime{};
    since = known ? std::min(since, now) : now;  // other hosts' clocks may be ahead
    if (partition->waiting == nullptr && partition->coming.empty()) {
      const std::optional<kafka::Watermarks> log = member_->watermarks(partition->id);
      if (!log) continue;
      const Offset next = std::max(partition->position.value_or(log->start), log->start);
      if (next >= log->end) {
        since = now;
        continue;
      }
    }
    if (!oldest || since < *oldest) oldest = since;
  }
  return oldest;
}

std::optional<WallTime> Consumer::oldest_pending() const {
  std::optional<WallTime> oldest;
  for (const PartitionState* partition : owned_) {
    if (partition->held.empty()) continue;
    const WallTime received = partition->held.front().event.received;
    if (!oldest || received < *oldest) oldest = received;
  }
  return oldest;
}

}  // namespace eventrelay::relay
