#include "bench/scenarios/meter.hpp"

#include <algorithm>
#include <utility>

#include "bench/load/system_calls.hpp"

namespace eventrelay::bench {
namespace {

double per(std::uint64_t count, std::uint64_t events) {
  return events > 0 ? static_cast<double>(count) / static_cast<double>(events) : 0;
}

}  // namespace

Meter::Meter(std::vector<const Process*> processes, std::function<std::uint64_t()> events)
    : processes_(std::move(processes)), events_(std::move(events)) {}

Meter::Moment Meter::now() const {
  Moment moment;
  moment.at = monotonic_now();
  moment.events = events_();
  moment.usage.allocations = 0;
  for (const Process* process : processes_) {
    const Usage usage = process->usage();
    moment.usage.cpu_seconds += usage.cpu_seconds;
    moment.usage.resident += usage.resident;
    if (!usage.allocations) moment.usage.allocations.reset();
    if (moment.usage.allocations) *moment.usage.allocations += *usage.allocations;
  }
  return moment;
}

void Meter::begin() {
  std::vector<pid_t> numbers;
  for (const Process* process : processes_) numbers.push_back(process->pid());
  memory_ = std::make_unique<MemoryWatch>(std::move(numbers));
  from_ = now();
  taken_.resident_start = from_.usage.resident;
  if (from_.usage.allocations) allocated_ = 0;
}

void Meter::add(const Moment& until) {
  taken_.events += until.events - from_.events;
  taken_.seconds += std::chrono::duration<double>(until.at - from_.at).count();
  taken_.cpu_seconds += until.usage.cpu_seconds - from_.usage.cpu_seconds;
  if (allocated_) *allocated_ += *until.usage.allocations - *from_.usage.allocations;
}

void Meter::count_calls(const std::function<void()>& load) {
  add(now());
  std::vector<std::unique_ptr<SystemCalls>> counters;
  for (const Process* process : processes_) {
    counters.push_back(std::make_unique<SystemCalls>(process->pid()));
  }
  const std::uint64_t before = events_();
  load();
  std::optional<std::uint64_t> calls = 0;
  for (const auto& counter : counters) {
    const auto counted = counter->count();
    calls = calls && counted ? std::optional{*calls + *counted} : std::nullopt;
  }
  const std::uint64_t events = events_() - before;
  if (calls && events > 0) taken_.system_calls = per(*calls, events);
  counters.clear();
  from_ = now();
}

void Meter::end(Row& row) {
  const Moment until = now();
  add(until);
  row.events = taken_.events;
  row.seconds = taken_.seconds;
  row.cpu_seconds = taken_.cpu_seconds;
  row.resident_start = taken_.resident_start;
  row.resident_end = until.usage.resident;
  row.memory = memory_->end();
  row.resident_peak = std::max(row.resident_start, row.resident_end);
  for (const MemoryPoint& point : row.memory) {
    row.resident_peak = std::max(row.resident_peak, point.resident);
  }
  row.system_calls = taken_.system_calls;
  if (allocated_ && row.events > 0) row.allocations = per(*allocated_, row.events);
}

}  // namespace eventrelay::bench
