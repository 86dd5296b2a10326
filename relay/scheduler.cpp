#include "relay/scheduler.hpp"

#include <algorithm>
#include <utility>

#include "common/assert.hpp"

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

}  // namespace eventrelay::relay
