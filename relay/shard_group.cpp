// The group's side of a shard: partitions come, go, and are given up in order.
#include <algorithm>
#include <utility>

#include "common/failpoint.hpp"
#include "common/log.hpp"
#include "relay/shard.hpp"

namespace eventrelay::relay {

namespace {

constexpr Duration kRevokeWait = std::chrono::seconds(10);
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
    for (const Partition id : ids) away_.assign(id);
  }
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
    delays_.stop_reading(partition);
    away_.stop_reading(partition);
    scheduler_.remove(partition, finished_);
    settle_all();
  }
  subscriptions_.forget_failing();
  if (loss == kafka::Loss::Lost || closing_) {
    drop(partitions);
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
      const bool live = partition != nullptr && partition->held_count > 0;
      return live || delays_.busy(id) || away_.busy(id);
    });
    if (!busy || now >= revoke_deadline_) finish_revoking();
  }
  const bool idle = scheduler_.in_flight() == 0 && outbox_.idle() && !away_busy();
  if (draining_ && !closing_ && revoking_.empty() && (idle || now >= drain_deadline_)) {
    finish_drain();
  }
}

bool Shard::away_busy() {
  bool busy = false;
  for (const PartitionState* partition : consumer_.owned()) {
    busy = away_.writing(partition->id) || busy;
  }
  return busy;
}

void Shard::finish_revoking() {
  const std::vector<Partition> partitions = std::exchange(revoking_, {});
  // What has no receipt by now is not done: the next owner sends it again.
  for (const Partition partition : partitions) outbox_.forget(partition);
  if (!commit_and_wait(partitions)) {
    log::warn("commit before giving partitions up failed; their last events may be sent twice",
              {{"shard", loop_.index()}});
  }
  drop(partitions);
  client_->release();
}

void Shard::drop(std::span<const Partition> partitions) {
  for (const Partition partition : partitions) {
    outbox_.forget(partition);
    away_.drop(partition);
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
  log::warn("commit failed", {{"shard", loop_.index()}, {"reason", reason}});
  committer_.on_failed();
}

void Shard::on_confirmed(std::uint64_t token, bool accepted) {
  away_.on_confirmed(token, accepted);
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
  for (PartitionState* partition : consumer_.owned()) {
    consumer_.stop_reading(partition->id);
    delays_.stop_reading(partition->id);
    away_.stop_reading(partition->id);
  }
  publish();
  advance_end(monotonic_now());
}

// What waits in a queue is simply not committed.
void Shard::finish_drain() {
  closing_ = true;
  std::vector<Partition> partitions;
  for (const PartitionState* partition : consumer_.owned()) partitions.push_back(partition->id);
  if (!commit_and_wait(partitions)) {
    log::warn("last commit failed; the last events may be sent twice", {{"shard", loop_.index()}});
  }
  client_->close(monotonic_now() + kCloseWait, [this] {
    publish();
    // The last lines of the attempts log.
    outbox_.drain(monotonic_now() + kFlushWait, [this] {
      if (drained_) std::exchange(drained_, nullptr)();
    });
  });
}

}  // namespace eventrelay::relay
