#include "relay/http/deliverer.hpp"

#include <algorithm>
#include <utility>

#include "common/base/assert.hpp"

namespace eventrelay::relay {

namespace {

// Up to here a copy costs less than sending several pieces.
constexpr std::size_t kJoinedMax = 4096;

asio::const_buffer bytes_of(std::string_view view) {
  return {view.data(), view.size()};
}

// Pre: attempts_made is not 0.
metrics::RetryStage stage_of(std::uint32_t attempts_made) {
  const auto last = static_cast<std::uint32_t>(metrics::RetryStage::k12Up);
  return static_cast<metrics::RetryStage>(std::min(attempts_made - 1, last));
}

Exchange::Parts parts_of(const Request& request, std::string& head) {
  const Body& body = request.body;
  if (body.size() > kJoinedMax) {
    return {bytes_of(request.head), bytes_of(body.prefix), bytes_of(body.raw),
            bytes_of(body.suffix)};
  }
  head.append(body.prefix).append(body.raw).append(body.suffix);
  return {bytes_of(head)};
}

}  // namespace

void Deliverer::start(Job& job, const TargetPtr& target, TimePoint now) {
  Slot& slot = slots_.take(*this);
  slot.job = &job;
  slot.target = target;
  slot.begun = now;
  slot.deadline = now + target->delivery->timeout;
  slot.wall = clock_.wall();
  slot.seed = trace_seed({random_.next(), random_.next(), random_.next()});
  const auto scheme = target->endpoint->key.tls ? Delivery::Scheme::Https : Delivery::Scheme::Http;
  slot.delivery = Delivery(scheme, target->delivery->fatal_statuses);
  if (tracer_) slot.trace = tracer_->begin(job, target->id, target->endpoint->key, slot.seed.span);
  if (job.attempts_made > 0) slab_.relay_retries_total.add(stage_of(job.attempts_made));
  pool_.start(target->endpoint, slot);
}

Exchange::Parts Deliverer::compose(const Slot& slot) {
  const Job& job = *slot.job;
  const AttemptInfo info{job.attempts_made + 1, slot.wall, slot.seed};
  const Request request = slot.target->request.compose(job.held->event, info, buffers_);
  return parts_of(request, buffers_.head);
}

void Deliverer::cancel(Job& job) {
  const auto slot = std::find_if(slots_.begin(), slots_.end(),
                                 [&job](const Slot& one) { return one.job == &job; });
  EVENTRELAY_ASSERT(slot != slots_.end());
  pool_.cancel(*slot);
  slot->job = nullptr;
  if (slot->trace) tracer_->cancel(std::move(slot->trace), clock_.now());
  slot->target.reset();
  slots_.give_back(*slot);
}

void Deliverer::end(Slot& slot, const Result& result) {
  Job& job = *std::exchange(slot.job, nullptr);
  const TimePoint now = clock_.now();
  Result ended = result;
  ended.took = now - slot.begun;
  ended.detail = slot.detail;
  slab_.relay_deliveries_total.add(ended.outcome);
  slab_.relay_delivery_duration_seconds.observe(ended.took);
  if (slot.trace) tracer_->end(std::move(slot.trace), ended, now);
  slot.target.reset();
  slots_.give_back(slot);
  sink_.on_attempt_end(job, ended, now);
}

}  // namespace eventrelay::relay
