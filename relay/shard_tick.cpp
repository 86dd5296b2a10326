// What a shard does now and then: commits, looks at itself, and tells the outside.
#include <algorithm>
#include <utility>

#include "common/failpoint.hpp"
#include "relay/shard.hpp"

namespace eventrelay::relay {

namespace {

constexpr Duration kTick = std::chrono::milliseconds(200);  // the longest between two commits
constexpr unsigned kTicksPerLook = 5;                       // at the failing subscriptions

}  // namespace

void Shard::tick() {
  if (shut_) return;
  commit(monotonic_now());
  consumer_.age();
  outbox_.age(monotonic_now());
  if (!draining_) delays_.poll();
  if (!draining_) away_.tick(monotonic_now());
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
  delays_.commit();
  failpoint::at("mid-commit");
  committer_.commit();
}

void Shard::set_gauges() {
  slab_.relay_inflight_deliveries.set(scheduler_.in_flight());
  slab_.relay_circuits_open.set(scheduler_.circuits_open());
  slab_.relay_paused_partitions.set(static_cast<double>(consumer_.held_back()));
  slab_.relay_assigned_partitions.set(static_cast<double>(consumer_.owned().size()));
  slab_.relay_queued_bytes.set(static_cast<double>(scheduler_.held_bytes()));
  slab_.relay_blocked_partitions.set(static_cast<double>(outbox_.blocked_partitions()));
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
  status.away = away_.status();
  delays_.append_stopped(status.stopped_delays);
  for (const PartitionState* partition : consumer_.owned()) {
    const auto hold = partition->blocked ? PartitionState::Hold::Write : partition->hold;
    status.partitions.push_back(
        PartitionStatus{partition->id.value, partition->committed.value_or(Offset{-1}).value,
                        partition->position.value_or(Offset{-1}).value, partition->held_count, hold,
                        partition->stopped, partition->blocked ? outbox_.reason() : std::string{}});
  }
  const std::lock_guard lock(status_mutex_);
  status_ = std::move(status);
}

ShardStatus Shard::status() const {
  const std::lock_guard lock(status_mutex_);
  return status_;
}

}  // namespace eventrelay::relay
