#include "relay/backlog/backlog.hpp"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/observe/log.hpp"
#include "common/process/failpoint.hpp"

namespace eventrelay::relay {

namespace {

constexpr Duration kLook = std::chrono::seconds(1);
constexpr Duration kWatchMax = std::chrono::minutes(1);  // between two looks at the log's start

// Of a partition that is read again; all of them may be at once, whichever shard has them.
std::size_t prefetch_of(const Config& config, int partitions) {
  const std::size_t share =
      config.relay.memory_max / 16 / static_cast<std::size_t>(std::max(partitions, 1));
  return std::max<std::size_t>(share, 512U << 10);
}

// The oldest event a detached subscription still needs, or `otherwise` where none is detached.
Offset needed_from(const Cursors* cursors, Offset otherwise) {
  return cursors == nullptr ? otherwise : cursors->lowest_position().value_or(otherwise);
}

}  // namespace

Backlog::Backlog(ShardIo& io, const Config& config, const BacklogParts& parts)
    : loop_(io.loop()),
      clock_(io.clock()),
      parts_(parts),
      detacher_(DetachParts{
          parts_.scheduler, parts_.subscriptions, parts_.consumer, parts_.slab, clock_,
          [this](Partition partition) { state_.write(partition); }, parts_.park_again,
          [this](Partition partition) { look_ahead_.held_back(partition); },
          [this](Partition partition) { look_ahead_.read_to_end(partition); }, parts_.budget}),
      state_(io, config,
             StateLogParts{
                 parts_.outbox, parts_.slab, parts_.cursors, parts_.confirm,
                 [this](Partition partition, Cursors& cursors) { on_ready(partition, cursors); },
                 [this](Partition partition) {
                   detacher_.on_durable(partition);
                   parts_.changed();
                 },
                 [this](Partition partition, std::string reason) {
                   stop_reading(partition);
                   parts_.consumer.stop_partition(partition, std::move(reason));
                 }}),
      catch_up_reader_(
          io, config,
          CatchUpParts{parts_.scheduler, parts_.subscriptions, parts_.outbox, parts_.slab,
                       parts_.bounds, prefetch_of(config, parts_.partitions),
                       [this](Partition partition) -> std::optional<Offset> {
                         const PartitionState* const state = parts_.consumer.find(partition);
                         if (state == nullptr) return std::nullopt;
                         return Consumer::live_position(*state);
                       },
                       [this](Partition partition, Offset offset) {
                         return parts_.consumer.folded(partition, offset);
                       },
                       [this] { parts_.changed(); },
                       [this](Partition partition) { state_.write(partition); },
                       [](Partition partition, const std::string& reason) {
                         log::error("catch-up read stopped: a record can not be read",
                                    {{"partition", partition}, {"reason", reason}});
                       },
                       parts_.budget}),
      look_ahead_(io, config,
                  LookAheadParts{parts_.scheduler, parts_.subscriptions, parts_.consumer,
                                 parts_.slab, [this] { parts_.changed(); }}) {
  parts_.consumer.guard(detacher_);
}

// --- partitions ---------------------------------------------------------------------------------

void Backlog::assign(Partition partition) {
  owned_.push_back(Owned{partition, std::nullopt, {}, false});
  state_.assign(partition);
}

void Backlog::on_ready(Partition partition, Cursors& cursors) {
  // While it is being given up nothing of it is begun: that could outlast this stay, and would be
  // sent beside what the next owner sends.
  const bool leaving = std::any_of(owned_.begin(), owned_.end(), [partition](const Owned& one) {
    return one.id == partition && one.leaving;
  });
  if (leaving) return;
  detacher_.add(partition, cursors);
  catch_up_reader_.add(partition, cursors);
  look_ahead_.add(partition, cursors);
  if (std::erase(anew_, partition) > 0 || of_another_log(partition, cursors)) {
    detacher_.begin_anew(partition);
  }
  detacher_.resume_of_partition(partition);
  parts_.consumer.open(partition, cursors);
  parts_.changed();
}

// Kafka deletes what a group has committed together with the topic. Cursors that are still there
// point into a log that is gone, and would skip events of the new log that have their offsets.
bool Backlog::of_another_log(Partition partition, const Cursors& cursors) const {
  const PartitionState* const state = parts_.consumer.find(partition);
  if (state == nullptr || state->assigned_at || cursors.empty()) return false;
  const std::vector<CursorStatus> all = cursors.oldest(SIZE_MAX);
  const bool ahead = std::any_of(all.begin(), all.end(), [](const CursorStatus& cursor) {
    return cursor.record.position > Offset{0};
  });
  if (!ahead) return false;
  log::warn("nothing is committed of a partition that has cursors: its log has begun anew",
            {{"partition", partition}, {"cursors", all.size()}});
  parts_.slab.relay_log_restarts_total.add();
  return true;
}

void Backlog::stop_reading(Partition partition) {
  for (Owned& owned : owned_) owned.leaving = owned.leaving || owned.id == partition;
  catch_up_reader_.stop(partition);
  look_ahead_.drop(partition);
}

bool Backlog::busy(Partition partition) {
  return catch_up_reader_.busy(partition) || writing(partition);
}

bool Backlog::writing(Partition partition) {
  if (detacher_.busy(partition)) return true;
  Cursors* const cursors = state_.find(partition);
  if (cursors == nullptr) return false;
  cursors->commit(clock_.now(), CommitMode::Exactly);
  state_.write(partition);
  state_.assure(partition);
  // What can not be written is not waited for.
  const bool unsure = state_.unsure(partition) && !parts_.outbox.blocked(partition);
  return unsure || cursors->writes_pending() > 0;
}

void Backlog::drop(Partition partition) {
  detacher_.drop(partition);
  catch_up_reader_.drop(partition);
  look_ahead_.drop(partition);
  state_.drop(partition);
  std::erase_if(owned_, [partition](const Owned& one) { return one.id == partition; });
  std::erase(near_start_, partition);
  std::erase(anew_, partition);
}

void Backlog::begin_anew(Partition partition) {
  if (state_.find(partition) == nullptr) {
    anew_.push_back(partition);
    return;
  }
  catch_up_reader_.begin_anew(partition);
  detacher_.begin_anew(partition);
}

void Backlog::before_forgetting(std::span<const std::string> subscriptions) {
  catch_up_reader_.halt(subscriptions);
}

void Backlog::forget(std::span<const std::string> subscriptions) {
  detacher_.forget(subscriptions);
}

PauseChange Backlog::resume(std::string_view subscription, Partition partition) {
  return detacher_.resume(subscription, partition);
}

PauseChange Backlog::pause(std::string_view subscription, Partition partition) {
  return detacher_.pause(subscription, partition);
}

// --- now and then -------------------------------------------------------------------------------

void Backlog::tick(TimePoint now) {
  state_.tick();
  if (round_.empty()) {
    for (const Owned& owned : owned_) round_.push_back(owned.id);
    visit_next();
  }
  if (now - looked_ < kLook) return;
  looked_ = now;
  detacher_.look(now);
  watch_log_start(now);
  measure();
}

// Visits one partition at a time and lets the loop run in between: what is due for thousands of
// subscriptions must not hold up all others.
void Backlog::visit_next() {
  while (!round_.empty()) {
    const Partition partition = round_.back();
    round_.pop_back();
    const auto owned = std::find_if(owned_.begin(), owned_.end(),
                                    [partition](const Owned& one) { return one.id == partition; });
    if (owned == owned_.end()) continue;
    visit(*owned);
    if (!round_.empty()) loop_.post([this] { visit_next(); });
    return;
  }
}

void Backlog::visit(Owned& owned) {
  const Partition partition = owned.id;
  const Moment moment = clock_.moment();
  catch_up_reader_.poll(partition, moment);
  Cursors* const cursors = state_.find(partition);
  if (cursors == nullptr || cursors->empty()) return;
  note_committed(owned, *cursors, moment.now);
  failpoint::at("cursor-commit");
  cursors->commit(moment.now, CommitMode::WhenDue);
  state_.write(partition);
  parts_.consumer.state_written(partition);
}

// An event that was not delivered is reported at four fifths of the time that the log keeps it; at
// nine tenths it goes to the dead letters.
void Backlog::watch_log_start(TimePoint now) {
  if (!parts_.retention) return;
  if (now - watched_ < std::clamp<Duration>(*parts_.retention / 50, kLook, kWatchMax)) return;
  watched_ = now;
  for (const Owned& owned : owned_) {
    Cursors* const cursors = state_.find(owned.id);
    if (cursors == nullptr || !cursors->lowest_position()) {
      std::erase(near_start_, owned.id);
      continue;
    }
    const WallTime wall = clock_.wall();
    const auto ago = [&](int tenths) {
      return wall - std::chrono::duration_cast<WallTime::duration>(*parts_.retention / 10 * tenths);
    };
    catch_up_reader_.find_older(owned.id, ago(8),
                                [this, id = owned.id](Offset offset) { judge_near(id, offset); });
    catch_up_reader_.find_older(owned.id, ago(9),
                                [this, id = owned.id](Offset offset) { judge_gone(id, offset); });
  }
}

void Backlog::judge_near(Partition partition, Offset soon_gone) {
  const Offset from = needed_from(state_.find(partition), soon_gone);
  const bool near = from < soon_gone;
  const bool known =
      std::find(near_start_.begin(), near_start_.end(), partition) != near_start_.end();
  if (near == known) return;
  if (!near) {
    std::erase(near_start_, partition);
    return;
  }
  near_start_.push_back(partition);
  log::error("retention will soon take events that were not delivered",
             {{"partition", partition}, {"from", from}, {"to", soon_gone}});
}

void Backlog::judge_gone(Partition partition, Offset soon_gone) {
  if (needed_from(state_.find(partition), soon_gone) < soon_gone) {
    catch_up_reader_.expire(partition, soon_gone);
  }
}

// A commit of the group has no answer of its own: a second without a refusal means that it was
// taken.
void Backlog::note_committed(Owned& owned, Cursors& cursors, TimePoint now) {
  const auto& committed = parts_.consumer.find(owned.id)->committed;
  if (!committed) {
    owned.committing.reset();  // refused
    return;
  }
  if (owned.committing && now - owned.since < kLook) return;
  if (owned.committing) cursors.committed(*owned.committing);
  owned.committing = committed;
  owned.since = now;
}

void Backlog::measure() {
  BacklogStatus sum;
  std::unordered_map<std::string, SubscriptionBacklog> by_subscription;
  for (const Owned& owned : owned_) {
    const Cursors* const cursors = state_.find(owned.id);
    const PartitionState* const state = parts_.consumer.find(owned.id);
    if (cursors == nullptr || cursors->empty() || state == nullptr) continue;
    const Offset live = Consumer::live_position(*state).value_or(Offset{0});
    cursors->for_each_waiting(live, [&](const WaitingRange& range) {
      sum.events += range.events;
      sum.since = std::min(sum.since.value_or(range.since), range.since);
      SubscriptionBacklog& one = by_subscription[std::string(range.subscription)];
      one.since = one.events == 0 ? range.since : std::min(one.since, range.since);
      one.events += range.events;
    });
  }
  std::vector<SubscriptionBacklog> all;
  for (auto& [subscription, one] : by_subscription) {
    one.subscription = subscription;
    all.push_back(std::move(one));
  }
  sum.longest = longest_of(all);
  sum.largest = largest_of(std::move(all));
  measured_ = std::move(sum);
}

std::vector<SubscriptionBacklog> largest_of(std::vector<SubscriptionBacklog> all) {
  std::sort(all.begin(), all.end(), [](const auto& one, const auto& other) {
    return one.events != other.events ? one.events > other.events
                                      : one.subscription < other.subscription;
  });
  if (all.size() > kBacklogMax) all.resize(kBacklogMax);
  return all;
}

std::vector<SubscriptionBacklog> longest_of(std::vector<SubscriptionBacklog> all) {
  std::sort(all.begin(), all.end(), [](const auto& one, const auto& other) {
    return one.since != other.since ? one.since < other.since
                                    : one.subscription < other.subscription;
  });
  if (all.size() > kBacklogMax) all.resize(kBacklogMax);
  return all;
}

BacklogStatus Backlog::status() {
  BacklogStatus status = measured_;
  status.catch_ups = catch_up_reader_.catching_up();
  status.near_log_start = near_start_.size();
  for (const Owned& owned : owned_) {
    const Partition partition = owned.id;
    const Cursors* const cursors = state_.find(partition);
    if (cursors == nullptr || cursors->empty()) continue;
    const CursorCounts counts = cursors->counts();
    status.counts.detached += counts.detached;
    status.counts.paused += counts.paused;
    status.counts.blocked += counts.blocked;
    status.counts.replays += counts.replays;
    status.counts.attached += counts.attached;
    const PartitionState* const state = parts_.consumer.find(partition);
    const Offset live = Consumer::live_position(*state).value_or(Offset{0});
    for (CursorStatus& cursor : cursors->oldest(kBacklogMax)) {
      const std::int64_t end = cursor.record.end.value_or(live).value;
      const std::int64_t distance = std::max<std::int64_t>(end - cursor.record.position.value, 0);
      const Duration age = clock_.due() - cursor.record.since;
      status.oldest.push_back({partition.value, distance, age, std::move(cursor)});
    }
  }
  std::sort(status.oldest.begin(), status.oldest.end(), [](const auto& a, const auto& b) {
    return a.cursor.record.since < b.cursor.record.since;
  });
  if (status.oldest.size() > kBacklogMax) status.oldest.resize(kBacklogMax);
  metrics::Slab& slab = parts_.slab;
  slab.relay_detached_subscriptions.set(static_cast<double>(status.counts.detached));
  slab.relay_switched_off_subscriptions.set(static_cast<double>(status.counts.paused));
  slab.relay_blocked_objects.set(static_cast<double>(status.counts.blocked));
  slab.relay_sweeps_active.set(static_cast<double>(status.catch_ups));
  slab.relay_backlog_events.set(static_cast<double>(status.events));
  slab.relay_backlog_oldest_timestamp_seconds.set(status.since ? seconds_of(*status.since) : 0.0);
  slab.relay_log_start_alerts.set(static_cast<double>(status.near_log_start));
  slab.relay_oldest_detached_timestamp_seconds.set(
      status.oldest.empty() ? 0.0 : seconds_of(status.oldest.front().cursor.record.since));
  return status;
}

}  // namespace eventrelay::relay
