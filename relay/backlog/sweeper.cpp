#include "relay/backlog/sweeper.hpp"

#include <algorithm>
#include <utility>

#include "common/base/assert.hpp"
#include "common/kafka/topics.hpp"
#include "common/observe/log.hpp"
#include "common/process/failpoint.hpp"

namespace eventrelay::relay {

namespace {

constexpr std::size_t kTurn = 32;  // records read of one partition before the next
// After so many records that nobody took it is worth asking who wants what: O(entries).
constexpr std::uint32_t kBarren = 512;

kafka::ReaderOptions reader_options(const Config& config, std::size_t prefetch_bytes) {
  kafka::ReaderOptions options;
  options.group = config.relay.group + ".sweep";  // it commits nothing
  options.topics = {kafka::topic_name(config.topics, "events")};
  options.prefetch_bytes = prefetch_bytes;
  options.fetch_wait = std::chrono::milliseconds{50};  // who reads here is behind, not at the end
  return options;
}

SweepRules rules_of(const Config& config) {
  SweepRules rules;
  rules.interval = config.detach.sweep_interval;
  return rules;
}

}  // namespace

Sweeper::Sweeper(Executor executor, const Config& config, SweepParts parts)
    : parts_(std::move(parts)),
      rules_(rules_of(config)),
      gate_(parts_.subscriptions),
      reader_(executor, config.kafka, reader_options(config, parts_.prefetch_bytes), parts_.slab) {}

Sweeper::~Sweeper() = default;

// --- partitions ---------------------------------------------------------------------------------

void Sweeper::add(Partition partition, Cursors& cursors) {
  auto& sweep = sweeps_[partition.value];
  if (sweep == nullptr) sweep = std::make_unique<Sweep>(rules_);
  sweep->place = {0, partition};
  sweep->cursors = &cursors;
  sweep->plan = SweepPlan(rules_);
  ++sweep->generation;
  sweep->stopped = false;
}

void Sweeper::stop(Partition partition) {
  const auto it = sweeps_.find(partition.value);
  if (it == sweeps_.end()) return;
  it->second->stopped = true;
  if (it->second->plan.sweeping()) end(*it->second);
}

void Sweeper::halt() {
  while (!active_.empty()) end(*active_.back());
}

void Sweeper::drop(Partition partition) {
  const auto it = sweeps_.find(partition.value);
  if (it == sweeps_.end()) return;
  stop(partition);
  it->second->cursors = nullptr;  // what is still in flight ends without it
}

bool Sweeper::busy(Partition partition) const {
  const auto it = sweeps_.find(partition.value);
  return it != sweeps_.end() && it->second->held > 0;
}

// --- start and end ------------------------------------------------------------------------------

void Sweeper::poll(Partition partition, const Moment& moment) {
  moment_ = moment;
  gate_.at(moment.now);
  const auto it = sweeps_.find(partition.value);
  if (it == sweeps_.end()) return;
  Sweep& sweep = *it->second;
  if (sweep.stopped || sweep.cursors == nullptr) return;
  if (sweep.plan.paused()) {
    if (try_again(sweep) == Went::On) parts_.admitted();
  } else if (sweep.plan.may_start(moment.now) && !sweep.cursors->empty()) {
    if (!try_rescue(sweep, moment)) try_start(sweep, moment);
  }
}

void Sweeper::try_start(Sweep& sweep, const Moment& moment) {
  const auto live = parts_.live(sweep.place.partition);
  if (!live || !budget_left(0)) return;
  const auto from = sweep.cursors->begin_sweep(gate_, *live, moment);
  if (from) return begin(sweep, *from, moment.now);
  // Who stood at the live position was attached.
  parts_.attached(sweep.place.partition);
}

void Sweeper::begin(Sweep& sweep, Offset from, TimePoint now) {
  failpoint::at("sweep-begin");
  sweep.plan.start(from, now);
  sweep.readable = false;
  sweep.barren = kBarren;  // asks at once
  active_.push_back(&sweep);
  parts_.slab.relay_sweeps_total.add();
  reader_.start(sweep.place, from, *this);
}

void Sweeper::rescue(Partition partition, Offset below) {
  const auto it = sweeps_.find(partition.value);
  if (it != sweeps_.end()) it->second->rescue_wanted = below;
}

// Before any other sweep of its partition: it can not wait.
bool Sweeper::try_rescue(Sweep& sweep, const Moment& moment) {
  const auto below = std::exchange(sweep.rescue_wanted, std::nullopt);
  if (!below || !parts_.live(sweep.place.partition)) return false;
  const auto from = sweep.cursors->begin_rescue(*below);
  if (!from) return false;
  sweep.rescue_below = below;
  begin(sweep, *from, moment.now);
  return true;
}

void Sweeper::find_older(Partition partition, WallTime since, std::function<void(Offset)> done) {
  reader_.bounds_since({{0, partition}}, since,
                       [done = std::move(done)](std::span<const kafka::LogBounds> found) {
                         done(found.front().start);
                       });
}

Offset Sweeper::limit_of(const Sweep& sweep) const {
  const auto live = parts_.live(sweep.place.partition);
  EVENTRELAY_ASSERT(live);
  return sweep.rescue_below ? std::min(*sweep.rescue_below, *live) : *live;
}

void Sweeper::end(Sweep& sweep) {
  if (sweep.waiting) forget_waiting(sweep);
  reader_.stop(sweep.place);
  std::erase(active_, &sweep);
  const auto live = parts_.live(sweep.place.partition);
  const bool at_live = live && !sweep.rescue_below && sweep.plan.position() >= *live;
  sweep.plan.end();
  sweep.rescue_below.reset();
  if (at_live) failpoint::at("before-attach");
  sweep.cursors->end_sweep(live.value_or(sweep.plan.position()));
  if (at_live) failpoint::at("after-attach");
  parts_.attached(sweep.place.partition);
}

// What was read and found no room is read again by the next sweep.
void Sweeper::forget_waiting(Sweep& sweep) {
  while (sweep.next_taker < sweep.takers.size()) {
    stay_behind(sweep, sweep.takers[sweep.next_taker]);
  }
  sweep.takers.clear();
  sweep.next_taker = 0;
  sweep.waiting = kafka::Message{};
}

// --- reading ------------------------------------------------------------------------------------

void Sweeper::on_readable(kafka::Place place) {
  Sweep& sweep = *sweeps_.at(place.partition.value);
  sweep.readable = true;
  parts_.admitted();
}

std::size_t Sweeper::read(std::size_t max) {
  std::size_t count = 0;
  for (std::size_t idle = 0; count < max && idle < active_.size();) {
    if (next_active_ >= active_.size()) next_active_ = 0;
    const std::size_t before = active_.size();
    const std::size_t read = read_from(*active_[next_active_], std::min(kTurn, max - count));
    if (active_.size() == before) ++next_active_;
    idle = read == 0 ? idle + 1 : 0;
    count += read;
  }
  return count;
}

std::size_t Sweeper::read_from(Sweep& sweep, std::size_t max) {
  std::size_t count = 0;
  if (sweep.plan.paused()) {
    if (try_again(sweep) != Went::On) return 0;
    ++count;
  }
  for (; count < max; ++count) {
    if (!sweep.readable || !sweep.plan.sweeping()) return count;
    if (step(sweep) != Went::On) return count;
  }
  return max;
}

Sweeper::Went Sweeper::step(Sweep& sweep) {
  SweepPlan::View view;
  view.live = limit_of(sweep);
  view.following = sweep.cursors->following();
  view.wanted = sweep.plan.position();
  if (sweep.barren >= kBarren) {
    sweep.barren = 0;
    view.wanted = sweep.cursors->next_wanted();
  }
  switch (sweep.plan.next(view)) {
    case SweepPlan::Act::End:
      // Nobody wants what lies between: it is passed as if it had been read.
      if (view.following > 0 && sweep.plan.position() < view.live) {
        sweep.plan.passed(view.live);
        sweep.cursors->passed(view.live);
      }
      end(sweep);
      return Went::Ended;
    case SweepPlan::Act::Jump:
      sweep.plan.passed(*view.wanted);
      sweep.cursors->passed(*view.wanted);
      sweep.readable = false;
      reader_.start(sweep.place, *view.wanted, *this);
      return Went::Waits;
    case SweepPlan::Act::Read:
      return load(sweep);
  }
  return Went::Waits;
}

Sweeper::Went Sweeper::load(Sweep& sweep) {
  kafka::Read read = reader_.next(sweep.place);
  switch (read.found) {
    case kafka::Found::Nothing:
      sweep.readable = false;
      return Went::Waits;
    case kafka::Found::End:
      // The live path may stand behind it: transactions leave marks that nobody reads.
      sweep.plan.passed(read.at);
      sweep.cursors->passed(read.at);
      return Went::On;
    case kafka::Found::Failed:
      return Went::On;
    case kafka::Found::OutOfRange:
      lost(sweep);
      return Went::Waits;
    case kafka::Found::Record:
      break;
  }
  parts_.slab.relay_swept_records_total.add();
  sweep.waiting = std::move(read.message);
  return take(sweep, read.at);
}

Sweeper::Went Sweeper::take(Sweep& sweep, Offset at) {
  const Offset limit = limit_of(sweep);
  if (at >= limit) {
    sweep.waiting = kafka::Message{};
    sweep.plan.passed(limit);
    sweep.cursors->passed(limit);
    end(sweep);
    return Went::Ended;
  }
  auto event = sweep.waiting.event();
  if (!event) {
    parts_.trouble(sweep.place.partition, "offset " + std::to_string(at.value) + ": " +
                                              std::string(describe(event.error())));
    sweep.waiting = kafka::Message{};
    sweep.stopped = true;
    end(sweep);
    return Went::Ended;
  }
  sweep.event = *event;
  offer(sweep);
  sweep.plan.read(!sweep.takers.empty());
  sweep.barren = sweep.takers.empty() ? sweep.barren + 1 : 0;
  return hand_out(sweep);
}

// Retention has taken what an entry still had to get.
void Sweeper::lost(Sweep& sweep) {
  const kafka::Place place = sweep.place;
  sweep.readable = false;
  reader_.stop(place);
  const std::uint32_t generation = sweep.generation;
  reader_.bounds({place}, [this, place, generation](std::span<const kafka::LogBounds> found) {
    go_on_at(place.partition, generation, found.front().start);
  });
}

void Sweeper::go_on_at(Partition partition, std::uint32_t generation, Offset start) {
  Sweep& sweep = *sweeps_.at(partition.value);
  if (sweep.generation != generation || !sweep.plan.sweeping() || sweep.stopped) return;
  const Offset from = sweep.plan.position();
  if (start <= from) {
    log::error("a sweep can not go on: its place is not in the log",
               {{"partition", partition}, {"offset", from}});
    return end(sweep);
  }
  log::error("retention has taken events that were not delivered",
             {{"partition", partition}, {"from", from}, {"to", start}});
  parts_.slab.relay_expired_offsets_total.add(
      static_cast<std::uint64_t>((start.value - from.value)));
  sweep.plan.passed(start);
  sweep.cursors->passed(start);
  reader_.start(sweep.place, start, *this);
}

// The sweep's other half: whom a record is handed to, and how its copies end.

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
