// Performs attempts: composes the request of a job, runs it on a connection, hands the end back.
//
// Owner:   the shard.  Thread: shard thread.
// Bounds:  one slot per attempt in flight, so the scheduler's in_flight_max; slots are kept, and
//          the buffers of one request: no allocation per attempt once warm.
// Errors:  every attempt ends with one on_attempt_end().
#pragma once

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/pool.hpp"
#include "common/base/random.hpp"
#include "common/observe/metrics.hpp"
#include "relay/dispatch/retry.hpp"
#include "relay/http/attempt_trace.hpp"
#include "relay/http/http_pool.hpp"
#include "relay/io/clock.hpp"
#include "relay/io/endpoint_caller.hpp"
#include "relay/record/job.hpp"
#include "relay/request/outgoing_head.hpp"

namespace eventrelay::relay {

// What the shell keeps of one subscription, next to its queue. An attempt in flight keeps the one
// it began with. Bounds: about 1 KiB.
struct Target : public boost::intrusive_ref_counter<Target, boost::thread_unsafe_counter> {
  Target(const Instance& instance, const Subscription& subscription,
         std::shared_ptr<const RetryPolicy> policy)
      : id(subscription.id),
        request(instance, subscription),
        delivery(subscription.delivery),
        retry(std::move(policy)) {}

  std::string id;
  RequestTemplate request;
  std::shared_ptr<Endpoint> endpoint;
  std::shared_ptr<const DeliveryConfig> delivery;
  std::shared_ptr<const RetryPolicy> retry;  // the common one, unless it has its own schedule
};

// Thread: shard thread.  Bounds: see the head of this file.
class Deliverer final : public EndpointCaller {
 public:
  Deliverer(const Executor& executor, Resolver& resolver, const PoolOptions& options,
            AttemptSink& sink, metrics::Slab& slab, const Clock& clock, std::uint64_t seed,
            std::unique_ptr<AttemptTracer> tracer = nullptr)
      : pool_(executor, resolver, options),
        sink_(sink),
        slab_(slab),
        clock_(clock),
        random_(seed),
        tracer_(std::move(tracer)) {}

  [[nodiscard]] std::shared_ptr<Endpoint> endpoint(const EndpointKey& key) override {
    return pool_.endpoint(key);
  }
  void start(Job& job, const TargetPtr& target, TimePoint now) override;
  void cancel(Job& job) override;
  void shutdown() override { pool_.shutdown(); }
  [[nodiscard]] CallerStats stats() const override {
    return {pool_.connections(), pool_.idle(), pool_.stats().dials, pool_.stats().stale};
  }

 private:
  class Slot final : public Exchange {
   public:
    explicit Slot(Deliverer& deliverer) : deliverer_(deliverer) {}
    [[nodiscard]] Parts compose() override { return deliverer_.compose(*this); }
    void on_done(const Result& result) override { deliverer_.end(*this, result); }

    Job* job = nullptr;
    TargetPtr target;
    TimePoint begun{};
    WallTime wall{};
    TraceSeed seed{};
    std::unique_ptr<AttemptTrace> trace;  // of a sampled attempt

   private:
    Deliverer& deliverer_;
  };

  [[nodiscard]] Exchange::Parts compose(const Slot& slot);
  void end(Slot& slot, const Result& result);

  HttpPool pool_;
  AttemptSink& sink_;
  metrics::Slab& slab_;
  const Clock& clock_;
  Random random_;
  std::unique_ptr<AttemptTracer> tracer_;  // null: tracing is off
  Pool<Slot> slots_;
  RequestBuffers buffers_;  // of the request that is being written
};

}  // namespace eventrelay::relay
