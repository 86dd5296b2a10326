#include "relay/shard.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <random>
#include <utility>

#include "common/kafka/topics.hpp"
#include "common/log.hpp"

namespace eventrelay::relay {

namespace {

constexpr Duration kTick = std::chrono::milliseconds(200);  // the longest between two commits
// After so many events it is committed sooner: it is what a killed process sends again.
constexpr std::uint32_t kEventsPerCommit = 1000;
constexpr Duration kCommitSpacing = std::chrono::milliseconds(20);
constexpr unsigned kTicksPerLook = 5;  // at the failing subscriptions
constexpr Duration kRevokeWait = std::chrono::seconds(10);
constexpr Duration kCloseWait = std::chrono::seconds(3);
constexpr std::size_t kReadBatch = 16;  // events read before looking at what may be sent
constexpr unsigned kRoundsMax = 64;     // batches before the loop gets its turn

SchedulerBounds bounds_of(const ShardParts& parts) {
  const RelayConfig& relay = parts.settings->config.relay;
  SchedulerBounds bounds;
  bounds.in_flight_max = relay.inflight_max;
  // The rest is for what the client library has fetched ahead, and what that costs to keep.
  bounds.bytes_max = std::max<std::size_t>(relay.memory_max / parts.shards / 2, 1U << 20);
  return bounds;
}

kafka::ConsumerOptions consumer_options(const ShardLoop& loop, const ShardParts& parts) {
  const Config& config = parts.settings->config;
  kafka::ConsumerOptions options;
  options.group = config.relay.group;
  options.topic = kafka::topic_name(config.topics, "events");
  options.shard = loop.index();
  options.shards = parts.shards;
  options.partitions = parts.partitions;
  // What the library keeps of a byte fetched ahead costs it up to 1.6: 5/32 become a quarter.
  options.prefetch_bytes =
      std::max<std::size_t>(config.relay.memory_max / parts.shards / 32 * 5, 1U << 20);
  return options;
}

PoolOptions pool_options(const RelayConfig& relay) {
  PoolOptions options;
  options.idle_in_all = relay.inflight_max;
  return options;
}

// The delay topics come later: until then what would be given up is tried again, its offset held.
RetryPlan plan_for(const RetryConfig& config) {
  RetryPlan plan = plan_of(config);
  plan.give_up = RetryPlan::GiveUp::KeepTrying;
  return plan;
}

std::uint64_t seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

// When the first attempt of this event failed, in the time that waits are counted in.
TimePoint first_failure(Job& job, const Result& result, TimePoint now) {
  if (result.retry == RetryClass::Delivered) return now;
  const WallTime wall = wall_now();
  if (!job.first_failure) job.first_failure = wall;
  return now - (wall - *job.first_failure);
}

double seconds_of(WallTime time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

}  // namespace

Shard::Shard(ShardLoop& loop, const ShardParts& parts)
    : loop_(loop),
      slab_(loop.slab()),
      settings_(parts.settings),
      on_fatal_(parts.on_fatal),
      scheduler_(bounds_of(parts)),
      pool_(loop.executor(), *parts.resolver, pool_options(parts.settings->config.relay)),
      subscriptions_(scheduler_, pool_),
      consumer_(scheduler_, subscriptions_, slab_, parts.budget),
      committer_(consumer_),
      retry_(plan_for(parts.settings->config.retry)),
      dice_(seed()),
      deliverer_(pool_, *this, slab_, seed()),
      tick_timer_(loop.executor()),
      due_timer_(loop.executor()) {
  subscriptions_.use(settings_, finished_);
  client_ = std::make_unique<kafka::ConsumerClient>(loop.executor(), settings_->config.kafka,
                                                    consumer_options(loop, parts), *this, slab_);
  consumer_.attach(*client_);
  committer_.attach(*client_);
  status_.shard = loop.index();
}

Shard::~Shard() = default;

void Shard::start() {
  client_->start();
  tick();
}

void Shard::use(const std::shared_ptr<const Settings>& settings) {
  settings_ = settings;
  retry_ = RetryPolicy(plan_for(settings->config.retry));
  subscriptions_.use(settings, finished_);
  settle(finished_);
  pump(monotonic_now());
}

void Shard::shutdown() {
  if (std::exchange(shut_, true)) return;
  tick_timer_.cancel();
  due_timer_.cancel();
  pool_.shutdown();
}

// --- the way of an event ------------------------------------------------------------------------

// Sends what may be sent, and reads only when there is nothing left to send.
void Shard::pump(TimePoint now) {
  if (draining_ || shut_) return;
  for (unsigned round = 0;; ++round) {
    while (Job* const job = scheduler_.next(now)) {
      ++static_cast<HeldRecord*>(job->held)->sending;
      deliverer_.start(*job, subscriptions_.target(*job->lane), now);
    }
    if (scheduler_.in_flight() >= settings_->config.relay.inflight_max) break;
    if (round == kRoundsMax) {
      pump_later();
      break;
    }
    if (consumer_.read(kReadBatch) == 0) break;
  }
  if (const auto due = scheduler_.next_due()) wake_at(*due);
}

void Shard::pump_later() {
  if (std::exchange(pump_posted_, true)) return;
  asio::post(loop_.executor(), [this] {
    pump_posted_ = false;
    pump(monotonic_now());
  });
}

void Shard::wake_at(TimePoint due) {
  if (due >= due_armed_) return;
  due_armed_ = due;
  due_timer_.expires_at(due);
  due_timer_.async_wait([this, due](ErrorCode error) {
    if (error || shut_ || due_armed_ != due) return;
    due_armed_ = TimePoint::max();
    pump(monotonic_now());
  });
}

void Shard::on_readable(Partition partition) {
  consumer_.on_readable(partition);
  pump(monotonic_now());
}

void Shard::on_attempt_end(Job& job, const Result& result, TimePoint now) {
  if (shut_) return;
  note(job, result);
  --static_cast<HeldRecord*>(job.held)->sending;
  const Attempt attempt{result.retry, job.attempts_made + 1, first_failure(job, result, now), now,
                        result.retry_after};
  const Finished end = scheduler_.finish(job, retry_.next(attempt, dice_), now);
  settle(end);
  if (++ended_ >= kEventsPerCommit && now - committed_at_ >= kCommitSpacing) commit(now);
  pump(now);
  if (draining_ || !revoking_.empty()) advance_end(now);
}

void Shard::note(const Job& job, const Result& result) {
  if (result.retry != RetryClass::Delivered) {
    subscriptions_.note_failure(job, result.outcome);
    return;
  }
  const WallTime now = wall_now();
  slab_.relay_event_age_seconds.observe(Duration(now - job.held->event.received));
  slab_.relay_last_delivery_timestamp_seconds.set(seconds_of(now));
  if (job.attempts_made > 0) subscriptions_.note_recovery(job);
}

void Shard::settle(std::vector<Finished>& finished) {
  for (const Finished& end : finished) settle(end);
  finished.clear();
}

void Shard::settle(const Finished& end) {
  if (end.held == nullptr) return;
  auto& record = static_cast<HeldRecord&>(*end.held);
  record.origin->settled(record, end.done ? End::Done : End::NotDone);
}

// --- the group ----------------------------------------------------------------------------------

void Shard::on_assigned(std::span<const kafka::Assigned> partitions) {
  if (!draining_) consumer_.assign(partitions);
  log::info("partitions assigned", {{"shard", loop_.index()}, {"partitions", partitions.size()}});
  publish();
  pump_later();  // reading starts when this returns
}

void Shard::on_revoking(std::span<const Partition> partitions, kafka::Loss loss) {
  log::info("partitions revoked", {{"shard", loop_.index()},
                                   {"partitions", partitions.size()},
                                   {"lost", loss == kafka::Loss::Lost ? "yes" : "no"}});
  for (const Partition partition : partitions) {
    consumer_.stop_reading(partition);
    scheduler_.remove(partition, finished_);
    settle(finished_);
  }
  subscriptions_.forget_failing();
  if (loss == kafka::Loss::Lost || closing_) {
    for (const Partition partition : partitions) consumer_.drop(partition);
    publish();
    return client_->release();
  }
  revoking_.assign(partitions.begin(), partitions.end());
  const Duration limit(settings_->config.relay.drain_timeout);
  revoke_deadline_ = monotonic_now() + std::min(kRevokeWait, limit);
  advance_end(monotonic_now());
}

void Shard::advance_end(TimePoint now) {
  if (!revoking_.empty()) {
    const bool busy = std::any_of(revoking_.begin(), revoking_.end(), [this](Partition id) {
      const PartitionState* const partition = consumer_.find(id);
      return partition != nullptr && partition->held_count > 0;
    });
    if (!busy || now >= revoke_deadline_) finish_revoking();
  }
  const bool idle = scheduler_.in_flight() == 0;
  if (draining_ && !closing_ && revoking_.empty() && (idle || now >= drain_deadline_)) {
    finish_drain();
  }
}

void Shard::finish_revoking() {
  const std::vector<Partition> partitions = std::exchange(revoking_, {});
  if (!committer_.commit_and_wait(partitions)) {
    log::warn("commit before giving partitions up failed; their last events may be sent twice",
              {{"shard", loop_.index()}});
  }
  for (const Partition partition : partitions) consumer_.drop(partition);
  publish();
  client_->release();
}

void Shard::on_commit_failed(std::string_view reason) {
  log::warn("commit failed", {{"shard", loop_.index()}, {"reason", reason}});
  committer_.on_failed();
}

void Shard::on_fatal(std::string_view reason) {
  log::error("consumer can not go on", {{"shard", loop_.index()}, {"reason", reason}});
  fatal_ = reason;
  publish();
  if (on_fatal_) on_fatal_(fatal_);
}

// --- drain --------------------------------------------------------------------------------------

void Shard::drain(TimePoint deadline, std::function<void()> done) {
  draining_ = true;
  drain_deadline_ = deadline;
  drained_ = std::move(done);
  for (PartitionState* partition : consumer_.owned()) consumer_.stop_reading(partition->id);
  publish();
  advance_end(monotonic_now());
}

// What waits for a retry is simply not committed.
void Shard::finish_drain() {
  closing_ = true;
  std::vector<Partition> partitions;
  for (const PartitionState* partition : consumer_.owned()) partitions.push_back(partition->id);
  if (!committer_.commit_and_wait(partitions)) {
    log::warn("last commit failed; the last events may be sent twice", {{"shard", loop_.index()}});
  }
  client_->close(monotonic_now() + kCloseWait, [this] {
    publish();
    if (drained_) std::exchange(drained_, nullptr)();
  });
}

// --- now and then -------------------------------------------------------------------------------

void Shard::tick() {
  if (shut_) return;
  commit(monotonic_now());
  consumer_.age();
  if (ticks_++ % kTicksPerLook == 0) failing_ = subscriptions_.failing(kFailingMax);
  set_gauges();
  publish();
  const TimePoint now = monotonic_now();
  if (draining_ || !revoking_.empty()) advance_end(now);
  tick_timer_.expires_at(now + kTick);
  tick_timer_.async_wait([this](ErrorCode error) {
    if (!error) tick();
  });
}

void Shard::commit(TimePoint now) {
  if (closing_) return;
  ended_ = 0;
  committed_at_ = now;
  committer_.commit();
}

void Shard::set_gauges() {
  slab_.relay_inflight_deliveries.set(scheduler_.in_flight());
  slab_.relay_circuits_open.set(scheduler_.circuits_open());
  slab_.relay_paused_partitions.set(static_cast<double>(consumer_.held_back()));
  slab_.relay_assigned_partitions.set(static_cast<double>(consumer_.owned().size()));
  slab_.relay_queued_bytes.set(static_cast<double>(scheduler_.held_bytes()));
  const auto oldest = consumer_.oldest_pending();
  slab_.relay_oldest_pending_timestamp_seconds.set(oldest ? seconds_of(*oldest) : 0.0);
}

void Shard::publish() {
  ShardStatus status;
  status.shard = loop_.index();
  status.joined = client_->joined();
  status.draining = draining_;
  status.fatal = fatal_;
  status.in_flight = scheduler_.in_flight();
  status.jobs = scheduler_.jobs();
  status.held_bytes = scheduler_.held_bytes();
  status.connections = pool_.connections();
  status.idle_connections = pool_.idle();
  status.dials = pool_.stats().dials;
  status.resent = pool_.stats().stale;
  status.unmatched = consumer_.unmatched();
  status.already_done = consumer_.already_done();
  status.failing = failing_;
  for (const PartitionState* partition : consumer_.owned()) {
    status.partitions.push_back(
        PartitionStatus{partition->id.value, partition->committed.value_or(Offset{-1}).value,
                        partition->position.value_or(Offset{-1}).value, partition->held_count,
                        partition->hold, partition->stopped});
  }
  const std::lock_guard lock(status_mutex_);
  status_ = std::move(status);
}

ShardStatus Shard::status() const {
  const std::lock_guard lock(status_mutex_);
  return status_;
}

}  // namespace eventrelay::relay
