#include "relay/dispatch/scheduler.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "common/base/assert.hpp"

namespace eventrelay::relay {

Scheduler::Scheduler(const SchedulerBounds& bounds)
    : bounds_(bounds), slots_(bounds.in_flight_max) {
  EVENTRELAY_ASSERT(bounds.jobs_max >= 1);
}

Scheduler::~Scheduler() = default;

Lane& Scheduler::add_lane(const LaneConfig& config) {
  EVENTRELAY_ASSERT(config.concurrency >= 1 && config.jobs_max >= 1);
  std::uint32_t index = static_cast<std::uint32_t>(lanes_.size());
  if (lanes_free_.empty()) {
    lanes_.emplace_back();
  } else {
    index = lanes_free_.back();
    lanes_free_.pop_back();
  }
  lanes_[index] = std::make_unique<Lane>(config);
  lanes_[index]->index = index;
  return *lanes_[index];
}

void Scheduler::configure(Lane& lane, const LaneConfig& config) {
  EVENTRELAY_ASSERT(config.concurrency >= 1 && config.jobs_max >= 1);
  lane.config = config;  // the breaker keeps what it has learnt
  make_ready(lane);
  note_room(lane);
}

bool Scheduler::is_live(std::uint32_t index) const noexcept {
  return index < lanes_.size() && lanes_[index] != nullptr;
}

std::optional<TimePoint> Lane::oldest_queued() const noexcept {
  std::optional<TimePoint> oldest;
  for (const Job* const job : {retries.first, urgent.first, fresh.first}) {
    if (job != nullptr && (!oldest || job->queued < *oldest)) oldest = job->queued;
  }
  return oldest;
}

void Scheduler::open_lanes(std::vector<Lane*>& lanes) const {
  for (Lane* lane = open_.first; lane != nullptr; lane = lane->open_next) lanes.push_back(lane);
}

// Takes a job that is not in flight out of wherever it waits.
void Scheduler::unlink(Job& job) {
  if (job.state == Job::State::Queued) list_of(job).remove(&job);
}

void Scheduler::take_job(Job& job, std::vector<Job*>& taken) {
  unlink(job);
  job.state = Job::State::Leaving;
  if (job.chain != nullptr) unlink_chain(job);
  taken.push_back(&job);
}

void Scheduler::take_queued(Lane& lane, Partition partition, std::vector<Job*>& taken,
                            Whose whose) {
  const auto wanted = [partition, whose](const Job& job) {
    if (job.held->partition != partition) return false;
    return whose == Whose::Everybody || (job.entry == kLivePath && !job.held->event.parked);
  };
  const auto take_of = [&](JobList& list) {
    for (Job* job = list.first; job != nullptr;) {
      Job* const next = job->next;
      if (wanted(*job)) take_job(*job, taken);
      job = next;
    }
  };
  // What stands behind others first, so that nothing takes the place of one that is taken.
  for (Chain* const bucket : lane.buckets) {
    for (Chain* chain = bucket; chain != nullptr; chain = chain->next) {
      for (Job* job = chain->jobs.first->chain_next; job != nullptr;) {
        Job* const next = job->chain_next;
        if (wanted(*job)) take_job(*job, taken);
        job = next;
      }
    }
  }
  take_of(lane.retries);
  take_of(lane.urgent);
  take_of(lane.fresh);
}

Scheduler::Crowd Scheduler::largest_crowd(Partition partition) const {
  std::vector<std::uint32_t> waiting(lanes_.size());
  for (const Job& job : jobs_pool_) {
    if (job.state != Job::State::Queued && job.state != Job::State::Chained) continue;
    if (job.held->partition == partition && !job.lane->retired) ++waiting[job.lane->index];
  }
  const auto most = std::max_element(waiting.begin(), waiting.end());
  if (most == waiting.end() || *most == 0) return {};
  return {lanes_[static_cast<std::size_t>(most - waiting.begin())].get(), *most};
}

void Scheduler::remove(Partition partition, std::vector<Finished>& finished) {
  for (Job& job : jobs_pool_) {
    if (job.state == Job::State::Free || job.held->partition != partition) continue;
    if (job.state == Job::State::InFlight) job.abandoned = true;
    if (job.state == Job::State::InFlight || job.state == Job::State::Leaving) continue;
    unlink(job);
    const Finished ended = drop(job, false);
    if (ended.held != nullptr) finished.push_back(ended);
  }
}

void Scheduler::retire(Lane& lane, std::vector<Finished>& finished) {
  EVENTRELAY_ASSERT(!lane.retired);
  const std::uint32_t index = lane.index;
  for (Job& job : jobs_pool_) {
    if (job.state == Job::State::Free || job.lane != &lane) continue;
    if (job.state == Job::State::InFlight) job.abandoned = true;
    if (job.state == Job::State::InFlight || job.state == Job::State::Leaving) continue;
    unlink(job);
    const Finished ended = drop(job, true);
    if (ended.held != nullptr) finished.push_back(ended);
  }
  lane.retired = true;
  free_if_gone(*lanes_[index]);
}

void Scheduler::free_if_gone(Lane& lane) {
  if (!lane.retired || lane.jobs != 0) return;
  if (lane.ready) ready_.remove(&lane);
  slots_.forget(lane);
  if (lane.heap_index != kNotInHeap) resting_.remove(&lane);
  if (lane.breaker.state() != CircuitBreaker::State::Closed) {
    --circuits_open_;
    open_.remove(&lane);
  }
  const std::uint32_t index = lane.index;
  lanes_free_.push_back(index);
  lanes_[index].reset();
}

bool Scheduler::take_room() noexcept {
  return std::exchange(room_, false);
}

std::optional<TimePoint> Scheduler::next_due() const {
  if (resting_.empty()) return std::nullopt;
  return resting_.due();
}

// The way of a job through the scheduler: admitted, its turn, in flight, gone; and what limits its
// lane on it: slots, tokens, retry budget, slow start, breaker, bytes.

using Verdict = CircuitBreaker::Verdict;

namespace {

// What a lane may send in one turn. A request costs at least as much, so that lanes of small events
// have one turn each; a larger one is saved up for over several turns.
constexpr std::size_t kTurnBytes = 2048;
constexpr Duration kPaceStretch{std::chrono::seconds{1}};

// The time between two attempts of a lane with a rate.
Duration slot_of(const Lane& lane) {
  return Duration{std::chrono::seconds{1}} / lane.config.rate;
}

// Retries per second that need no share: one for each slot.
std::uint32_t retry_floor(const Lane& lane) {
  return lane.config.concurrency;
}

std::uint32_t rate_of(std::uint32_t attempts, Duration time) {
  return static_cast<std::uint32_t>(attempts / std::chrono::duration<double>(time).count());
}

void note_pace(Lane& lane, TimePoint now) {
  Pace& pace = lane.pace;
  ++pace.attempts;
  const Duration gone = now - pace.since;
  if (gone < kPaceStretch) return;
  pace = Pace{now, 0, rate_of(pace.attempts, gone)};
}

}  // namespace

Scheduler::JobList& Scheduler::list_of(Job& job) {
  if (job.attempts_made > 0) return job.lane->retries;
  return job.urgent ? job.lane->urgent : job.lane->fresh;
}

Admitted Scheduler::admit(HeldEvent& held, std::span<Lane* const> lanes, const JobState& state) {
  EVENTRELAY_ASSERT(!lanes.empty() && held.jobs == 0);
  const bool fits = jobs_ + lanes.size() <= bounds_.jobs_max &&
                    (bytes_ == 0 || bytes_ + held.bytes <= bounds_.bytes_max);
  // More subscriptions than jobs may exist at all: it goes alone rather than never.
  if (!fits && jobs_ != 0) {
    refused_ = true;
    return Admitted::Full;
  }
  bool full = false;
  for (Lane* const lane : lanes) {
    EVENTRELAY_ASSERT(!lane->retired);
    if (lane->jobs < lane->config.jobs_max) continue;
    lane->refused = true;
    full = true;
  }
  if (full) return Admitted::Full;
  bytes_ += held.bytes;
  held.all_done = true;
  for (Lane* const lane : lanes) enqueue(held, *lane, state);
  return Admitted::Yes;
}

void Scheduler::enqueue(HeldEvent& held, Lane& lane, const JobState& state) {
  if (jobs_free_.empty()) jobs_free_.push_back(&jobs_pool_.emplace_back());
  Job& job = *jobs_free_.back();
  jobs_free_.pop_back();
  job = Job{};
  job.held = &held;
  job.lane = &lane;
  job.attempts_made = state.attempts_made;
  job.entry = state.entry;
  job.first_failure = state.first_failure;
  job.queued = now_;
  lane.behind = state.entry != kLivePath;
  ++held.jobs;
  ++lane.jobs;
  ++jobs_;
  job.state = Job::State::Queued;
  if (lane.config.ordering != Ordering::None) link_chain(lane, job);
  if (job.state == Job::State::Queued) {
    job.urgent = state.urgent;
    list_of(job).push_back(&job);
  }
  make_ready(lane);
}

void Scheduler::queue_urgent(Job& job) {
  job.state = Job::State::Queued;
  job.urgent = true;
  list_of(job).push_back(&job);
}

void Scheduler::make_ready(Lane& lane) {
  if (lane.ready || lane.waits != SlotClaim::Few || !lane.has_queued()) return;
  if (lane.in_flight >= lane.config.concurrency) return;
  if (lane.heap_index != kNotInHeap) {
    // It rests until its breaker, its rate or its slow start lets it go on.
    if (!lane.out_of_retries || (lane.urgent.empty() && lane.fresh.empty())) return;
    resting_.remove(&lane);
  }
  lane.ready = true;
  ready_.push_back(&lane);
}

void Scheduler::wake(TimePoint now) {
  now_ = now;
  slots_.look(now);
  while (!resting_.empty() && resting_.due() <= now) make_ready(*resting_.pop());
}

// The lane whose turn it is and that may have a slot; those that have waited for one come first.
Lane* Scheduler::next_lane() {
  if (slots_.all_taken()) return nullptr;
  if (Lane* const lane = slots_.next()) return lane;
  while (!ready_.empty()) {
    Lane& lane = *ready_.first;
    ready_.remove(&lane);
    lane.ready = false;
    if (slots_.admits(lane)) return &lane;
  }
  return nullptr;
}

Job* Scheduler::next(TimePoint now) {
  wake(now);
  while (Lane* const turn = next_lane()) {
    Lane& lane = *turn;
    if (lane.in_flight >= lane.config.concurrency) continue;
    JobList* const queue = pick(lane, now);
    if (queue == nullptr || !may_spend(lane, *queue->first) || paced(lane, now)) continue;
    const CircuitBreaker::State before = lane.breaker.state();
    const Verdict verdict = lane.breaker.admit(now);
    note_circuit(before, lane, now);
    if (verdict != Verdict::Reject) return take(lane, *queue, verdict, now);
    // While a probe runs there is nothing to wait for but its end, which makes the lane ready.
    if (const auto at = lane.breaker.probe_at()) rest(lane, *at);
  }
  return nullptr;
}

void Scheduler::rest(Lane& lane, TimePoint until) {
  lane.out_of_retries = false;
  resting_.push(until, &lane);
}

// The list of whose first job it is the turn; null: the lane rests, or has none.
Scheduler::JobList* Scheduler::pick(Lane& lane, TimePoint now) {
  const bool may_retry = lane.retries.empty() || lane.budget.allows(now, retry_floor(lane));
  if (may_retry && !lane.retries.empty()) return &lane.retries;
  if (!lane.urgent.empty()) return &lane.urgent;
  if (!lane.fresh.empty()) return &lane.fresh;
  if (!may_retry) {
    rest(lane, lane.budget.allowed_at(retry_floor(lane)));
    lane.out_of_retries = true;
  }
  return nullptr;
}

// Deficit round robin: a lane that has not saved up enough goes behind the others, richer by one
// turn. Over all turns that is at most one for every kTurnBytes sent.
bool Scheduler::may_spend(Lane& lane, const Job& job) {
  if (job.held->bytes <= kTurnBytes) return true;
  lane.deficit += kTurnBytes;
  if (lane.deficit >= job.held->bytes) return true;
  if (ready_.empty() && !slots_.any_waits()) return true;
  lane.ready = true;
  ready_.push_back(&lane);
  return false;
}

bool Scheduler::paced(Lane& lane, TimePoint now) {
  if (lane.slow.active() && !lane.slow.allows(now)) {
    rest(lane, lane.slow.at());
    return true;
  }
  if (lane.config.rate == 0) return false;
  // What fits into a tenth of a second may go at once: a timer is coarse, the average holds.
  const Duration slot = slot_of(lane);
  const Duration burst = std::max<Duration>(std::chrono::milliseconds{100} - slot, {});
  if (lane.paced_until <= now + burst) return false;
  rest(lane, lane.paced_until - burst);
  return true;
}

Job* Scheduler::take(Lane& lane, JobList& queue, Verdict verdict, TimePoint now) {
  Job& job = *queue.first;
  queue.remove(&job);
  job.state = Job::State::InFlight;
  job.probe = verdict == Verdict::Probe;
  slots_.begin(lane, now);
  lane.budget.on_attempt();
  if (job.attempts_made > 0) lane.budget.on_retry(now, retry_floor(lane));
  if (lane.config.rate != 0) lane.paced_until = std::max(lane.paced_until, now) + slot_of(lane);
  if (lane.slow.active()) lane.slow.on_attempt(now);
  note_pace(lane, now);
  // Behind the others; what it has not spent, less than a turn, stays for its next large event.
  if (job.held->bytes > kTurnBytes) {
    lane.deficit = lane.deficit > job.held->bytes ? lane.deficit - job.held->bytes : 0;
    lane.deficit = std::min(lane.deficit, kTurnBytes);
  }
  // After a probe the lane waits for its answer.
  if (verdict == Verdict::Allow) make_ready(lane);
  return &job;
}

Finished Scheduler::finish(Job& job, TimePoint now) {
  if (job.attempts_made > 0) job.lane->budget.on_delivered();
  leave_flight(job, Answer::Answered, now);
  return drop(job, true);
}

std::optional<Finished> Scheduler::leave(Job& job, Answer answer, TimePoint now) {
  ++job.attempts_made;
  leave_flight(job, answer, now);
  if (job.abandoned) return drop(job, job.lane->retired);
  job.state = Job::State::Leaving;
  make_ready(*job.lane);
  return std::nullopt;
}

Finished Scheduler::settle(Job& job, End end) {
  EVENTRELAY_ASSERT(job.state == Job::State::Leaving);
  return drop(job, end == End::Done);
}

Finished Scheduler::abandon(Job& job, TimePoint now) {
  leave_flight(job, std::nullopt, now);
  return drop(job, false);
}

void Scheduler::leave_flight(Job& job, std::optional<Answer> answer, TimePoint now) {
  EVENTRELAY_ASSERT(job.state == Job::State::InFlight);
  Lane& lane = *job.lane;
  slots_.end(lane, answer, now);
  job.state = Job::State::Queued;  // in no list; the caller decides where it goes
  CircuitBreaker& breaker = lane.breaker;
  const CircuitBreaker::State before = breaker.state();
  // Attempts from before the trip say nothing while a probe is out.
  const bool counts = job.probe || before == CircuitBreaker::State::Closed;
  if (counts && !answer) {
    if (job.probe) breaker.on_cancel();
  } else if (counts && *answer == Answer::Failed) {
    breaker.on_failure(now);
  } else if (counts) {
    breaker.on_success();
  }
  job.probe = false;
  note_circuit(before, lane, now);
}

void Scheduler::note_circuit(CircuitBreaker::State before, Lane& lane, TimePoint now) {
  const bool was = before != CircuitBreaker::State::Closed;
  const bool is = lane.breaker.state() != CircuitBreaker::State::Closed;
  if (is == was) return;
  if (is) {
    ++circuits_open_;
    open_.push_back(&lane);
    return;
  }
  --circuits_open_;
  open_.remove(&lane);
  lane.slow.begin(lane.config.slow_start, now);
}

// Ends a job that is in no list and in no heap, its chain aside.
Finished Scheduler::drop(Job& job, bool done) {
  Lane& lane = *job.lane;
  HeldEvent& held = *job.held;
  if (job.chain != nullptr) unlink_chain(job);
  --lane.jobs;
  --jobs_;
  held.all_done = held.all_done && done;
  const bool last = --held.jobs == 0;
  if (last) bytes_ -= held.bytes;
  job.held = nullptr;
  job.lane = nullptr;
  job.state = Job::State::Free;
  jobs_free_.push_back(&job);
  make_ready(lane);
  note_room(lane);
  free_if_gone(lane);
  return last ? Finished{&held, held.all_done} : Finished{};
}

void Scheduler::note_room(Lane& lane) {
  // A quarter must be free before it is worth asking again, or each end would cost a refusal.
  if (lane.refused && lane.jobs <= lane.config.jobs_max - (lane.config.jobs_max + 3) / 4) {
    lane.refused = false;
    room_ = true;
  }
  if (refused_ && (bytes_ <= bounds_.bytes_max / 4 * 3 || jobs_ == 0) &&
      jobs_ <= bounds_.jobs_max / 4 * 3) {
    refused_ = false;
    room_ = true;
  }
}

void Scheduler::fall_behind(Lane& lane, TimePoint now) {
  if (lane.config.slow_start == 0) return;
  const Pace& pace = lane.pace;
  const Duration gone = now - pace.since;
  const bool stale = gone >= kPaceStretch;
  const std::uint32_t rate = stale ? rate_of(pace.attempts, gone) : pace.rate;
  lane.slow.begin(std::max(lane.config.slow_start, rate), now);
  lane.slow.hold(true);
}

// Chains: jobs of one ordering key, of which only the first may be sent.

namespace {

constexpr std::size_t kBucketsMin = 16;

// Events without a single object are in order among themselves.
std::string_view object_of(const Job& job) noexcept {
  return job.held->event.object_id;
}

Chain*& bucket_of(Lane& lane, std::uint64_t hash) {
  return lane.buckets[hash & (lane.buckets.size() - 1)];
}

}  // namespace

void Scheduler::link_chain(Lane& lane, Job& job) {
  const bool whole_lane = lane.config.ordering == Ordering::Instance;
  const std::uint64_t hash = whole_lane ? 0 : std::hash<std::string_view>{}(object_of(job));
  if (lane.chains >= lane.buckets.size()) grow_buckets(lane);
  Chain*& bucket = bucket_of(lane, hash);
  for (Chain* chain = bucket; chain != nullptr; chain = chain->next) {
    if (chain->hash != hash || chain->whole_lane != whole_lane) continue;
    if (!whole_lane && object_of(*chain->jobs.first) != object_of(job)) continue;
    chain->jobs.push_back(&job);
    job.chain = chain;
    job.state = Job::State::Chained;
    return;
  }
  Chain* chain = chains_free_;
  if (chain != nullptr) {
    chains_free_ = chain->next;
  } else {
    chain = &chains_pool_.emplace_back();
  }
  *chain = Chain{};
  chain->hash = hash;
  chain->whole_lane = whole_lane;
  chain->next = bucket;
  bucket = chain;
  ++lane.chains;
  chain->jobs.push_back(&job);
  job.chain = chain;
}

void Scheduler::unlink_chain(Job& job) {
  Lane& lane = *job.lane;
  Chain& chain = *job.chain;
  const bool was_first = chain.jobs.first == &job;
  chain.jobs.remove(&job);
  job.chain = nullptr;
  if (!chain.jobs.empty()) {
    // The next of its object is older than what is fresh: it goes first.
    if (was_first) queue_urgent(*chain.jobs.first);
    return;
  }
  Chain** link = &bucket_of(lane, chain.hash);
  while (*link != &chain) {
    EVENTRELAY_ASSERT(*link != nullptr);
    link = &(*link)->next;
  }
  *link = chain.next;
  --lane.chains;
  chain.next = chains_free_;
  chains_free_ = &chain;
}

void Scheduler::take_chain(Job& job, std::vector<Job*>& taken) {
  EVENTRELAY_ASSERT(job.state == Job::State::Leaving);
  if (job.chain == nullptr) return;
  for (Job* later = job.chain_next; later != nullptr;) {
    Job* const next = later->chain_next;
    take_job(*later, taken);
    later = next;
  }
  unlink_chain(job);
}

void Scheduler::grow_buckets(Lane& lane) {
  std::vector<Chain*> old = std::move(lane.buckets);
  lane.buckets.assign(old.empty() ? kBucketsMin : old.size() * 2, nullptr);
  for (Chain* chain : old) {
    while (chain != nullptr) {
      Chain* const rest = chain->next;
      Chain*& bucket = bucket_of(lane, chain->hash);
      chain->next = bucket;
      bucket = chain;
      chain = rest;
    }
  }
}

}  // namespace eventrelay::relay
