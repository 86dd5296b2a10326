#include "relay/shard.hpp"

#include <algorithm>
#include <utility>

#include "common/kafka/topics.hpp"
#include "common/observe/log.hpp"
#include "common/process/failpoint.hpp"

namespace eventrelay::relay {

namespace {

// After so many events it is committed sooner: it is what a killed process sends again.
constexpr std::uint32_t kEventsPerCommit = 1000;
constexpr Duration kCommitSpacing = std::chrono::milliseconds(20);
constexpr std::size_t kReadBatch = 16;  // events read before looking at what may be sent
constexpr std::size_t kLookBatch = 64;  // events looked at without taking them, in one round
// The watch of the topics tells of a log that has begun anew within this time of its first record.
constexpr Duration kRestartTold = std::chrono::seconds(10);
constexpr Duration kPumpMax = std::chrono::milliseconds(2);  // before the loop gets its turn

kafka::ConsumerOptions consumer_options(unsigned index, const ShardParts& parts) {
  const Config& config = parts.settings->config;
  kafka::ConsumerOptions options;
  options.group = config.relay.group;
  options.topic = kafka::topic_name(config.topics, "events");
  options.shard = index;
  options.shards = parts.shards;
  options.partitions = parts.partitions;
  // What the library keeps of a byte fetched ahead costs it up to 1.6: 5/32 become a quarter.
  options.prefetch_bytes =
      std::max<std::size_t>(config.relay.memory_max / parts.shards / 32 * 5, 1U << 20);
  return options;
}

}  // namespace

ShardLimits limits_of(const Config& config, unsigned shards) {
  ShardLimits limits;
  limits.scheduler.in_flight_max = config.relay.inflight_max;
  // The rest is for what the client library has fetched ahead, and what that costs to keep.
  limits.scheduler.bytes_max =
      std::max<std::size_t>(config.relay.memory_max / shards / 2, 1U << 20);
  limits.delay_window.count_max = 1024;
  limits.delay_window.span_max = 1 << 14;
  limits.cursors.blocked_max = config.detach.blocked_max;
  return limits;
}

Shard::Shard(ShardIo& io, unsigned index, metrics::Slab& slab, const ShardParts& parts)
    : loop_(io.loop()),
      clock_(io.clock()),
      index_(index),
      slab_(slab),
      settings_(parts.settings),
      on_fatal_(parts.on_fatal),
      scheduler_(parts.limits.scheduler),
      caller_(io.make_caller(*this)),
      subscriptions_(scheduler_, *caller_, settings_->config.retry.delays),
      consumer_(scheduler_, subscriptions_, slab_, parts.limits.window, parts.budget),
      committer_(consumer_),
      outbox_(io, OutboxOptions{settings_->config, parts.shards}, slab_,
              [this](Partition partition) { on_blocked(partition); }),
      backlog_(io, settings_->config,
               BacklogParts{
                   scheduler_, subscriptions_, consumer_, outbox_, slab_, parts.limits.scheduler,
                   parts.limits.cursors, parts.partitions, parts.retention,
                   [this](const kafka::Commit& commit, std::uint64_t token) {
                     return member_->confirm(kafka::topic_name(settings_->config.topics, "state"),
                                             commit, token);
                   },
                   [this](Job& job) { attempt_end_.park_again(job); }, [this] { on_settled(); },
                   parts.budget}),
      attempt_end_(AttemptEndParts{scheduler_, subscriptions_, outbox_, backlog_.detacher(), slab_,
                                   clock_, parts.budget, io.make_seed(), [this] { on_settled(); }}),
      unknown_(UnknownParts{subscriptions_, outbox_, slab_, clock_, parts.budget,
                            settings_->config.retry.delays.front(), [this] { on_settled(); }}),
      delays_(io, settings_->config,
              DelayParts{scheduler_, subscriptions_, outbox_, slab_, parts.limits.delay_window,
                         parts.budget, [this] { pump_later(); }, unknown_,
                         [this](std::string_view subscription, Partition partition) {
                           return backlog_.detacher().is_paused(subscription, partition);
                         }}),
      tick_timer_(loop_.make_timer()),
      revoke_timer_(loop_.make_timer()),
      stall_timer_(loop_.make_timer()),
      due_timer_(loop_.make_timer()),
      window_(parts.limits.scheduler.in_flight_max) {
  subscriptions_.use(Update{settings_, {}, true}, finished_);
  attempt_end_.use(settings_->config.relay.attempts_log);
  unknown_.use(settings_->config.relay.unknown_instance_wait);
  consumer_.keep_unknown(unknown_);
  consumer_.tell_restart([this](Partition partition) {
    restarted_[partition.value] = clock_.now();
    backlog_.begin_anew(partition);
  });
  member_ = io.make_member(consumer_options(index, parts), *this);
  consumer_.attach(*member_);
  consumer_.count_in(sums_);
  committer_.attach(*member_);
  outbox_.follow(
      {[this](std::size_t delay, Partition partition) {
         return delays_.position(delay, partition);
       },
       [this](std::size_t delay, Partition partition) { delays_.begin_anew(delay, partition); }});
  outbox_.follow_state({[this](Partition partition) { return backlog_.state_position(partition); },
                        [this](Partition partition) { backlog_.state_began_anew(partition); }});
  status_.shard = index_;
}

Shard::~Shard() = default;

void Shard::start() {
  member_->start();
  tick();
}

void Shard::use(const UpdatePtr& update) {
  const std::vector<std::string> gone = subscriptions_gone(settings_->registry, update->changes);
  settings_ = update->settings;
  if (update->configuration) {
    attempt_end_.use(settings_->config.relay.attempts_log);
    unknown_.use(settings_->config.relay.unknown_instance_wait);
  }
  if (!gone.empty()) backlog_.before_forgetting(gone);
  subscriptions_.use(*update, finished_);
  settle_all();
  if (!gone.empty()) backlog_.forget(gone);
  for (const Change& change : update->changes) {
    if (change.instance == nullptr) continue;
    for (const Subscription& each : change.instance->subscriptions) {
      const auto resumed_at = resume_time(*change.instance, each);
      if (resumed_at) backlog_.resume_everywhere(each.id, *resumed_at);
    }
  }
  pump(clock_.now());
}

void Shard::shutdown() {
  if (std::exchange(shut_, true)) return;
  tick_timer_->cancel();
  revoke_timer_->cancel();
  stall_timer_->cancel();
  due_timer_->cancel();
  delays_.shutdown();
  backlog_.shutdown();
  outbox_.shutdown();
  caller_->shutdown();
}

// --- the way of an event ------------------------------------------------------------------------

// Sends what may be sent, and reads only when there is nothing left to send.
void Shard::pump(TimePoint now) {
  if (draining_ || shut_) return;
  scheduler_.look(now);
  for (bool first = true;; first = false) {
    while (window_.has_room(scheduler_.answering())) {
      Job* const job = scheduler_.next(now);
      if (job == nullptr) break;
      auto& record = *static_cast<HeldRecord*>(job->held);
      // Its message would keep a whole fetch answer, of all partitions, for as long as that takes.
      if (record.message && scheduler_.may_last(*job->queue)) record.copy_out();
      ++record.sending;
      note_first_attempt(*job, now);
      caller_->start(*job, subscriptions_.target(*job->queue), now);
    }
    // Every end of an attempt comes here; one read for all of them follows when the loop has run.
    if (pump_posted_) break;
    if (!first && clock_.now() - now > kPumpMax) {
      pump_later();
      break;
    }
    // Events are read for any subscription that could take more; a busy shard reads only so much
    // that none runs dry.
    const bool scarce = scheduler_.slots_scarce();
    const bool busy =
        !window_.has_room(scheduler_.answering()) || scheduler_.new_ones_wait() || scarce;
    const std::size_t live = consumer_.read(kReadBatch, busy ? Reach::Enough : Reach::Far);
    const bool again_waits = scarce || scheduler_.behind_waits();
    const std::size_t again = again_waits ? 0 : backlog_.read(kReadBatch);
    if (live + again == 0 || busy) break;
  }
  look_ahead();
  // While the window is full what is due is looked at with the next end of an attempt.
  if (!window_.has_room(scheduler_.answering())) return watch_for_stall(now);
  if (const auto due = scheduler_.next_due()) wake_at(*due);
}

void Shard::watch_for_stall(TimePoint now) {
  if (window_.at_most() || std::exchange(stall_watched_, true)) return;
  stall_timer_->arm(now + AttemptWindow::kStall, [this, ends = window_.ends()] {
    stall_watched_ = false;
    if (shut_ || draining_) return;
    const TimePoint later = clock_.now();
    scheduler_.look(later);
    const std::uint32_t answering = scheduler_.answering();
    if (ends == window_.ends() && !window_.has_room(answering)) window_.stalled(answering);
    pump(later);
  });
}

// Once per round of the loop.
void Shard::look_ahead() {
  if (!pump_posted_ && backlog_.look_ahead(kLookBatch) == kLookBatch) pump_later();
}

void Shard::pump_later() {
  if (std::exchange(pump_posted_, true)) return;
  loop_.post([this] {
    pump_posted_ = false;
    pump(clock_.now());
  });
}

void Shard::wake_at(TimePoint due) {
  if (due >= due_armed_) return;
  due_armed_ = due;
  due_timer_->arm(due, [this] {
    if (shut_) return;
    due_armed_ = TimePoint::max();
    pump(clock_.now());
  });
}

void Shard::on_readable(Partition partition) {
  consumer_.on_readable(partition);
  pump(clock_.now());
}

void Shard::on_attempt_end(Job& job, const Result& result, TimePoint now) {
  if (shut_) return;
  window_.on_end(now);
  --static_cast<HeldRecord*>(job.held)->sending;
  if (result.retry == RetryClass::Delivered) {
    note_delivered(job);
    attempt_end_.delivered(job, result, now);
    const PartitionState* const home = static_cast<HeldRecord*>(job.held)->home;
    if (home != nullptr && home->cursors != nullptr && !home->cursors->empty()) {
      backlog_.detacher().ended(job);
    }
    settle(scheduler_.finish(job, now));
  } else {
    sums_.note_failed(job.held->event.instance, clock_.wall());
    attempt_end_.failed(job, result, now);
  }
  if (++ended_ >= kEventsPerCommit && now - committed_at_ >= kCommitSpacing) commit(now);
  pump(now);
  if (draining_ || !revoking_.empty()) advance_end(now);
}

// Of the live path alone: what is read again has waited for its subscription. Nor counts what an
// event has waited for its own subscription since it was admitted.
void Shard::note_first_attempt(const Job& job, TimePoint now) {
  const bool live = static_cast<HeldRecord*>(job.held)->home != nullptr && job.cursor == kLivePath;
  if (!live || job.attempts_made > 0) return;
  const Duration age(clock_.wall() - job.held->event.received);
  const Duration admitted = age - (now - job.queued);
  slab_.relay_first_attempt_age_seconds.observe(admitted + Scheduler::waited_for_turn(job, now));
}

void Shard::note_delivered(const Job& job) {
  failpoint::at("before-mark");
  const WallTime now = clock_.wall();
  slab_.relay_event_age_seconds.observe(Duration(now - job.held->event.received));
  slab_.relay_last_delivery_timestamp_seconds.set(seconds_of(now));
  sums_.note_delivered(job.held->event.instance, now, now - job.held->event.received);
}

PauseChange Shard::change_pause(PauseState to, std::string_view subscription, Partition partition) {
  // While a partition is given up, what waited has left the scheduler: a detach could not name it,
  // so its cursor would call it done. The next owner is asked instead.
  const PartitionState* const state = consumer_.find(partition);
  const bool reading = state != nullptr && state->reading;
  if (draining_ || shut_ || !reading) return PauseChange::NotHere;
  const PauseChange done = to == PauseState::Resumed ? backlog_.resume(subscription, partition)
                                                     : backlog_.pause(subscription, partition);
  pump_later();
  return done;
}

// An event was written elsewhere and let go: its partition may go on, and so may a revocation or a
// drain that waited for it.
void Shard::on_settled() {
  if (shut_) return;
  pump_later();
  if (draining_ || !revoking_.empty()) advance_end(clock_.now());
}

void Shard::on_blocked(Partition partition) {
  if (outbox_.blocked(partition)) {
    consumer_.block(partition);
  } else {
    consumer_.unblock(partition);
    pump_later();
  }
}

void Shard::on_log_anew(const std::string& topic, Partition partition, Offset end) {
  if (draining_ || shut_) return;
  const PartitionState* const owned = consumer_.find(partition);
  if (owned == nullptr || !owned->owned) return;
  const Config& config = settings_->config;
  if (topic == kafka::topic_name(config.topics, "events")) {
    // What the consumer saw itself would be read, and sent, a second time.
    const auto seen = restarted_.find(partition.value);
    if (seen != restarted_.end() && clock_.now() - seen->second < kRestartTold) return;
    // The consumer comes first: a paused subscription stands at the live position, which is that of
    // the new log.
    consumer_.begin_anew(partition, clock_.now());
    backlog_.begin_anew(partition);
    publish();  // the watch is not to judge by the position in the log before
  } else if (topic == kafka::topic_name(config.topics, "state")) {
    backlog_.state_began_anew(partition);
  }
  for (std::size_t step = 0; step < config.retry.delays.size(); ++step) {
    const std::string word = kafka::delay_word(config.retry.delays[step]);
    if (topic == kafka::topic_name(config.topics, "retry." + word)) {
      delays_.begin_anew(step, partition, end);
    }
  }
  pump_later();
}

void Shard::settle_all() {
  for (const Finished& end : finished_) settle(end);
  finished_.clear();
}

// The group's side of a shard: partitions come, go, and are given up in order.

namespace {

constexpr Duration kRevokeWait = std::chrono::seconds(10);
// The whole group stands still until a partition is given up. Endpoints that answer need less than
// this, counted from when an attempt began; the group does not wait for the others.
constexpr Duration kAttemptsWait = std::chrono::seconds(1);
constexpr Duration kAttemptsLook = std::chrono::milliseconds(100);
constexpr Duration kCloseWait = std::chrono::seconds(3);
constexpr Duration kFlushWait = std::chrono::seconds(1);

}  // namespace

// --- the group ----------------------------------------------------------------------------------

void Shard::on_assigned(std::span<const kafka::Assigned> partitions) {
  if (!draining_) {
    consumer_.assign(partitions);
    std::vector<Partition> ids;
    for (const kafka::Assigned& assigned : partitions) ids.push_back(assigned.partition);
    delays_.assign(ids);
    for (const Partition id : ids) backlog_.assign(id);
  }
  log::info("partitions assigned", {{"shard", index_}, {"partitions", partitions.size()}});
  publish();
  pump_later();  // reading starts when this returns
}

void Shard::on_revoking(std::span<const Partition> partitions, kafka::Loss loss) {
  log::info("partitions revoked", {{"shard", index_},
                                   {"partitions", partitions.size()},
                                   {"lost", loss == kafka::Loss::Lost ? "yes" : "no"}});
  // What is settled on the way may be the last that a drain waits for: it goes on below.
  const bool nested = std::exchange(ending_, true);
  begin_revoking(partitions, loss);
  ending_ = nested;
  advance_end(clock_.now());
}

void Shard::begin_revoking(std::span<const Partition> partitions, kafka::Loss loss) {
  for (const Partition partition : partitions) {
    consumer_.stop_reading(partition);
    delays_.stop_reading(partition);
    backlog_.stop_reading(partition);
    scheduler_.remove(partition, finished_);
    settle_all();
  }
  subscriptions_.forget_failing();
  if (loss == kafka::Loss::Lost || closing_) {
    // Its next owner may be this shard again, which would take them for attempts of its own.
    cancel_attempts(partitions, TimePoint::max());
    drop(partitions);
    return member_->release();
  }
  revoking_.assign(partitions.begin(), partitions.end());
  const Duration limit(settings_->config.relay.drain_timeout);
  revoke_deadline_ = clock_.now() + std::min(kRevokeWait, limit);
  give_up_attempts();
}

// Gives up attempts that wait for too long, now and as they come to it, while partitions leave.
void Shard::give_up_attempts() {
  const TimePoint now = clock_.now();
  const Duration wait = std::min<Duration>(kAttemptsWait, settings_->config.relay.drain_timeout);
  std::vector<Partition> leaving = revoking_;
  if (draining_) {
    leaving.clear();
    for (const PartitionState* partition : consumer_.owned()) leaving.push_back(partition->id);
  }
  cancel_attempts(leaving, now - wait);
  revoke_timer_->arm(now + kAttemptsLook, [this] {
    if (shut_ || closing_ || (revoking_.empty() && !draining_)) return;
    give_up_attempts();
    advance_end(clock_.now());
  });
}

// Those that began by `begun`, and those of endpoints that do not answer. What an endpoint does not
// answer is handed over as not done.
void Shard::cancel_attempts(std::span<const Partition> partitions, TimePoint begun) {
  const TimePoint now = clock_.now();
  for (const Partition partition : partitions) {
    cancelled_.clear();
    scheduler_.in_flight_of(partition, begun, cancelled_);
    if (!cancelled_.empty()) {
      log::info("attempts without an answer are given up with their partition",
                {{"partition", partition}, {"attempts", cancelled_.size()}});
    }
    for (Job* const job : cancelled_) {
      caller_->cancel(*job);
      --static_cast<HeldRecord*>(job->held)->sending;
      settle(scheduler_.abandon(*job, now));
    }
  }
}

void Shard::advance_end(TimePoint now) {
  // Ending tells others what is settled, and they ask for the end again.
  if (std::exchange(ending_, true)) return;
  // Giving one set up may begin with the next.
  for (bool again = !revoking_.empty(); again;) {
    const bool busy = std::any_of(revoking_.begin(), revoking_.end(), [this](Partition id) {
      const PartitionState* const partition = consumer_.find(id);
      const bool live = partition != nullptr && partition->held_count > 0;
      return live || delays_.busy(id) || backlog_.busy(id);
    });
    const bool over = !busy || now >= revoke_deadline_;
    if (over) finish_revoking();
    again = over && !revoking_.empty();
  }
  const bool idle = scheduler_.in_flight() == 0 && outbox_.idle() && !backlog_busy();
  if (draining_ && !closing_ && revoking_.empty() && (idle || now >= drain_deadline_)) {
    finish_drain();
  }
  ending_ = false;
}

bool Shard::backlog_busy() {
  bool busy = false;
  for (const PartitionState* partition : consumer_.owned()) {
    busy = backlog_.writing(partition->id) || busy;
  }
  return busy;
}

void Shard::finish_revoking() {
  const std::vector<Partition> partitions = std::exchange(revoking_, {});
  // An attempt that ended after its partition went would write into the next owner's work.
  cancel_attempts(partitions, TimePoint::max());
  // What has no receipt by now is not done: the next owner sends it again.
  for (const Partition partition : partitions) outbox_.forget(partition);
  if (!commit_and_wait(partitions)) {
    log::warn("commit before giving partitions up failed; their last events may be sent twice",
              {{"shard", index_}});
  }
  drop(partitions);
  member_->release();
}

void Shard::drop(std::span<const Partition> partitions) {
  for (const Partition partition : partitions) {
    outbox_.forget(partition);
    backlog_.drop(partition);
    consumer_.drop(partition);
    delays_.drop(partition);
  }
  publish();
}

bool Shard::commit_and_wait(std::span<const Partition> partitions) {
  failpoint::at("mid-commit");
  const bool parked = delays_.commit_and_wait(partitions);
  return committer_.commit_and_wait(partitions) && parked;
}

void Shard::on_commit_failed(std::string_view reason) {
  log::warn("commit failed", {{"shard", index_}, {"reason", reason}});
  committer_.on_failed();
}

void Shard::on_confirmed(std::uint64_t token, bool accepted) {
  backlog_.on_confirmed(token, accepted);
}

void Shard::on_fatal(std::string_view reason) {
  log::error("consumer can not go on", {{"shard", index_}, {"reason", reason}});
  fatal_ = reason;
  publish();
  if (on_fatal_) on_fatal_(fatal_);
}

// --- drain --------------------------------------------------------------------------------------

void Shard::drain(TimePoint deadline, std::function<void()> done) {
  draining_ = true;
  drain_deadline_ = deadline;
  drained_ = std::move(done);
  for (PartitionState* partition : consumer_.owned()) {
    consumer_.stop_reading(partition->id);
    delays_.stop_reading(partition->id);
    backlog_.stop_reading(partition->id);
  }
  // The others of the group take over when this one has left: not after another time-out.
  give_up_attempts();
  publish();
  advance_end(clock_.now());
}

// What waits in a queue is simply not committed.
void Shard::finish_drain() {
  closing_ = true;
  std::vector<Partition> partitions;
  for (const PartitionState* partition : consumer_.owned()) partitions.push_back(partition->id);
  if (!commit_and_wait(partitions)) {
    log::warn("last commit failed; the last events may be sent twice", {{"shard", index_}});
  }
  member_->close(clock_.now() + kCloseWait, [this] {
    publish();
    // The last lines of the attempts log, the last sums.
    write_sums();
    outbox_.drain(clock_.now() + kFlushWait, [this] {
      if (drained_) std::exchange(drained_, nullptr)();
    });
  });
}

// What a shard does now and then: commits, looks at itself, and tells the outside.

namespace {

constexpr Duration kTick = std::chrono::milliseconds(200);  // the longest between two commits
constexpr unsigned kTicksPerLook = 5;                       // at the failing subscriptions
constexpr unsigned kTicksPerSums = 25;
constexpr std::size_t kSumRowsPerRecord = 1000;

}  // namespace

void Shard::tick() {
  if (shut_) return;
  commit(clock_.now());
  window_.turn();
  consumer_.age();
  consumer_.await_starts(clock_.now());
  outbox_.age(clock_.now());
  if (!draining_) delays_.poll();
  if (!draining_) {
    backlog_.tick(clock_.now());
  } else {
    backlog_.tick_state();
  }
  if (sums_.full() || ticks_ % kTicksPerSums == 0) write_sums();
  if (ticks_++ % kTicksPerLook == 0) {
    failing_ = subscriptions_.failing(kFailingMax, clock_.moment());
    lag_.assign(1, member_->lag());
    delays_.append_lags(lag_);
  }
  set_gauges();
  publish();
  const TimePoint now = clock_.now();
  if (draining_ || !revoking_.empty()) advance_end(now);
  tick_timer_->arm(now + kTick, [this] { tick(); });
}

// What can not be handed over now stays for the next time, as long as there is room.
void Shard::write_sums() {
  while (!sums_.empty() && outbox_.write_sums(sums_.print(kSumRowsPerRecord))) {
    sums_.forget(kSumRowsPerRecord);
  }
  if (!sums_.full()) return;
  log::warn("sums of events are lost: Kafka does not take them", {{"shard", index_}});
  sums_.forget(kSumRowsMax);
}

void Shard::commit(TimePoint now) {
  if (closing_) return;
  ended_ = 0;
  committed_at_ = now;
  delays_.commit();
  failpoint::at("mid-commit");
  committer_.commit();
  // Many instances fill the rows sooner than a tick comes.
  if (sums_.full()) write_sums();
}

void Shard::set_gauges() {
  slab_.relay_inflight_deliveries.set(scheduler_.in_flight());
  slab_.relay_circuits_open.set(scheduler_.circuits_open());
  slab_.relay_paused_partitions.set(static_cast<double>(consumer_.paused()));
  slab_.relay_assigned_partitions.set(static_cast<double>(consumer_.owned().size()));
  slab_.relay_queued_bytes.set(static_cast<double>(scheduler_.held_bytes()));
  slab_.relay_blocked_partitions.set(static_cast<double>(outbox_.blocked_partitions()));
  const auto unread = consumer_.oldest_unread(clock_.wall());
  slab_.relay_oldest_unread_timestamp_seconds.set(unread ? seconds_of(*unread) : 0.0);
  const auto oldest = consumer_.oldest_pending();
  slab_.relay_oldest_pending_timestamp_seconds.set(oldest ? seconds_of(*oldest) : 0.0);
}

void Shard::publish() {
  ShardStatus status;
  status.shard = index_;
  status.joined = member_->joined();
  status.draining = draining_;
  status.fatal = fatal_;
  status.in_flight = scheduler_.in_flight();
  status.jobs = scheduler_.jobs();
  status.held_bytes = scheduler_.held_bytes();
  const CallerStats calls = caller_->stats();
  status.connections = calls.connections;
  status.idle_connections = calls.idle;
  status.dials = calls.dials;
  status.resent = calls.stale;
  status.unmatched = consumer_.unmatched();
  status.already_done = consumer_.already_done();
  status.missed = unknown_.missed(kMissedShown);
  status.failing = failing_;
  status.backlog = backlog_.status();
  status.lag = lag_;
  delays_.append_stopped(status.stopped_delays);
  for (const PartitionState* partition : consumer_.owned()) {
    const auto hold = partition->blocked ? PartitionState::Hold::Write : partition->hold;
    status.partitions.push_back(PartitionStatus{
        partition->id.value, partition->committed.value_or(Offset{-1}).value,
        partition->position.value_or(Offset{-1}).value, partition->begun, partition->held_count,
        hold, partition->stopped, partition->blocked ? outbox_.reason() : std::string{}});
  }
  const std::lock_guard lock(status_mutex_);
  status_ = std::move(status);
}

ShardStatus Shard::status() const {
  const std::lock_guard lock(status_mutex_);
  return status_;
}

}  // namespace eventrelay::relay
