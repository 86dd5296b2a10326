#include "relay/backlog/detacher.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "common/base/assert.hpp"
#include "common/observe/log.hpp"
#include "common/process/failpoint.hpp"
#include "relay/subscriptions/queue_room.hpp"

namespace eventrelay::relay {

using Share = PartitionState::Share;
using Whose = Scheduler::Whose;

namespace {

// How often a full window is searched for the subscription that fills it: a pass over all jobs.
constexpr Duration kWindowLook = std::chrono::milliseconds(100);
// Fewer waiting jobs than this do not make a subscription the one that fills a shard.
constexpr std::uint32_t kManyJobs = 64;

// An endpoint that has not answered for so long may stay that way: what waits for it goes back to
// the log.
constexpr Duration kOpenFor = std::chrono::seconds(10);
// The longest that a subscription which is merely behind may keep an event of another one waiting
// that could take it, counted from when that was found.
constexpr Duration kKeepsOthers = std::chrono::milliseconds(100);
// An endpoint that has not answered for twice as long as it needed last, and at least for twice
// this, is what its events wait for, whatever slots there are.
constexpr Duration kAnyAnswer = std::chrono::seconds(1);
constexpr int kEndsPerLook = 2000;  // subscriptions found to have caught up in one look

constexpr std::string_view kQueueFull = "queue_full";
constexpr std::string_view kOthersWait = "others_wait";
constexpr std::string_view kByHand = "by_hand";
constexpr std::string_view kBreakerOpen = "breaker_open";
constexpr std::string_view kWindowFull = "window_full";
constexpr std::string_view kUnresponsive = "no_answer";
constexpr std::string_view kTooManyBlocked = "blocked_max";
constexpr std::string_view kExhausted = "exhausted";

}  // namespace

// --- partitions ---------------------------------------------------------------------------------

void Detacher::add(Partition partition, Cursors& cursors) {
  auto& guarded = guarded_[partition.value];
  EVENTRELAY_ASSERT(guarded == nullptr);
  guarded = std::make_unique<Guarded>();
  guarded->id = partition;
  guarded->cursors = &cursors;
}

// What waits for a record is not done: the next owner reads it again.
void Detacher::drop(Partition partition) {
  const auto it = guarded_.find(partition.value);
  if (it == guarded_.end()) return;
  for (Job* const job : std::exchange(it->second->leaving, {})) {
    settle(parts_.scheduler.settle(*job, End::NotDone));
  }
  guarded_.erase(it);
}

Detacher::Guarded* Detacher::find(Partition partition) {
  const auto it = guarded_.find(partition.value);
  return it == guarded_.end() ? nullptr : it->second.get();
}

const Detacher::Guarded* Detacher::find(Partition partition) const {
  const auto it = guarded_.find(partition.value);
  return it == guarded_.end() ? nullptr : it->second.get();
}

bool Detacher::busy(Partition partition) const {
  const Guarded* const guarded = find(partition);
  return guarded != nullptr && !guarded->leaving.empty();
}

EventKey Detacher::key_of(const Job& job) const {
  return EventKey{parts_.subscriptions.target(*job.queue)->id, job.held->event.object_id,
                  job.queue->config.ordering};
}

// The first offset that the live path has not taken: a record that waits is not taken.
Offset Detacher::live_of(Partition partition) {
  const PartitionState* const state = parts_.consumer.find(partition);
  EVENTRELAY_ASSERT(state != nullptr);
  return parts_.consumer.live_position(*state).value_or(Offset{0});
}

// An event of a log that has begun anew since is not: no cursor can point at it any more.
bool Detacher::is_live(const Job& job) const noexcept {
  const auto& record = *static_cast<const HeldRecord*>(job.held);
  return record.owner == &parts_.consumer && record.epoch == record.home->ledger.epoch();
}

// --- the live path ------------------------------------------------------------------------------

GateVerdict Detacher::pass(HeldRecord& record, std::vector<SubscriptionQueue*>& queues) {
  Guarded* const guarded = find(record.partition);
  if (guarded == nullptr || guarded->cursors->empty()) return GateVerdict::Go;
  const Moment moment = parts_.clock.moment();
  bool wait = false;
  std::size_t kept = 0;
  for (SubscriptionQueue* const queue : queues) {
    const EventKey key{parts_.subscriptions.target(*queue)->id, record.event.object_id,
                       queue->config.ordering};
    const Cover cover = guarded->cursors->meet(key, record.offset, moment);
    if (cover == Cover::NotYet) wait = !failpoint::skips("wait-durable");
    if (cover == Cover::None) queues[kept++] = queue;
  }
  if (wait) {
    parts_.write(record.partition);
    return GateVerdict::Wait;
  }
  const auto answered = static_cast<std::uint32_t>(queues.size() - kept);
  for (; record.kept_elsewhere < answered; ++record.kept_elsewhere) note_kept(record);
  queues.resize(kept);
  return queues.empty() ? GateVerdict::Done : GateVerdict::Go;
}

// The live path is done with the event and gives its bytes back, yet the log must keep it for a
// catch-up read.
void Detacher::note_kept(const HeldEvent& held) const {
  if (parts_.budget != nullptr) parts_.budget->add(held.event.body.size());
}

bool Detacher::make_room(HeldRecord& record, std::span<SubscriptionQueue* const> queues) {
  Guarded* const guarded = find(record.partition);
  if (guarded == nullptr) return false;
  const bool others_wait = keeps_others(*parts_.consumer.find(record.partition), record.offset);
  bool any = false;
  bool full = false;
  for (SubscriptionQueue* const queue : queues) {
    if (!queue->full()) continue;
    full = true;
    // A subscription that is merely behind holds its partition, since what is not read costs
    // nothing in Kafka.
    if (answers(*queue) && !others_wait) continue;
    detach(*guarded, Leave{*queue, CursorState::Detached,
                           answers(*queue) ? kOthersWait : kQueueFull, Whose::LivePath});
    any = true;
  }
  if (full) return any;
  // The whole shard is full: the subscription with most jobs waiting leaves if it can not be served
  // now, or keeps others waiting.
  const Scheduler::Crowd crowd = parts_.scheduler.largest_crowd(record.partition, Whose::Everybody);
  if (crowd.queue == nullptr || crowd.waiting < kManyJobs) return false;
  const bool open = is_open(*crowd.queue);
  if (answers(*crowd.queue) && !others_wait) return false;
  const std::string_view reason = open                        ? kBreakerOpen
                                  : crowd.queue->unresponsive ? kUnresponsive
                                                              : kOthersWait;
  detach(*guarded, Leave{*crowd.queue, CursorState::Detached, reason});
  return true;
}

// The event at `at` finds no room, and for too long a subscription with room has one behind it.
bool Detacher::keeps_others(const PartitionState& partition, Offset at) const {
  return partition.awaited && *partition.awaited >= at &&
         parts_.clock.now() - partition.awaited_since >= kKeepsOthers;
}

bool Detacher::is_open(const SubscriptionQueue& queue) const {
  return queue.breaker.state() != CircuitBreaker::State::Closed ||
         queue.not_before > parts_.clock.now();
}

// Whether it can be served as far as is known. A pause between two answers is no silence yet: for
// others that wait meanwhile there is keeps_others().
bool Detacher::answers(const SubscriptionQueue& queue) const {
  return !is_open(queue) && !(queue.unresponsive && queue.failing);
}

// What waits for it does so for the shard's slots, not for the subscription: nobody gets one sooner
// if it leaves.
bool Detacher::waits_for_slots(const SubscriptionQueue& queue) const {
  if (!queue.ready && queue.waits == SlotClaim::Few) return false;
  if (!queue.unresponsive || queue.in_flight == 0) return true;
  return parts_.clock.now() - queue.heard < 2 * std::max(queue.took, kAnyAnswer);
}

void Detacher::shrink_window(PartitionState& partition) {
  Guarded* const guarded = find(partition.id);
  const TimePoint now = parts_.clock.now();
  if (guarded == nullptr || now - guarded->window_looked < kWindowLook) return;
  guarded->window_looked = now;
  // What catch-up reads and delay topics brought takes no room in it.
  const Scheduler::Crowd crowd = parts_.scheduler.largest_crowd(partition.id, Whose::LivePath);
  if (crowd.queue == nullptr) return;
  const bool others_wait = keeps_others(partition, partition.at_hand.value_or(Offset{0}));
  const bool crowded = crowd.waiting >= kManyJobs || !waits_for_slots(*crowd.queue);
  if (partition.share != Share::Within) partition.share = crowded ? Share::Crowded : Share::Used;
  if (answers(*crowd.queue) && !(others_wait && crowded)) return;
  detach(*guarded, Leave{*crowd.queue, CursorState::Detached, kWindowFull, Whose::LivePath});
}

// --- leaving ------------------------------------------------------------------------------------

namespace {

// The jobs of one subscription in a partition, by what answers for them: the live path, a cursor.
struct UnderWay {
  std::vector<Offset> queued;
  std::vector<Offset> held;
  std::map<std::uint64_t, std::vector<Offset>> reread;

