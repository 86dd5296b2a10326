#include "relay/dispatch/scheduler.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

#include "common/base/assert.hpp"

namespace eventrelay::relay {

Scheduler::Scheduler(const SchedulerBounds& bounds)
    : bounds_(bounds), limiter_(bounds.in_flight_max) {
  EVENTRELAY_ASSERT(bounds.jobs_max >= 1);
}

Scheduler::~Scheduler() = default;

SubscriptionQueue& Scheduler::add_queue(const QueueConfig& config) {
  EVENTRELAY_ASSERT(config.concurrency >= 1 && config.jobs_max >= 1);
  auto made = std::make_unique<SubscriptionQueue>(config);
  SubscriptionQueue& queue = *made;
  queue.index = queues_.add(std::move(made));
  return queue;
}

void Scheduler::configure(SubscriptionQueue& queue, const QueueConfig& config) {
  EVENTRELAY_ASSERT(config.concurrency >= 1 && config.jobs_max >= 1);
  queue.config = config;  // the breaker keeps what it has learnt
  make_ready(queue);
  note_room(queue);
}

bool Scheduler::is_live(std::uint32_t index) const noexcept {
  return queues_[index] != nullptr;
}

std::optional<TimePoint> SubscriptionQueue::oldest_queued() const noexcept {
  std::optional<TimePoint> oldest;
  for (const JobList* const list : {&retries, &urgent, &fresh}) {
    if (list->empty()) continue;
    const TimePoint queued = list->front().queued;
    if (!oldest || queued < *oldest) oldest = queued;
  }
  return oldest;
}

void Scheduler::open_queues(std::vector<SubscriptionQueue*>& queues) {
  for (SubscriptionQueue& queue : open_) queues.push_back(&queue);
  std::erase_if(held_off_, [this](std::uint32_t index) {
    return !is_live(index) || queues_[index]->not_before <= now_;
  });
  for (const std::uint32_t index : held_off_) {
    const bool open = queues_[index]->breaker.state() != CircuitBreaker::State::Closed;
    if (!open) queues.push_back(queues_[index]);
  }
}

void Scheduler::hold_off(SubscriptionQueue& queue, TimePoint until, TimePoint now) {
  if (until <= now || until <= queue.not_before) return;
  queue.not_before = until;
  if (std::find(held_off_.begin(), held_off_.end(), queue.index) == held_off_.end()) {
    held_off_.push_back(queue.index);
  }
}

// Takes a job that is not in flight out of wherever it waits.
void Scheduler::leave_list(Job& job) {
  if (job.state == Job::State::Queued) unlink(list_of(job), job);
}

void Scheduler::take_job(Job& job, std::vector<Job*>& taken) {
  leave_list(job);
  job.state = Job::State::Leaving;
  if (job.chain != nullptr) unlink_chain(job);
  taken.push_back(&job);
}

bool Scheduler::is_of(const Job& job, Partition partition, Whose whose) {
  if (job.held->partition != partition) return false;
  return whose == Whose::Everybody || (job.cursor == kLivePath && !job.held->event.parked);
}

void Scheduler::take_queued(SubscriptionQueue& queue, Partition partition, std::vector<Job*>& taken,
                            Whose whose) {
  const auto take_of = [&](JobList& list) {
    for (auto it = list.begin(); it != list.end();) {
      Job& job = *it++;
      if (is_of(job, partition, whose)) take_job(job, taken);
    }
  };
  // Later jobs of a chain are taken first, so that none moves up into the place of one that is
  // taken.
  queue.chains.for_each([&](Chain& chain) {
    for (auto it = std::next(chain.jobs.begin()); it != chain.jobs.end();) {
      Job& job = *it++;
      if (is_of(job, partition, whose)) take_job(job, taken);
    }
  });
  take_of(queue.retries);
  take_of(queue.urgent);
  take_of(queue.fresh);
}

Scheduler::Crowd Scheduler::largest_crowd(Partition partition, Whose whose) const {
  std::vector<std::uint32_t> waiting(queues_.size());
  for (const Job& job : jobs_pool_) {
    if (job.state != Job::State::Queued && job.state != Job::State::Chained) continue;
    if (is_of(job, partition, whose) && !job.queue->retired) ++waiting[job.queue->index];
  }
  const auto most = std::max_element(waiting.begin(), waiting.end());
  if (most == waiting.end() || *most == 0) return {};
  return {queues_[static_cast<std::uint32_t>(most - waiting.begin())], *most};
}

void Scheduler::remove(Partition partition, std::vector<Finished>& finished) {
  for (Job& job : jobs_pool_) {
    if (job.state == Job::State::Free || job.held->partition != partition) continue;
    if (job.state == Job::State::InFlight) job.abandoned = true;
    if (job.state == Job::State::InFlight || job.state == Job::State::Leaving) continue;
    leave_list(job);
    const Finished ended = drop(job, false);
    if (ended.held != nullptr) finished.push_back(ended);
  }
}

void Scheduler::in_flight_of(Partition partition, TimePoint begun, std::vector<Job*>& jobs) {
  for (Job& job : jobs_pool_) {
    if (job.state != Job::State::InFlight || job.held->partition != partition) continue;
    if (job.begun <= begun || job.queue->failing) jobs.push_back(&job);
  }
}

bool Scheduler::at_rest(const SubscriptionQueue& queue) const noexcept {
  const bool under_way = queue.jobs != 0 || queue.readers != 0 || queue.retired;
  const bool learnt = queue.failing || !queue.breaker.untouched() || queue.slow.active() ||
                      !queue.budget.full(now_);
  return !under_way && !learnt && queue.heap_index == kNotInHeap && queue.not_before <= now_ &&
         queue.paced_until <= now_;
}

void Scheduler::retire(SubscriptionQueue& queue, std::vector<Finished>& finished) {
  EVENTRELAY_ASSERT(!queue.retired);
  const std::uint32_t index = queue.index;
  for (Job& job : jobs_pool_) {
    if (queue.jobs == 0) break;
    if (job.state == Job::State::Free || job.queue != &queue) continue;
    if (job.state == Job::State::InFlight) job.abandoned = true;
    if (job.state == Job::State::InFlight || job.state == Job::State::Leaving) continue;
    leave_list(job);
    const Finished ended = drop(job, true);
    if (ended.held != nullptr) finished.push_back(ended);
  }
  queue.retired = true;
  free_if_gone(*queues_[index]);
}

void Scheduler::free_if_gone(SubscriptionQueue& queue) {
  if (!queue.retired || queue.jobs != 0) return;
  if (queue.ready) unlink(ready_, queue);
  limiter_.forget(queue);
  if (queue.heap_index != kNotInHeap) resting_.remove(&queue);
  if (queue.breaker.state() != CircuitBreaker::State::Closed) {
    --circuits_open_;
    unlink(open_, queue);
  }
  queues_.erase(queue.index);
}

bool Scheduler::take_room() noexcept {
  return std::exchange(room_, false);
}

std::optional<TimePoint> Scheduler::next_due() const {
  if (resting_.empty()) return std::nullopt;
  return resting_.due();
}

// The way of a job through the scheduler: admitted, its turn, in flight, gone; and what limits its
// queue on it: slots, tokens, retry budget, slow start, breaker, bytes.

using Verdict = CircuitBreaker::Verdict;

namespace {

// What a queue may send in one turn. A request costs at least as much, so that queues of small
// events have one turn each; a larger one is saved up for over several turns.
constexpr std::size_t kTurnBytes = 2048;
constexpr Duration kPaceStretch{std::chrono::seconds{1}};

// The time between two attempts of a queue with a rate.
Duration slot_of(const SubscriptionQueue& queue) {
  return Duration{std::chrono::seconds{1}} / queue.config.rate;
}

// Retries per second that need no share: one for each slot.
std::uint32_t retry_floor(const SubscriptionQueue& queue) {
  return queue.config.concurrency;
}

std::uint32_t rate_of(std::uint32_t attempts, Duration time) {
  return static_cast<std::uint32_t>(attempts / std::chrono::duration<double>(time).count());
}

void note_pace(SubscriptionQueue& queue, TimePoint now) {
  Pace& pace = queue.pace;
  ++pace.attempts;
  const Duration gone = now - pace.since;
  if (gone < kPaceStretch) return;
  pace = Pace{now, 0, rate_of(pace.attempts, gone)};
}

}  // namespace

JobList& Scheduler::list_of(Job& job) {
  if (job.attempts_made > 0) return job.queue->retries;
  return job.urgent ? job.queue->urgent : job.queue->fresh;
}

Admitted Scheduler::admit(HeldEvent& held, std::span<SubscriptionQueue* const> queues,
                          const JobState& state) {
  EVENTRELAY_ASSERT(!queues.empty() && held.jobs == 0);
  const bool fits = jobs_ + queues.size() <= bounds_.jobs_max &&
                    (bytes_ == 0 || bytes_ + held.bytes <= bounds_.bytes_max);
  // An event with more subscriptions than jobs_max is admitted alone, since it would never fit.
  if (!fits && jobs_ != 0) {
    refused_ = true;
    return Admitted::Full;
  }
  bool full = false;
  for (SubscriptionQueue* const queue : queues) {
    EVENTRELAY_ASSERT(!queue->retired);
    if (queue->jobs < queue->config.jobs_max) continue;
    queue->refused = true;
    full = true;
  }
  if (full) return Admitted::Full;
  bytes_ += held.bytes;
  held.all_done = true;
  for (SubscriptionQueue* const queue : queues) enqueue(held, *queue, state);
  return Admitted::Yes;
}

void Scheduler::enqueue(HeldEvent& held, SubscriptionQueue& queue, const JobState& state) {
  Job& job = jobs_pool_.take();
  job = Job{};
  job.held = &held;
  job.queue = &queue;
  job.attempts_made = state.attempts_made;
  job.cursor = state.cursor;
  job.first_failure = state.first_failure;
  job.queued = now_;
  queue.behind = state.cursor != kLivePath;
  if (queue.home != held.partition) {
    queue.moves = queue.home.value >= 0;
    queue.home = held.partition;
  }
  ++held.jobs;
  ++queue.jobs;
  ++jobs_;
  job.state = Job::State::Queued;
  if (queue.config.ordering != Ordering::None) link_chain(queue, job);
  if (job.state == Job::State::Queued) {
    job.urgent = state.urgent;
    list_of(job).push_back(job);
  }
  make_ready(queue);
}

void Scheduler::queue_urgent(Job& job) {
  job.state = Job::State::Queued;
  job.urgent = true;
  list_of(job).push_back(job);
}

void Scheduler::make_ready(SubscriptionQueue& queue) {
  if (queue.ready || queue.waits != SlotClaim::Few || !queue.has_queued()) return;
  if (queue.in_flight >= queue.config.concurrency) return;
  if (queue.heap_index != kNotInHeap) {
    // It rests until its breaker, its rate or its slow start lets it go on.
    if (!queue.out_of_retries || (queue.urgent.empty() && queue.fresh.empty())) return;
    resting_.remove(&queue);
  }
  queue.ready = true;
  ready_.push_back(queue);
}

void Scheduler::wake(TimePoint now) {
  now_ = now;
  limiter_.look(now);
  while (!resting_.empty() && resting_.due() <= now) {
    SubscriptionQueue& queue = *resting_.pop();
    queue.held_until = now;
    make_ready(queue);
  }
}

// The queue whose turn it is and that may have a slot; those that have waited for one come first.
SubscriptionQueue* Scheduler::next_queue() {
  if (limiter_.all_taken()) return nullptr;
  if (SubscriptionQueue* const queue = limiter_.next()) return queue;
  while (!ready_.empty()) {
    SubscriptionQueue& queue = take_first(ready_);
    queue.ready = false;
    if (limiter_.admits(queue)) return &queue;
  }
  return nullptr;
}

Job* Scheduler::next(TimePoint now) {
  wake(now);
  while (SubscriptionQueue* const turn = next_queue()) {
    SubscriptionQueue& queue = *turn;
    if (queue.in_flight >= queue.config.concurrency) continue;
    JobList* const list = pick(queue, now);
    if (list == nullptr || !may_spend(queue, list->front()) || paced(queue, now)) continue;
    const CircuitBreaker::State before = queue.breaker.state();
    const Verdict verdict = queue.breaker.admit(now);
    note_circuit(before, queue, now);
    if (verdict != Verdict::Reject) return take(queue, *list, verdict, now);
    // While a probe runs there is nothing to wait for but its end, which makes the queue ready.
    if (const auto at = queue.breaker.probe_at()) rest(queue, *at);
  }
  return nullptr;
}

void Scheduler::rest(SubscriptionQueue& queue, TimePoint until) {
  queue.out_of_retries = false;
  resting_.push(until, &queue);
}

// The list of whose first job it is the turn; null: the queue rests, or has none.
JobList* Scheduler::pick(SubscriptionQueue& queue, TimePoint now) {
  const bool may_retry = queue.retries.empty() || queue.budget.allows(now, retry_floor(queue));
  if (may_retry && !queue.retries.empty()) return &queue.retries;
  if (!queue.urgent.empty()) return &queue.urgent;
  if (!queue.fresh.empty()) return &queue.fresh;
  if (!may_retry) {
    rest(queue, queue.budget.allowed_at(retry_floor(queue)));
    queue.out_of_retries = true;
  }
  return nullptr;
}

// Deficit round robin: a queue that has not saved up enough goes behind the others, richer by one
// turn. Over all turns that is at most one for every kTurnBytes sent.
bool Scheduler::may_spend(SubscriptionQueue& queue, const Job& job) {
  if (job.held->bytes <= kTurnBytes) return true;
  queue.deficit += kTurnBytes;
  if (queue.deficit >= job.held->bytes) return true;
  if (ready_.empty() && !limiter_.any_waits()) return true;
  queue.ready = true;
  ready_.push_back(queue);
  return false;
}

bool Scheduler::paced(SubscriptionQueue& queue, TimePoint now) {
  if (now < queue.not_before) {
    rest(queue, queue.not_before);
    return true;
  }
  if (queue.slow.active() && !queue.slow.allows(now)) {
    rest(queue, queue.slow.at());
    return true;
  }
  if (queue.config.rate == 0) return false;
  // What fits into a tenth of a second may go at once: a timer is coarse, the average holds.
  const Duration slot = slot_of(queue);
  const Duration burst = std::max<Duration>(std::chrono::milliseconds{100} - slot, {});
  if (queue.paced_until <= now + burst) return false;
  rest(queue, queue.paced_until - burst);
  return true;
}

Duration Scheduler::waited_for_turn(const Job& job, TimePoint now) {
  const SubscriptionQueue& queue = *job.queue;
  // Waiting for earlier events of its object, or for its endpoint, is not our delay.
  if (job.urgent || (queue.tried && queue.unresponsive)) return Duration::zero();
  return now - std::max(job.queued, queue.held_until);
}

Job* Scheduler::take(SubscriptionQueue& queue, JobList& list, Verdict verdict, TimePoint now) {
  Job& job = take_first(list);
  job.state = Job::State::InFlight;
  job.begun = now;
  job.probe = verdict == Verdict::Probe;
  limiter_.begin(queue, now);
  queue.budget.on_attempt();
  if (job.attempts_made > 0) queue.budget.on_retry(now, retry_floor(queue));
  if (queue.config.rate != 0) queue.paced_until = std::max(queue.paced_until, now) + slot_of(queue);
  if (queue.slow.active()) queue.slow.on_attempt(now);
  note_pace(queue, now);
  // It goes behind the others, and keeps what it has not spent, less than a turn, for a large
  // event.
  if (job.held->bytes > kTurnBytes) {
    queue.deficit = queue.deficit > job.held->bytes ? queue.deficit - job.held->bytes : 0;
    queue.deficit = std::min(queue.deficit, kTurnBytes);
  }
  // After a probe the queue waits for its answer.
  if (verdict == Verdict::Allow) make_ready(queue);
  return &job;
}

Finished Scheduler::finish(Job& job, TimePoint now) {
  if (job.attempts_made > 0) job.queue->budget.on_delivered();
  leave_flight(job, Answer::Answered, now);
  return drop(job, true);
}

std::optional<Finished> Scheduler::leave(Job& job, Answer answer, TimePoint now) {
  ++job.attempts_made;
  leave_flight(job, answer, now);
  if (job.abandoned) return drop(job, job.queue->retired);
  job.state = Job::State::Leaving;
  make_ready(*job.queue);
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
  SubscriptionQueue& queue = *job.queue;
  if (job.probe || queue.in_flight >= queue.config.concurrency) queue.held_until = now;
  limiter_.end(queue, answer, now);
  if (answer) queue.failing = *answer == Answer::Failed;
  if (answer == Answer::Answered) queue.took = now - job.begun;
  job.state = Job::State::Queued;  // in no list; the caller decides where it goes
  CircuitBreaker& breaker = queue.breaker;
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
  note_circuit(before, queue, now);
}

void Scheduler::note_circuit(CircuitBreaker::State before, SubscriptionQueue& queue,
                             TimePoint now) {
  const bool was = before != CircuitBreaker::State::Closed;
  const bool is = queue.breaker.state() != CircuitBreaker::State::Closed;
  if (is == was) return;
  if (is) {
    ++circuits_open_;
    open_.push_back(queue);
    return;
  }
  --circuits_open_;
  unlink(open_, queue);
  queue.slow.begin(queue.config.slow_start, now);
}

// Ends a job that is in no list and in no heap, its chain aside.
Finished Scheduler::drop(Job& job, bool done) {
  SubscriptionQueue& queue = *job.queue;
  HeldEvent& held = *job.held;
  if (job.chain != nullptr) unlink_chain(job);
  --queue.jobs;
  --jobs_;
  held.all_done = held.all_done && done;
  const bool last = --held.jobs == 0;
  if (last) bytes_ -= held.bytes;
  job.held = nullptr;
  job.queue = nullptr;
  job.state = Job::State::Free;
  jobs_pool_.give_back(job);
  make_ready(queue);
  note_room(queue);
  free_if_gone(queue);
  return last ? Finished{&held, held.all_done} : Finished{};
}

void Scheduler::note_room(SubscriptionQueue& queue) {
  // A quarter must be free before it is worth asking again, or each end would cost a refusal.
  if (queue.refused && queue.jobs <= queue.config.jobs_max - (queue.config.jobs_max + 3) / 4) {
    queue.refused = false;
    room_ = true;
  }
  if (refused_ && (bytes_ <= bounds_.bytes_max / 4 * 3 || jobs_ == 0) &&
      jobs_ <= bounds_.jobs_max / 4 * 3) {
    refused_ = false;
    room_ = true;
  }
}

void Scheduler::fall_behind(SubscriptionQueue& queue, TimePoint now) {
  if (queue.config.slow_start == 0) return;
  const Pace& pace = queue.pace;
  const Duration gone = now - pace.since;
  const bool stale = gone >= kPaceStretch;
  const std::uint32_t rate = stale ? rate_of(pace.attempts, gone) : pace.rate;
  queue.slow.begin(std::max(queue.config.slow_start, rate), now);
  queue.slow.hold(true);
}

// Chains: jobs of one ordering key, of which only the first may be sent.

void Scheduler::link_chain(SubscriptionQueue& queue, Job& job) {
  ChainKey key{.hash = 0, .whole_queue = queue.config.ordering == Ordering::Instance, .object = {}};
  if (!key.whole_queue) {
    key.object = job.held->event.object_id;
    key.hash = std::hash<std::string_view>{}(key.object);
  }
  Chain* chain = queue.chains.find(key);
  job.chain = chain;
  if (chain != nullptr) {
    chain->jobs.push_back(job);
    job.state = Job::State::Chained;
    return;
  }
  chain = &chains_pool_.take();
  chain->hash = key.hash;
  chain->whole_queue = key.whole_queue;
  chain->jobs.push_back(job);
  queue.chains.insert(*chain);
  job.chain = chain;
}

void Scheduler::unlink_chain(Job& job) {
  SubscriptionQueue& queue = *job.queue;
  Chain& chain = *job.chain;
  const bool was_first = &chain.jobs.front() == &job;
  job.chain = nullptr;
  if (was_first && &chain.jobs.back() == &job) {
    queue.chains.erase(chain);  // before its last job goes
    chain.jobs.clear();
    chains_pool_.give_back(chain);
    return;
  }
  unlink(chain.jobs, job);
  // The next event of its object is older than fresh ones, so it goes first.
  if (was_first) queue_urgent(chain.jobs.front());
}

void Scheduler::take_chain(Job& job, std::vector<Job*>& taken) {
  EVENTRELAY_ASSERT(job.state == Job::State::Leaving);
  if (job.chain == nullptr) return;
  auto& jobs = job.chain->jobs;
  for (auto it = std::next(jobs.iterator_to(job)); it != jobs.end();) take_job(*it++, taken);
  unlink_chain(job);
}

}  // namespace eventrelay::relay
