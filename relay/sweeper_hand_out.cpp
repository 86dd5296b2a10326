// The sweep's other half: whom a record is handed to, and how its copies end.
#include "common/failpoint.hpp"
#include "relay/sweeper.hpp"

namespace eventrelay::relay {

// Who takes the record at hand, and what becomes of it.
void Sweeper::offer(Sweep& sweep) {
  lanes_.clear();
  sweep.takers.clear();
  sweep.next_taker = 0;
  if (parts_.subscriptions.match(sweep.event, lanes_) != Subscriptions::Match::Some) return;
  for (Lane* const lane : lanes_) {
    entries_.clear();
    const EventKey key{parts_.subscriptions.target(*lane)->id, sweep.event.object_id,
                       lane->config.ordering};
    sweep.cursors->offer(key, sweep.waiting.offset(), moment_, entries_);
    for (const EntryId entry : entries_) sweep.takers.push_back({entry, lane});
  }
}

Sweeper::Went Sweeper::hand_out(Sweep& sweep) {
  while (sweep.next_taker < sweep.takers.size()) {
    const Taker taker = sweep.takers[sweep.next_taker];
    const auto handout = sweep.cursors->handout(taker.entry);
    if (!handout) {
      ++sweep.next_taker;
    } else if (sweep.rescue_below) {
      bury(sweep, taker, *handout);
      ++sweep.next_taker;
    } else if (fits(sweep, taker)) {
      admit(sweep, taker, *handout);
    } else if (no_room(sweep, taker) != Went::On) {
      return sweep.plan.sweeping() ? Went::Waits : Went::Ended;
    }
  }
  sweep.plan.resume();
  const Offset next{sweep.waiting.offset().value + 1};
  sweep.waiting = kafka::Message{};
  sweep.takers.clear();
  sweep.plan.passed(next);
  sweep.cursors->passed(next);
  return Went::On;
}

// Somebody else may have changed whose it is meanwhile: it is offered anew.
Sweeper::Went Sweeper::try_again(Sweep& sweep) {
  if (!fits(sweep, sweep.takers[sweep.next_taker])) {
    if (sweep.plan.pause(monotonic_now())) return Went::Waits;
    end(sweep);
    return Went::Ended;
  }
  offer(sweep);
  return hand_out(sweep);
}

bool Sweeper::fits(const Sweep& sweep, const Taker& taker) const noexcept {
  return has_room(*taker.lane) && budget_left(cost_of(sweep.waiting));
}

// Others go on without it; alone, it waits for room.
Sweeper::Went Sweeper::no_room(Sweep& sweep, const Taker& taker) {
  if (!has_room(*taker.lane) && sweep.cursors->following() > 1) {
    stay_behind(sweep, taker);
    return Went::On;
  }
  if (sweep.plan.pause(monotonic_now())) return Went::Waits;
  end(sweep);
  return Went::Ended;
}

// With all that goes to the same subscription: later events of it must not overtake this one.
void Sweeper::stay_behind(Sweep& sweep, const Taker& taker) {
  sweep.cursors->stay_behind(taker.entry, sweep.waiting.offset());
  auto& next = sweep.next_taker;
  do {
    ++next;
  } while (next < sweep.takers.size() && sweep.takers[next].lane == taker.lane);
}

HeldRecord& Sweeper::copy_of(Sweep& sweep, const Taker& taker) {
  HeldRecord& record = records_.take();
  record.partition = sweep.place.partition;
  record.offset = sweep.waiting.offset();
  record.bytes = cost_of(sweep.waiting);
  record.epoch = sweep.generation;
  record.origin = this;
  record.entry = taker.entry;
  record.event = sweep.event;
  record.keep_copy();  // a message would keep its whole fetch answer in memory
  return record;
}

void Sweeper::note_held(Sweep& sweep, const HeldRecord& record) {
  sweep.cursors->handed(record.entry, record.offset);
  ++sweep.held;
  ++held_;
  held_bytes_ += record.bytes;
}

void Sweeper::free(Sweep& sweep, HeldRecord& record) {
  --sweep.held;
  --held_;
  held_bytes_ -= record.bytes;
  records_.free(record);
}

void Sweeper::admit(Sweep& sweep, const Taker& taker, const Handout& handout) {
  failpoint::at("sweep-event");
  HeldRecord& record = copy_of(sweep, taker);
  const JobState state{handout.attempts_made, taker.entry, handout.first_failure,
                       handout.state == EntryState::Blocked};
  Lane* const lane = taker.lane;
  if (parts_.scheduler.admit(record, {&lane, 1}, state) == Admitted::Yes) {
    note_held(sweep, record);
    ++sweep.next_taker;
    return;
  }
  // The shard is full: it is read again.
  records_.free(record);
  stay_behind(sweep, taker);
}

void Sweeper::bury(Sweep& sweep, const Taker& taker, const Handout& handout) {
  failpoint::at("before-dead");
  HeldRecord& record = copy_of(sweep, taker);
  note_held(sweep, record);
  ParkedState state;
  state.subscription = parts_.subscriptions.target(*taker.lane)->id;
  state.attempts_made = handout.attempts_made;
  state.first_failure = handout.first_failure.value_or(record.event.received);
  state.reason = metrics::kOutcomeWords[static_cast<std::size_t>(metrics::Outcome::Timeout)];
  state.dead_class = kPipelineFailure;
  parts_.outbox.bury(record, state, Sender{this, reinterpret_cast<std::uintptr_t>(&record)});
}

void Sweeper::on_receipt(std::uint64_t token, Receipt receipt) {
  HeldRecord& record = *reinterpret_cast<HeldRecord*>(static_cast<std::uintptr_t>(token));
  if (receipt == Receipt::Written) {
    parts_.slab.relay_rescued_total.add();
    parts_.slab.relay_dead_letters_total.add(metrics::Outcome::Timeout);
  }
  settled(record, receipt == Receipt::Written ? End::Done : End::NotDone);
}

bool Sweeper::budget_left(std::size_t bytes) const noexcept {
  return held_ < parts_.bounds.jobs_max / 2 &&
         (held_ == 0 || held_bytes_ + bytes <= parts_.bounds.bytes_max / 2);
}

// Not done: whoever ended the job has told the cursors what becomes of the event.
void Sweeper::settled(HeldRecord& record, End end) {
  Sweep& sweep = *sweeps_.at(record.partition.value);
  const bool known = sweep.cursors != nullptr && record.epoch == sweep.generation;
  if (known && end == End::Done) {
    sweep.cursors->done(record.entry, record.offset);
    if (parts_.budget != nullptr) parts_.budget->give_back(record.event.body.size());
  }
  free(sweep, record);
}

}  // namespace eventrelay::relay
