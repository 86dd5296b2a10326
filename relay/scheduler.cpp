#include "relay/scheduler.hpp"

#include <algorithm>
#include <utility>

#include "common/assert.hpp"

namespace eventrelay::relay {

using Verdict = CircuitBreaker::Verdict;

namespace {

// The time between two attempts of a lane with a rate.
Duration slot_of(const Lane& lane) {
  return Duration{std::chrono::seconds{1}} / lane.config.rate;
}

}  // namespace

Scheduler::Scheduler(const SchedulerBounds& bounds) : bounds_(bounds) {
  EVENTRELAY_ASSERT(bounds.in_flight_max >= 1 && bounds.jobs_max >= 1);
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
  ++held.jobs;
  ++lane.jobs;
  ++jobs_;
  job.state = Job::State::Queued;
  if (lane.config.ordering != Ordering::None) link_chain(lane, job);
  if (job.state == Job::State::Queued) {
    job.urgent = state.urgent;
    (state.urgent ? lane.urgent : lane.fresh).push_back(&job);
  }
  make_ready(lane);
}

void Scheduler::make_ready(Lane& lane) {
  const bool runnable = !lane.urgent.empty() || !lane.fresh.empty();
  if (lane.ready || !runnable || lane.in_flight >= lane.config.concurrency) return;
  // It rests until its breaker or its rate lets it go on.
  if (lane.heap_index != kNotInHeap) return;
  lane.ready = true;
  ready_.push_back(&lane);
}

Job* Scheduler::next(TimePoint now) {
  wake(now);
  while (in_flight_ < bounds_.in_flight_max && !ready_.empty()) {
    Lane& lane = *ready_.first;
    ready_.remove(&lane);
    lane.ready = false;
    if (lane.in_flight >= lane.config.concurrency) continue;
    if (lane.urgent.empty() && lane.fresh.empty()) continue;
    if (paced(lane, now)) continue;
    const CircuitBreaker::State before = lane.breaker.state();
    const Verdict verdict = lane.breaker.admit(now);
    note_circuit(before, lane);
    if (verdict != Verdict::Reject) {
      if (lane.config.rate != 0) lane.paced_until = std::max(lane.paced_until, now) + slot_of(lane);
      return take(lane, verdict);
    }
    // While a probe runs there is nothing to wait for but its end, which makes the lane ready.
    if (const auto at = lane.breaker.probe_at()) resting_.push(*at, &lane);
  }
  return nullptr;
}

void Scheduler::wake(TimePoint now) {
  while (!resting_.empty() && resting_.due() <= now) make_ready(*resting_.pop());
}

bool Scheduler::paced(Lane& lane, TimePoint now) {
  if (lane.config.rate == 0) return false;
  // What fits into a tenth of a second may go at once: a timer is coarse, the average holds.
  const Duration slot = slot_of(lane);
  const Duration burst = std::max<Duration>(std::chrono::milliseconds{100} - slot, {});
  if (lane.paced_until <= now + burst) return false;
  resting_.push(lane.paced_until - burst, &lane);
  return true;
}

void Scheduler::queue_urgent(Job& job) {
  job.state = Job::State::Queued;
  job.urgent = true;
  job.lane->urgent.push_back(&job);
}

Job* Scheduler::take(Lane& lane, Verdict verdict) {
  auto& queue = lane.urgent.empty() ? lane.fresh : lane.urgent;
  Job& job = *queue.first;
  queue.remove(&job);
  job.state = Job::State::InFlight;
  job.probe = verdict == Verdict::Probe;
  ++lane.in_flight;
  ++in_flight_;
  // Behind the others: one turn each. After a probe the lane waits for its answer.
  if (verdict == Verdict::Allow) make_ready(lane);
  return &job;
}

Finished Scheduler::finish(Job& job, TimePoint now) {
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
  --lane.in_flight;
  --in_flight_;
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
  note_circuit(before, lane);
}

void Scheduler::note_circuit(CircuitBreaker::State before, const Lane& lane) {
  const bool was = before != CircuitBreaker::State::Closed;
  const bool is = lane.breaker.state() != CircuitBreaker::State::Closed;
  if (is && !was) ++circuits_open_;
  if (was && !is) --circuits_open_;
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

// Takes a job that is not in flight out of wherever it waits.
void Scheduler::unlink(Job& job) {
  Lane& lane = *job.lane;
  switch (job.state) {
    case Job::State::Queued:
      (job.urgent ? lane.urgent : lane.fresh).remove(&job);
      break;
    case Job::State::Chained:
    case Job::State::InFlight:
    case Job::State::Leaving:
    case Job::State::Free:
      break;
  }
}

void Scheduler::take_job(Job& job, std::vector<Job*>& taken) {
  unlink(job);
  job.state = Job::State::Leaving;
  if (job.chain != nullptr) unlink_chain(job);
  taken.push_back(&job);
}

void Scheduler::take_queued(Lane& lane, Partition partition, std::vector<Job*>& taken) {
  const auto take_of = [&](JobList& list) {
    for (Job* job = list.first; job != nullptr;) {
      Job* const next = job->next;
      if (job->held->partition == partition) take_job(*job, taken);
      job = next;
    }
  };
  // What stands behind others first, so that nothing takes the place of one that is taken.
  for (std::size_t bucket = 0; bucket < lane.buckets.size(); ++bucket) {
    for (Chain* chain = lane.buckets[bucket]; chain != nullptr; chain = chain->next) {
      for (Job* job = chain->jobs.first->chain_next; job != nullptr;) {
        Job* const next = job->chain_next;
        if (job->held->partition == partition) take_job(*job, taken);
        job = next;
      }
    }
  }
  take_of(lane.urgent);
  take_of(lane.fresh);
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
  if (lane.heap_index != kNotInHeap) resting_.remove(&lane);
  if (lane.breaker.state() != CircuitBreaker::State::Closed) --circuits_open_;
  const std::uint32_t index = lane.index;
  lanes_free_.push_back(index);
  lanes_[index].reset();
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

bool Scheduler::take_room() noexcept {
  return std::exchange(room_, false);
}

std::optional<TimePoint> Scheduler::next_due() const {
  if (resting_.empty()) return std::nullopt;
  return resting_.due();
}

}  // namespace eventrelay::relay
