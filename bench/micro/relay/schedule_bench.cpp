// Cost of one event in the scheduler: admit, dispatch, finish; by queues and by ordering.
#include <benchmark/benchmark.h>

#include <array>
#include <deque>
#include <string>
#include <vector>

#include "common/base/assert.hpp"
#include "relay/dispatch/scheduler.hpp"

namespace eventrelay::relay {
namespace {

constexpr std::size_t kBatch = 64;

void schedule(benchmark::State& state, Ordering ordering) {
  Scheduler scheduler(SchedulerBounds{});
  std::vector<std::array<SubscriptionQueue*, 1>> queues;
  QueueConfig config;
  config.ordering = ordering;
  config.concurrency = 64;
  for (std::int64_t i = 0; i < state.range(0); ++i)
    queues.push_back({&scheduler.add_queue(config)});
  std::deque<std::string> objects;
  std::vector<HeldEvent> held(kBatch);
  for (HeldEvent& event : held) {
    event.event.object_id = objects.emplace_back("object-" + std::to_string(objects.size()));
    event.bytes = 1000;
  }
  std::size_t turn = 0;
  TimePoint now{};
  for ([[maybe_unused]] const auto step : state) {
    now += Duration{1000};
    for (HeldEvent& event : held) {
      const auto& queue = queues[turn++ % queues.size()];
      EVENTRELAY_ASSERT(scheduler.admit(event, queue) == Admitted::Yes);
    }
    std::size_t done = 0;
    while (Job* const job = scheduler.next(now)) {
      done += scheduler.finish(*job, now).done ? 1U : 0U;
    }
    EVENTRELAY_ASSERT(done == kBatch && scheduler.jobs() == 0);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
}
BENCHMARK_CAPTURE(schedule, none, Ordering::None)->Arg(1)->Arg(100)->Arg(10'000);
BENCHMARK_CAPTURE(schedule, object, Ordering::Object)->Arg(1)->Arg(100)->Arg(10'000);

// A failed attempt leaves its slot at once and is settled when its record is acknowledged.
void schedule_leave(benchmark::State& state) {
  Scheduler scheduler(SchedulerBounds{});
  QueueConfig config;
  config.breaker.trip_after = ~std::uint32_t{0};
  const std::array<SubscriptionQueue*, 1> queue{&scheduler.add_queue(config)};
  HeldEvent held;
  TimePoint now{};
  for ([[maybe_unused]] const auto step : state) {
    now += Duration{1000};
    EVENTRELAY_ASSERT(scheduler.admit(held, queue) == Admitted::Yes);
    Job* const job = scheduler.next(now);
    EVENTRELAY_ASSERT(job != nullptr && !scheduler.leave(*job, Answer::Failed, now));
    EVENTRELAY_ASSERT(scheduler.settle(*job, End::Done).done);
  }
  EVENTRELAY_ASSERT(scheduler.jobs() == 0);
}
BENCHMARK(schedule_leave);

}  // namespace
}  // namespace eventrelay::relay
