#include "relay/backlog/catch_up_reader.hpp"

#include <algorithm>
#include <utility>

#include "common/base/assert.hpp"
#include "common/kafka/topics.hpp"
#include "common/observe/log.hpp"
#include "common/process/failpoint.hpp"

namespace eventrelay::relay {

namespace {

constexpr std::size_t kTurn = 32;  // records read of one partition before the next
// After so many records in a row that no cursor took, the cursors are asked what they want:
// O(cursors).
constexpr std::uint32_t kBarren = 512;

kafka::ReaderOptions sweep_options(const Config& config, std::size_t prefetch_bytes) {
  kafka::ReaderOptions options;
  options.group = config.relay.group + ".sweep";  // it commits nothing
  options.topics = {kafka::topic_name(config.topics, "events")};
  options.prefetch_bytes = prefetch_bytes;
  options.fetch_wait = std::chrono::milliseconds{50};  // it reads behind the end of the log
  return options;
}

CatchUpRules rules_of(const Config& config) {
  CatchUpRules rules;
  rules.interval = config.detach.sweep_interval;
  return rules;
}

}  // namespace

CatchUpReader::CatchUpReader(ShardIo& io, const Config& config, CatchUpParts parts)
    : parts_(std::move(parts)),
      rules_(rules_of(config)),
      gate_(parts_.subscriptions),
      clock_(io.clock()),
      reader_(io.make_reader(sweep_options(config, parts_.prefetch_bytes))) {}

CatchUpReader::~CatchUpReader() = default;

// --- partitions ---------------------------------------------------------------------------------

void CatchUpReader::add(Partition partition, Cursors& cursors) {
  auto& catch_up = catch_ups_[partition.value];
  if (catch_up == nullptr) catch_up = std::make_unique<CatchUp>(rules_);
  catch_up->place = {0, partition};
  catch_up->cursors = &cursors;
  catch_up->plan = CatchUpPlan(rules_);
  ++catch_up->generation;
  catch_up->stopped = false;
}

void CatchUpReader::stop(Partition partition) {
  const auto it = catch_ups_.find(partition.value);
  if (it == catch_ups_.end()) return;
  it->second->stopped = true;
  if (it->second->plan.catching_up()) end(*it->second);
}

void CatchUpReader::begin_anew(Partition partition) {
  const auto it = catch_ups_.find(partition.value);
  if (it == catch_ups_.end()) return;
  if (it->second->plan.catching_up()) end(*it->second);
  it->second->seen.clear();
}

void CatchUpReader::halt(std::span<const std::string> subscriptions) {
  const std::vector<CatchUp*> active = active_;
  for (CatchUp* const catch_up : active) {
    const bool reads_for_one =
        std::any_of(subscriptions.begin(), subscriptions.end(),
                    [catch_up](const auto& each) { return catch_up->cursors->has_cursors(each); });
    if (reads_for_one) end(*catch_up);
  }
}

void CatchUpReader::drop(Partition partition) {
  const auto it = catch_ups_.find(partition.value);
  if (it == catch_ups_.end()) return;
  stop(partition);
  it->second->seen.clear();
  it->second->cursors = nullptr;  // what is still in flight ends without it
}

bool CatchUpReader::busy(Partition partition) const {
  const auto it = catch_ups_.find(partition.value);
  return it != catch_ups_.end() && it->second->held > 0;
}

// --- start and end ------------------------------------------------------------------------------

void CatchUpReader::poll(Partition partition, const Moment& moment) {
  moment_ = moment;
  gate_.at(moment.now);
  const auto it = catch_ups_.find(partition.value);
  if (it == catch_ups_.end()) return;
  CatchUp& catch_up = *it->second;
  if (catch_up.stopped || catch_up.cursors == nullptr) return;
  if (catch_up.plan.paused()) {
    catch_up.others_wait = others_wait(catch_up, moment);
    if (try_again(catch_up) == Progress::On) parts_.admitted();
  } else if (catch_up.plan.may_start(moment.now) && !catch_up.cursors->empty()) {
    if (!try_expire(catch_up, moment)) try_start(catch_up, moment);
  }
}

void CatchUpReader::try_start(CatchUp& catch_up, const Moment& moment) {
  const auto live = parts_.live(catch_up.place.partition);
  if (!live || !budget_left(0)) return;
  const auto from = catch_up.cursors->begin_catch_up(gate_, *live, moment);
  if (from) return begin(catch_up, *from, moment.now);
  // Cursors at the live position were attached.
  parts_.attached(catch_up.place.partition);
}

void CatchUpReader::begin(CatchUp& catch_up, Offset from, TimePoint now) {
  failpoint::at("catch-up-begin");
  catch_up.plan.start(from, now);
  catch_up.readable = false;
  catch_up.others_wait = false;
  catch_up.barren = kBarren;  // asks at once
  active_.push_back(&catch_up);
  parts_.slab.relay_sweeps_total.add();
  reader_->start(catch_up.place, from, *this);
}

void CatchUpReader::expire(Partition partition, Offset below) {
  const auto it = catch_ups_.find(partition.value);
  if (it != catch_ups_.end()) it->second->expire_wanted = below;
}

// An expiry can not wait, so it goes before any other catch-up read of its partition.
bool CatchUpReader::try_expire(CatchUp& catch_up, const Moment& moment) {
  const auto below = std::exchange(catch_up.expire_wanted, std::nullopt);
  if (!below || !parts_.live(catch_up.place.partition)) return false;
  const auto from = catch_up.cursors->begin_expire(*below);
  if (!from) return false;
  catch_up.expire_below = below;
  begin(catch_up, *from, moment.now);
  return true;
}

void CatchUpReader::find_older(Partition partition, WallTime since,
                               std::function<void(Offset)> done) {
  reader_->offsets_for_times(
      {{0, partition}}, since,
      [done = std::move(done)](std::span<const kafka::PartitionWatermarks> found) {
        done(found.front().start);
      });
}

Offset CatchUpReader::limit_of(const CatchUp& catch_up) const {
  const auto live = parts_.live(catch_up.place.partition);
  EVENTRELAY_ASSERT(live);
  return catch_up.expire_below ? std::min(*catch_up.expire_below, *live) : *live;
}

void CatchUpReader::end(CatchUp& catch_up) {
  if (catch_up.waiting) forget_waiting(catch_up);
  reader_->stop(catch_up.place);
  std::erase(active_, &catch_up);
  const auto live = parts_.live(catch_up.place.partition);
  const bool at_live = live && !catch_up.expire_below && catch_up.plan.position() >= *live;
  catch_up.plan.end();
  catch_up.expire_below.reset();
  if (at_live) failpoint::at("before-attach");
  catch_up.cursors->end_catch_up(live.value_or(catch_up.plan.position()));
  if (at_live) failpoint::at("after-attach");
  if (catch_up.cursors->empty()) catch_up.seen.clear();
  parts_.attached(catch_up.place.partition);
}

// What was read and found no room is read again by the next catch-up read.
void CatchUpReader::forget_waiting(CatchUp& catch_up) {
  while (catch_up.next_taker < catch_up.takers.size()) {
    defer(catch_up, catch_up.takers[catch_up.next_taker]);
  }
  forget_takers(catch_up);
  catch_up.waiting = kafka::Message{};
}

void CatchUpReader::forget_takers(CatchUp& catch_up) {
  for (const Taker& taker : catch_up.takers) --taker.queue->readers;
  catch_up.takers.clear();
  catch_up.next_taker = 0;
}

// --- reading ------------------------------------------------------------------------------------

void CatchUpReader::on_readable(kafka::TopicPartition place) {
  CatchUp& catch_up = *catch_ups_.at(place.partition.value);
  catch_up.readable = true;
  parts_.admitted();
}

std::size_t CatchUpReader::read(std::size_t max) {
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

std::size_t CatchUpReader::read_from(CatchUp& catch_up, std::size_t max) {
  std::size_t count = 0;
  if (catch_up.plan.paused()) {
    if (try_again(catch_up) != Progress::On) return 0;
    ++count;
  }
  for (; count < max; ++count) {
    if (!catch_up.readable || !catch_up.plan.catching_up()) return count;
    if (step(catch_up) != Progress::On) return count;
  }
  return max;
}

CatchUpReader::Progress CatchUpReader::step(CatchUp& catch_up) {
  CatchUpPlan::View view;
  view.live = limit_of(catch_up);
  view.following = catch_up.cursors->following();
  view.wanted = catch_up.plan.position();
  if (catch_up.barren >= kBarren) {
    catch_up.barren = 0;
    view.wanted = catch_up.cursors->next_wanted();
  }
  switch (catch_up.plan.next(view)) {
    case CatchUpPlan::Action::End:
      // No cursor wants what lies between, so it counts as read.
      if (view.following > 0 && catch_up.plan.position() < view.live) {
        catch_up.plan.passed(view.live);
        catch_up.cursors->passed(view.live);
      }
      end(catch_up);
      return Progress::Ended;
    case CatchUpPlan::Action::Jump:
      catch_up.plan.passed(*view.wanted);
      catch_up.cursors->passed(*view.wanted);
      catch_up.readable = false;
      reader_->start(catch_up.place, *view.wanted, *this);
      return Progress::Waits;
    case CatchUpPlan::Action::Read:
      return load(catch_up);
  }
  return Progress::Waits;
}

CatchUpReader::Progress CatchUpReader::load(CatchUp& catch_up) {
  kafka::Read read = reader_->next(catch_up.place);
  switch (read.found) {
    case kafka::Found::Nothing:
      catch_up.readable = false;
      return Progress::Waits;
    case kafka::Found::End:
      // The live position may be behind it, since transactions leave marks that are no records.
      catch_up.plan.passed(read.at);
      catch_up.cursors->passed(read.at);
      return Progress::On;
    case kafka::Found::Failed:
      return Progress::On;
    case kafka::Found::OutOfRange:
      lost(catch_up);
      return Progress::Waits;
    case kafka::Found::Record:
      break;
  }
  parts_.slab.relay_swept_records_total.add();
  catch_up.waiting = std::move(read.message);
  return take(catch_up, read.at);
}

CatchUpReader::Progress CatchUpReader::take(CatchUp& catch_up, Offset at) {
  const Offset limit = limit_of(catch_up);
  if (at >= limit) {
    catch_up.waiting = kafka::Message{};
    catch_up.plan.passed(limit);
    catch_up.cursors->passed(limit);
    end(catch_up);
    return Progress::Ended;
  }
  auto event = catch_up.waiting.event();
  if (!event) {
    parts_.trouble(catch_up.place.partition, "offset " + std::to_string(at.value) + ": " +
                                                 std::string(describe(event.error())));
    catch_up.waiting = kafka::Message{};
    catch_up.stopped = true;
    end(catch_up);
    return Progress::Ended;
  }
  catch_up.event = *event;
  offer(catch_up);
  catch_up.plan.read(!catch_up.takers.empty());
  catch_up.barren = catch_up.takers.empty() ? catch_up.barren + 1 : 0;
  return hand_out(catch_up);
}

// Retention has taken events that a cursor still had to hand out.
void CatchUpReader::lost(CatchUp& catch_up) {
  const kafka::TopicPartition place = catch_up.place;
  catch_up.readable = false;
  reader_->stop(place);
  const std::uint32_t generation = catch_up.generation;
  reader_->watermarks({place},
                      [this, place, generation](std::span<const kafka::PartitionWatermarks> found) {
                        go_on_at(place.partition, generation, found.front().start);
                      });
}

void CatchUpReader::go_on_at(Partition partition, std::uint32_t generation, Offset start) {
  CatchUp& catch_up = *catch_ups_.at(partition.value);
  if (catch_up.generation != generation || !catch_up.plan.catching_up() || catch_up.stopped) return;
  const Offset from = catch_up.plan.position();
  if (start <= from) {
    log::error("catch-up read stopped: its position is not in the log",
               {{"partition", partition}, {"offset", from}});
    return end(catch_up);
  }
  log::error("retention has taken events that were not delivered",
             {{"partition", partition}, {"from", from}, {"to", start}});
  parts_.slab.relay_expired_offsets_total.add(
      static_cast<std::uint64_t>((start.value - from.value)));
  catch_up.plan.passed(start);
  catch_up.cursors->passed(start);
  reader_->start(catch_up.place, start, *this);
}

// The second half of a catch-up read: which cursors take a record, and how its copies end.

// Finds the cursors that take the record at hand.
void CatchUpReader::offer(CatchUp& catch_up) {
  queues_.clear();
  forget_takers(catch_up);
  if (repeated(catch_up)) return;
  if (parts_.subscriptions.match(catch_up.event, queues_) != Subscriptions::Match::Some) return;
  for (SubscriptionQueue* const queue : queues_) {
    taking_.clear();
    const EventKey key{parts_.subscriptions.target(*queue)->id, catch_up.event.object_id,
                       queue->config.ordering};
    catch_up.cursors->offer(key, catch_up.waiting.offset(), moment_, taking_);
    for (const CursorId cursor : taking_) catch_up.takers.push_back({cursor, queue});
    queue->readers += static_cast<std::uint32_t>(taking_.size());
  }
}

// The first record of an event stands lower in the log: it is this cursor's and was handed out, or
// it lies before the cursor and the live path has answered for it.
bool CatchUpReader::repeated(CatchUp& catch_up) {
  const Offset at = catch_up.waiting.offset();
  if (catch_up.event.provider_id.empty()) return false;
  if (parts_.folded(catch_up.place.partition, at)) return true;
  const std::optional<EventBits> key = event_bits(catch_up.event.id);
  return key && catch_up.seen.note(*key, at) == DuplicateWindow::Verdict::Before;
}

CatchUpReader::Progress CatchUpReader::hand_out(CatchUp& catch_up) {
  while (catch_up.next_taker < catch_up.takers.size()) {
    const Taker taker = catch_up.takers[catch_up.next_taker];
    const auto handout = catch_up.cursors->handout(taker.cursor);
    if (!handout) {
      ++catch_up.next_taker;
    } else if (catch_up.expire_below) {
      dead_letter(catch_up, taker, *handout);
      ++catch_up.next_taker;
    } else if (fits(catch_up, taker)) {
      admit(catch_up, taker, *handout);
    } else if (no_room(catch_up, taker) != Progress::On) {
      return catch_up.plan.catching_up() ? Progress::Waits : Progress::Ended;
    }
  }
  catch_up.plan.resume();
  const Offset next{catch_up.waiting.offset().value + 1};
  catch_up.waiting = kafka::Message{};
  forget_takers(catch_up);
  catch_up.plan.passed(next);
  catch_up.cursors->passed(next);
  return Progress::On;
}

// Ownership may have changed while it was paused, so the record is offered again.
CatchUpReader::Progress CatchUpReader::try_again(CatchUp& catch_up) {
  const Taker taker = catch_up.takers[catch_up.next_taker];
  if (!fits(catch_up, taker)) {
    const Progress progress = no_room(catch_up, taker);
    if (progress != Progress::On) return progress;
  }
  offer(catch_up);
  return hand_out(catch_up);
}

bool CatchUpReader::others_wait(const CatchUp& catch_up, const Moment& moment) {
  if (catch_up.cursors->following() == 0) return true;
  const auto live = parts_.live(catch_up.place.partition);
  return live && catch_up.cursors->others_ready(gate_, *live, moment);
}

bool CatchUpReader::fits(const CatchUp& catch_up, const Taker& taker) const noexcept {
  return has_room(*taker.queue) && budget_left(cost_of(catch_up.waiting));
}

// A record that was read waits for room, since reading it again costs more. It waits only for a
// while where it keeps others: cursors in this catch-up read then go on without it, and those that
// wait for the next one get it.
CatchUpReader::Progress CatchUpReader::no_room(CatchUp& catch_up, const Taker& taker) {
  const TimePoint now = clock_.now();
  const bool in_time = catch_up.plan.pause(now) || failpoint::skips("end-slow");
  if (!has_room(*taker.queue) && catch_up.cursors->following() > 1 &&
      catch_up.plan.waited_enough(now)) {
    defer(catch_up, taker);
    return Progress::On;
  }
  if (in_time || !catch_up.others_wait) return Progress::Waits;
  end(catch_up);
  return Progress::Ended;
}

// Defers all takers of the same subscription: its later events must not overtake this one.
void CatchUpReader::defer(CatchUp& catch_up, const Taker& taker) {
  catch_up.cursors->defer(taker.cursor, catch_up.waiting.offset());
  auto& next = catch_up.next_taker;
  do {
    ++next;
  } while (next < catch_up.takers.size() && catch_up.takers[next].queue == taker.queue);
}

HeldRecord& CatchUpReader::copy_of(CatchUp& catch_up, const Taker& taker) {
  HeldRecord& record = records_.take();
  record.partition = catch_up.place.partition;
  record.offset = catch_up.waiting.offset();
  record.bytes = cost_of(catch_up.waiting);
  record.epoch = catch_up.generation;
  record.owner = this;
  record.cursor = taker.cursor;
  record.event = catch_up.event;
  record.keep_copy();  // a message would keep its whole fetch answer in memory
  return record;
}

void CatchUpReader::note_held(CatchUp& catch_up, const HeldRecord& record) {
  catch_up.cursors->dispatched(record.cursor, record.offset);
  ++catch_up.held;
  ++held_;
  held_bytes_ += record.bytes;
}

void CatchUpReader::free(CatchUp& catch_up, HeldRecord& record) {
  --catch_up.held;
  --held_;
  held_bytes_ -= record.bytes;
  records_.free(record);
}

void CatchUpReader::admit(CatchUp& catch_up, const Taker& taker, const Handout& handout) {
  failpoint::at("catch-up-event");
  HeldRecord& record = copy_of(catch_up, taker);
  const JobState state{handout.attempts_made, taker.cursor, handout.first_failure,
                       handout.state == CursorState::Blocked};
  SubscriptionQueue* const queue = taker.queue;
  if (parts_.scheduler.admit(record, {&queue, 1}, state) == Admitted::Yes) {
    note_held(catch_up, record);
    if (failpoint::skips("await-end")) catch_up.cursors->done(taker.cursor, record.offset);
    ++catch_up.next_taker;
    return;
  }
  // The shard is full: the record is read again later.
  records_.free(record);
  defer(catch_up, taker);
}

void CatchUpReader::dead_letter(CatchUp& catch_up, const Taker& taker, const Handout& handout) {
  failpoint::at("before-dead");
  HeldRecord& record = copy_of(catch_up, taker);
  note_held(catch_up, record);
  ParkedState state;
  state.subscription = parts_.subscriptions.target(*taker.queue)->id;
  state.attempts_made = handout.attempts_made;
  state.first_failure = handout.first_failure.value_or(record.event.received);
  state.reason = metrics::kOutcomeWords[static_cast<std::size_t>(metrics::Outcome::Timeout)];
  state.dead_class = kPipelineFailure;
  parts_.outbox.dead_letter(record, state, Sender{this, reinterpret_cast<std::uintptr_t>(&record)});
}

void CatchUpReader::on_receipt(std::uint64_t token, Receipt receipt) {
  HeldRecord& record = *reinterpret_cast<HeldRecord*>(static_cast<std::uintptr_t>(token));
  if (receipt == Receipt::Written) {
    parts_.slab.relay_rescued_total.add();
    parts_.slab.relay_dead_letters_total.add(metrics::Outcome::Timeout);
  }
  settled(record, receipt == Receipt::Written ? End::Done : End::NotDone);
}

bool CatchUpReader::budget_left(std::size_t bytes) const noexcept {
  return held_ < parts_.bounds.jobs_max / 2 &&
         (held_ == 0 || held_bytes_ + bytes <= parts_.bounds.bytes_max / 2);
}

// A record that is not done needs nothing here: the cursors were told when its job ended.
void CatchUpReader::settled(HeldRecord& record, End end) {
  CatchUp& catch_up = *catch_ups_.at(record.partition.value);
  const bool known = catch_up.cursors != nullptr && record.epoch == catch_up.generation;
  if (known && end == End::Done) {
    catch_up.cursors->done(record.cursor, record.offset);
    if (parts_.budget != nullptr) parts_.budget->give_back(record.event.body.size());
  }
  free(catch_up, record);
}

}  // namespace eventrelay::relay
