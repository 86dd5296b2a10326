// Chains: jobs of one ordering key, of which only the first may be sent.
#include <functional>

#include "common/assert.hpp"
#include "relay/scheduler.hpp"

namespace eventrelay::relay {

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