  void sort() {
    std::sort(queued.begin(), queued.end());
    std::sort(held.begin(), held.end());
    for (auto& [cursor, offsets] : reread) std::sort(offsets.begin(), offsets.end());
  }
};

}  // namespace

void Detacher::take_what_waits(Guarded& guarded, const Leave& leave) {
  taken_.assign(leave.also.begin(), leave.also.end());
  parts_.scheduler.take_queued(leave.queue, guarded.id, taken_, leave.whose);
  for (Job* const job : taken_) job->covered = true;
}

void Detacher::detach(Guarded& guarded, const Leave& leave) {
  failpoint::at("before-detach");
  SubscriptionQueue& queue = leave.queue;
  take_what_waits(guarded, leave);
  UnderWay under_way;
  for (const Job* const job : taken_) {
    if (job->cursor != kLivePath) {
      under_way.reread[job->cursor.value].push_back(job->held->offset);
    } else if (is_live(*job)) {
      under_way.queued.push_back(job->held->offset);
    }
  }
  parts_.scheduler.for_each_job(queue, guarded.id, [&](const Job& job) {
    if (job.covered || job.cursor != kLivePath || !is_live(job)) return;
    if (failpoint::skips("name-in-flight")) return;
    under_way.held.push_back(job.held->offset);
  });
  under_way.sort();
  const std::string& subscription = parts_.subscriptions.target(queue)->id;
  Detach request;
  request.subscription = subscription;
  request.ordering = queue.config.ordering;
  request.live = live_of(guarded.id);
  request.queued = under_way.queued;
  request.held = under_way.held;
  request.state = leave.state;
  request.reason = leave.reason;
  guarded.cursors->detach(request, parts_.clock.moment());
  const Pause pause{leave.pause ? leave.pause : queue.breaker.probe_at()};
  for (const auto& [cursor, offsets] : under_way.reread) {
    guarded.cursors->give_back(CursorId{cursor}, offsets, pause);
  }
  log::info("subscription detached", {{"subscription", subscription},
                                      {"partition", guarded.id},
                                      {"at", request.live},
                                      {"queued", under_way.queued.size()},
                                      {"reason", leave.reason}});
  parts_.slab.relay_detaches_total.add();
  // A subscription that answers and is merely behind is called as fast as it answers.
  const bool failed = queue.failing || (queue.unresponsive && queue.tried);
  if (leave.state == CursorState::Paused || failed || is_open(queue)) {
    parts_.scheduler.fall_behind(queue, parts_.clock.now());
    behind_.insert_or_assign(subscription, guarded.id);
  }
  for (Job* const job : std::vector<Job*>(taken_)) release(guarded, *job);
  settle_covered(guarded);
  parts_.write(guarded.id);
}

// Sends a job that has left the scheduler to what answers for it: a cursor, or a delay topic.
void Detacher::release(Guarded& guarded, Job& job) {
  if (job.cursor != kLivePath) return settle(parts_.scheduler.settle(job, End::NotDone));
  job.covered = is_live(job);
  if (!job.covered) return parts_.park_again(job);
  if (failpoint::skips("wait-record")) return settle(parts_.scheduler.settle(job, End::Done));
  guarded.leaving.push_back(&job);
}

void Detacher::on_durable(Partition partition) {
  Guarded* const guarded = find(partition);
  if (guarded == nullptr) return;
  settle_covered(*guarded);
  parts_.consumer.state_written(partition);
}

void Detacher::settle_covered(Guarded& guarded) {
  if (guarded.leaving.empty()) return;
  std::vector<Job*> waiting = std::exchange(guarded.leaving, {});
  for (Job* const job : waiting) {
    if (job->queue->retired) {
      settle(parts_.scheduler.settle(*job, End::Done));
      continue;
    }
    Cover cover = guarded.cursors->cover(key_of(*job), job->held->offset);
    if (cover == Cover::NotYet && failpoint::skips("wait-durable")) cover = Cover::Durable;
    switch (cover) {
      case Cover::NotYet:
        guarded.leaving.push_back(job);
        break;
      case Cover::Durable:
        failpoint::at("after-detach-ack");
        note_kept(*job->held);
        settle(parts_.scheduler.settle(*job, End::Done));
        break;
      case Cover::None:
        // Its cursor is gone (its subscription was for a while): a delay topic keeps it safe.
        job->covered = false;
        parts_.park_again(*job);
        break;
    }
  }
}

// --- attempts -----------------------------------------------------------------------------------

bool Detacher::failed(const Failure& failure) {
  Job& job = failure.job;
  Guarded* const guarded = find(job.held->partition);
  if (guarded == nullptr) return false;
  const bool parked = job.cursor == kLivePath && !is_live(job);
  SubscriptionQueue& queue = *job.queue;
  const bool last = failure.step.kind == Step::Kind::Dead;
  if (failure.retry == RetryClass::Retry &&
      (failure.queue_at_once || (last && failure.queue_exhausted))) {
    pause_after_failure(*guarded, failure, parked);
    return true;
  }
  if (last || parked) return false;
  // The log keeps the event, so nothing is written for an endpoint that does not answer.
  if (job.cursor != kLivePath && failpoint::skips("give-back")) {
    settle(parts_.scheduler.settle(job, End::Done));
    return true;
  }
  const bool backlog = queue.breaker.state() != CircuitBreaker::State::Closed;
  if (job.cursor != kLivePath && backlog && guarded->cursors->goes_on(job.cursor)) {
    give_back(*guarded, job);
    return true;
  }
  if (queue.config.ordering == Ordering::None || failpoint::skips("block-ordered")) return false;
  block(*guarded, failure);
  return true;
}

// The event stays in the log, with all behind it, until the subscription is resumed. One that came
// out of a delay topic has no place in the log any more and goes back there.
void Detacher::pause_after_failure(Guarded& guarded, const Failure& failure, bool parked) {
  Job& job = failure.job;
  SubscriptionQueue& queue = *job.queue;
  const std::string_view reason = failure.queue_at_once ? failure.reason : kExhausted;
  const std::string& subscription = parts_.subscriptions.target(queue)->id;
  if (!guarded.cursors->is_paused(subscription)) {
    log::warn("subscription paused", {{"subscription", subscription}, {"reason", reason}});
  }
  const std::array<Job*, 1> one{&job};
  const std::span<Job* const> also = parked ? std::span<Job* const>{} : one;
  detach(guarded, Leave{queue, CursorState::Paused, reason, Whose::Everybody, also});
  if (parked) release(guarded, job);
}

// Gives the event back to its cursor, with all behind it in its chain.
void Detacher::give_back(Guarded& guarded, Job& job) {
  taken_.clear();
  const bool ordered = job.queue->config.ordering != Ordering::None;
  if (ordered && !failpoint::skips("give-back-chain")) parts_.scheduler.take_chain(job, taken_);
  std::vector<Job*> all(taken_);
  all.push_back(&job);
  const Pause pause{job.queue->breaker.probe_at()};
  for (Job* const one : all) {
    if (one->cursor != kLivePath) {
      const std::array<Offset, 1> offsets{one->held->offset};
      guarded.cursors->give_back(one->cursor, offsets, pause);
    }
    release(guarded, *one);
  }
}

void Detacher::block(Guarded& guarded, const Failure& failure) {
  Job& job = failure.job;
  taken_.clear();
  if (!failpoint::skips("take-chain")) parts_.scheduler.take_chain(job, taken_);
  std::vector<ChainJob> chain;
  for (const Job* const one : taken_) {
    if (one->cursor == kLivePath && !is_live(*one)) continue;
    chain.push_back({one->held->offset, one->cursor});
  }
  std::sort(chain.begin(), chain.end(),
            [](const ChainJob& a, const ChainJob& b) { return a.at < b.at; });
  Block request;
  request.key = key_of(job);
  request.at = job.held->offset;
  request.owner = job.cursor;
  request.chain = chain;
  request.due = failure.step.due;
  request.attempt = job.attempts_made;
  request.first_failure = *job.first_failure;
  request.reason = failure.reason;
  failpoint::at("before-detach");
  std::vector<Job*> left(taken_);
  left.insert(left.begin(), &job);
  if (!guarded.cursors->block(request, parts_.clock.moment())) {
    // Too many objects are blocked: the whole subscription is detached from here on.
    const Duration pause = std::max<Duration>(failure.step.due - parts_.clock.due(), Duration{});
    return detach(guarded, Leave{*job.queue, CursorState::Detached, kTooManyBlocked,
                                 Whose::Everybody, left, parts_.clock.now() + pause});
  }
  for (Job* const one : left) release(guarded, *one);
  settle_covered(guarded);
  parts_.write(guarded.id);
}

void Detacher::ended(const Job& job) {
  if (job.cursor != kLivePath || !is_live(job)) return;
  Guarded* const guarded = find(job.held->partition);
  if (guarded == nullptr || guarded->cursors->empty()) return;
  guarded->cursors->live_ended(parts_.subscriptions.target(*job.queue)->id, job.held->offset);
}

SubscriptionQueue* Detacher::queue_of(std::string_view subscription) {
  const auto instance = instance_of(subscription);
  return instance ? parts_.subscriptions.find(*instance, subscription) : nullptr;
}

// --- pause and resume ---------------------------------------------------------------------------

void Detacher::pause(Job& job, std::string_view reason) {
  Guarded* const guarded = find(job.held->partition);
  if (guarded == nullptr) return;
  const std::string& subscription = parts_.subscriptions.target(*job.queue)->id;
  if (guarded->cursors->is_paused(subscription)) return;
  log::warn("subscription paused", {{"subscription", subscription}, {"reason", reason}});
  detach(*guarded, Leave{*job.queue, CursorState::Paused, reason});
}

PauseChange Detacher::pause(std::string_view subscription, Partition partition) {
  Guarded* const guarded = find(partition);
  SubscriptionQueue* const queue = guarded ? queue_of(subscription) : nullptr;
  if (queue == nullptr) return PauseChange::NotHere;
  if (guarded->cursors->is_paused(subscription)) return PauseChange::Already;
  detach(*guarded, Leave{*queue, CursorState::Paused, kByHand});
  return PauseChange::Yes;
}

PauseChange Detacher::resume(std::string_view subscription, Partition partition) {
  Guarded* const guarded = find(partition);
  if (guarded == nullptr || queue_of(subscription) == nullptr) return PauseChange::NotHere;
  if (!guarded->cursors->resume(subscription)) return PauseChange::Already;
  log::info("subscription resumed", {{"subscription", subscription}});
  parts_.write(partition);
  return PauseChange::Yes;
}

void Detacher::resume_everywhere(std::string_view subscription, WallTime resumed_at) {
  for (const auto& [number, guarded] : guarded_) {
    const std::optional<WallTime> since = guarded->cursors->paused_since(subscription);
    if (!since || *since > resumed_at) continue;
    static_cast<void>(resume(subscription, guarded->id));
  }
}

void Detacher::resume_of_partition(Partition partition) {
  const Guarded* const guarded = find(partition);
  if (guarded == nullptr || guarded->cursors->empty()) return;
  std::set<std::string> paused;
  for (const CursorStatus& cursor : guarded->cursors->oldest(SIZE_MAX)) {
    if (cursor.record.state == CursorState::Paused) paused.insert(cursor.record.subscription);
  }
  for (const std::string& subscription : paused) {
    const auto resumed_at = parts_.subscriptions.resumed_at(subscription);
    if (resumed_at) resume_everywhere(subscription, *resumed_at);
  }
}

bool Detacher::is_paused(std::string_view subscription, Partition partition) const {
  const Guarded* const guarded = find(partition);
  return guarded != nullptr && guarded->cursors->is_paused(subscription);
}

// --- now and then -------------------------------------------------------------------------------

void Detacher::look(TimePoint now) {
  queues_.clear();
  parts_.scheduler.open_queues(queues_);
  for (SubscriptionQueue* const queue : queues_) {
    const auto oldest = queue->oldest_queued();
    if (queue->retired || !oldest || now - *oldest < kOpenFor) continue;
    for (const auto& [number, guarded] : guarded_) {
      if (waits(*queue, guarded->id)) {
        detach(*guarded, Leave{*queue, CursorState::Detached, kBreakerOpen});
      }
    }
  }
  int ended = 0;
  for (auto it = behind_.begin(); it != behind_.end() && ended < kEndsPerLook;) {
    if (is_behind(it->first, it->second)) {
      ++it;
      continue;
    }
    if (SubscriptionQueue* const queue = queue_of(it->first)) Scheduler::caught_up(*queue);
    it = behind_.erase(it);
    ++ended;
  }
}

// `last`: the partition in which it was seen last; most have cursors in that one alone.
bool Detacher::is_behind(std::string_view subscription, Partition& last) const {
  const Guarded* const known = find(last);
  if (known != nullptr && known->cursors->has_cursors(subscription)) return true;
  const auto other = std::find_if(guarded_.begin(), guarded_.end(), [&](const auto& one) {
    return one.second->cursors->has_cursors(subscription);
  });
  if (other == guarded_.end()) return false;
  last = other->second->id;
  return true;
}

// Parked events need no cursor: they have a topic to wait in.
bool Detacher::waits(const SubscriptionQueue& queue, Partition partition) const {
  bool any = false;
  parts_.scheduler.for_each_job(queue, partition, [&](const Job& job) {
    const bool queued = job.state == Job::State::Queued || job.state == Job::State::Chained;
    if (queued && (job.cursor != kLivePath || is_live(job))) any = true;
  });
  return any;
}

void Detacher::begin_anew(Partition partition) {
  Guarded* const guarded = find(partition);
  if (guarded == nullptr || guarded->cursors->empty()) return;
  std::vector<std::string> paused;
  for (const CursorStatus& cursor : guarded->cursors->oldest(SIZE_MAX)) {
    if (cursor.record.state == CursorState::Paused) paused.push_back(cursor.record.subscription);
  }
  guarded->cursors->begin_anew();
  settle_covered(*guarded);
  for (const std::string& subscription : paused) static_cast<void>(pause(subscription, partition));
  parts_.write(partition);
}

void Detacher::forget(std::span<const std::string> subscriptions) {
  const auto stays = [subscriptions](std::string_view id) {
    return std::find(subscriptions.begin(), subscriptions.end(), id) == subscriptions.end();
  };
  for (const auto& [number, guarded] : guarded_) {
    const bool any = std::any_of(
        subscriptions.begin(), subscriptions.end(),
        [cursors = guarded->cursors](const auto& id) { return cursors->has_cursors(id); });
    if (!any) continue;
    guarded->cursors->forget_unless(stays);
    settle_covered(*guarded);
    parts_.write(guarded->id);
  }
}

}  // namespace eventrelay::relay
