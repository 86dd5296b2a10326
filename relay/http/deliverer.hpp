// Performs attempts: composes the request of a job, runs it on a connection, hands the end back.
//
// Owner:   the shard.  Thread: shard thread.
// Bounds:  one slot per attempt in flight, so the scheduler's in_flight_max; slots are kept and
//          their buffers with them: no allocation per attempt once warm.
// Errors:  every attempt ends with one on_attempt_end().
#pragma once

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "common/observe/metrics.hpp"
#include "relay/dispatch/retry.hpp"
#include "relay/http/http_pool.hpp"
#include "relay/record/job.hpp"
#include "relay/request/outgoing_head.hpp"

namespace eventrelay::relay {

// What the shell keeps of one subscription, next to its queue. An attempt in flight keeps the one
// it began with. Thread: shard thread.  Bounds: about 2 KiB.
struct Target : public boost::intrusive_ref_counter<Target, boost::thread_unsafe_counter> {
  Target(const Instance& instance, const Subscription& subscription,
         std::shared_ptr<const RetryPolicy> policy)
      : id(subscription.id),
        request(instance, subscription),
        timeout(subscription.delivery->timeout),
        fatal_statuses(subscription.delivery->fatal_statuses),
        exhausted(subscription.delivery->exhausted),
        retry(std::move(policy)) {}

  std::string id;
  RequestTemplate request;
  std::shared_ptr<Endpoint> endpoint;
  Duration timeout;
  std::vector<int> fatal_statuses;
  Exhausted exhausted;
  std::shared_ptr<const RetryPolicy> retry;  // the common one, unless it has its own schedule
};
using TargetPtr = boost::intrusive_ptr<Target>;

// Hears how attempts end. Thread: shard thread.
class AttemptSink {
 public:
  virtual void on_attempt_end(Job& job, const Result& result, TimePoint now) = 0;

 protected:
  ~AttemptSink() = default;
};

// Thread: shard thread.  Bounds: see the head of this file.
class Deliverer {
 public:
  Deliverer(HttpPool& pool, AttemptSink& sink, metrics::Slab& slab, std::uint64_t seed)
      : pool_(pool), sink_(sink), slab_(slab), random_(seed) {}

  // Begins one attempt; its end comes later, never inside this call.
  void start(Job& job, const TargetPtr& target, TimePoint now);

 private:
  class Slot final : public Exchange {
   public:
    explicit Slot(Deliverer& deliverer) : deliverer_(deliverer) {}
    void on_done(const Result& result) override { deliverer_.end(*this, result); }

    Job* job = nullptr;
    TargetPtr target;
    TimePoint begun{};
    RequestBuffers buffers;

   private:
    Deliverer& deliverer_;
  };

  [[nodiscard]] Slot& take();
  void end(Slot& slot, const Result& result);

  HttpPool& pool_;
  AttemptSink& sink_;
  metrics::Slab& slab_;
  Random random_;
  std::deque<Slot> slots_;
  std::vector<Slot*> free_;
};

}  // namespace eventrelay::relay
