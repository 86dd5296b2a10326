#include "ingest/history/sums_reader.hpp"

#include <algorithm>
#include <chrono>

namespace eventrelay::history {
namespace {

using kafka::TopicPartition;
using Watermarks = kafka::PartitionWatermarks;

// Sums are written when a worker has read an event, which may be behind by so much.
constexpr std::chrono::hours kSumsLate{1};
// A record of sums costs as much as many events.
constexpr std::int64_t kSumRecordsMax = 20'000;

WallTime begin_of_step(const SumsQuestion& question, std::int64_t number) {
  return WallTime(question.interval * number);
}

void add_up(const SumsQuestion& question, const EventSum& row, SumsPage& out) {
  if (!std::binary_search(question.instances.begin(), question.instances.end(), row.instance)) {
    return;
  }
  const std::int64_t interval = question.interval.count();
  const auto step_of = [&](std::int64_t second) -> SumsPage::Step* {
    const std::int64_t number = second / interval - question.first;
    const bool within = number >= 0 && number < static_cast<std::int64_t>(out.steps.size());
    return within ? &out.steps[static_cast<std::size_t>(number)] : nullptr;
  };
  for (const EventSum::Second& each : row.seconds) {
    SumsPage::Step* const step = step_of(row.minute * 60 + each.second);
    if (step == nullptr) continue;
    EventCounts& counts = step->by_instance[row.instance];
    counts.events += each.counts.events;
    counts.delivered += each.counts.delivered;
    counts.failed += each.counts.failed;
  }
  // Of latencies only the minute is known.
  SumsPage::Step* const step = step_of(row.minute * 60);
  if (step == nullptr) return;
  for (std::size_t i = 0; i < kLatencyBuckets; ++i) step->latency[i] += row.latency[i];
}

}  // namespace

SumsAnswer read_sums(Logs& logs, const SumsQuestion& question, Budget& budget) {
  const TopicPartition place{kSums, Partition{0}};
  const auto bounds = logs.topics().bounds({place}, budget);
  if (!bounds) return trouble(bounds.error());
  const Watermarks& ends = bounds->front();
  const auto from = logs.topics().since({place}, begin_of_step(question, question.first), budget);
  if (!from) return trouble(from.error());
  Stretch stretch{place, Offset{begin_of(ends, from->front())}, ends.end};
  // The steps that can be answered at once: all, or half of them, or half of that.
  std::int64_t count = question.last - question.first + 1;
  while (true) {
    const WallTime behind = begin_of_step(question, question.first + count) + kSumsLate;
    const auto to = logs.topics().since({place}, behind, budget);
    if (!to) return trouble(to.error());
    stretch.to = std::min(ends.end, to->front().start);
    if (stretch.to.value - stretch.from.value <= kSumRecordsMax) break;
    if (count == 1) return trouble(LogTrouble::Spent);
    count /= 2;
  }
  SumsPage out;
  out.steps.resize(static_cast<std::size_t>(count));
  const auto visit = [&](TopicPartition, const kafka::Message& message) {
    for (const EventSum& row : read_event_sums(message.value())) add_up(question, row, out);
  };
  if (const auto read = logs.topics().read({&stretch, 1}, visit, budget); !read) {
    return trouble(read.error());
  }
  out.records = budget.records;
  return out;
}

}  // namespace eventrelay::history
