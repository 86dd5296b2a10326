#include "ingest/history/logs.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "common/kafka/topics.hpp"

namespace eventrelay::history {
namespace {

using kafka::TopicPartition;
using Watermarks = kafka::PartitionWatermarks;

constexpr std::chrono::seconds kConnectMax{10};
// Records at the end of a log that are looked at where no record is said to be that young.
constexpr std::int64_t kUndatedRead = 256;

struct PlaceOrder {
  bool operator()(TopicPartition a, TopicPartition b) const noexcept {
    return std::pair(a.topic, a.partition.value) < std::pair(b.topic, b.partition.value);
  }
};

std::string name(const Config& config, std::string_view suffix) {
  return kafka::topic_name(config.topics, suffix);
}

std::vector<std::string> delay_topics(const Config& config) {
  std::vector<std::string> names;
  for (const auto delay : config.retry.delays) {
    names.push_back(name(config, "retry." + kafka::delay_word(delay)));
  }
  return names;
}

}  // namespace

Logs::Logs(const Config& config)
    : steps_(config.retry.delays.size()),
      own_partitioner_(config.kafka.properties.contains("partitioner")),
      topics_(config.kafka, config.relay.group,
              {name(config, "events"), name(config, "dead"), name(config, "attempts"),
               name(config, "state"), name(config, "sums")}),
      delays_(config.kafka, config.relay.group + ".delays", delay_topics(config)) {
  partitions_ = kafka::topic_partitions(config.kafka).at(name(config, "events"));
  // The clients find their brokers now, not within the time of the first question.
  Budget budget;
  budget.deadline = monotonic_now() + kConnectMax;
  (void)topics_.bounds({{kEvents, Partition{0}}}, budget);
  (void)delays_.bounds({{0, Partition{0}}}, budget);
}

std::set<std::int32_t> Logs::partitions_of(const std::vector<std::uint64_t>& instances) const {
  std::set<std::int32_t> wanted;
  if (own_partitioner_) {
    for (std::int32_t each = 0; each < partitions_; ++each) wanted.insert(each);
    return wanted;
  }
  for (const std::uint64_t instance : instances) {
    if (wanted.size() == static_cast<std::size_t>(partitions_)) break;
    wanted.insert(kafka::partition_of(std::to_string(instance), partitions_));
  }
  return wanted;
}

Expected<bool, LogTrouble> Logs::read_delays(const std::set<std::int32_t>& partitions,
                                             const SeeParked& see, Budget& budget) {
  std::vector<TopicPartition> places;
  for (std::size_t step = 0; step < steps_; ++step) {
    for (const std::int32_t each : partitions) {
      places.push_back({static_cast<std::uint16_t>(step), Partition{each}});
    }
  }
  const auto bounds = delays_.bounds(places, budget);
  if (!bounds) return Unexpected(bounds.error());
  const auto positions = delays_.positions(places, budget);
  if (!positions) return Unexpected(positions.error());
  std::vector<Stretch> stretches;
  std::map<TopicPartition, DoneOffsets, PlaceOrder> done;
  for (const kafka::ReadPosition& each : *positions) {
    const Watermarks& ends = row_of(*bounds, each.place);
    const std::int64_t next = each.committed ? each.committed->value : ends.start.value;
    stretches.push_back({each.place, Offset{std::max(next, ends.start.value)}, ends.end});
    if (each.committed) done[each.place] = DoneOffsets(*each.committed, each.metadata);
  }
  return delays_.read(
      stretches,
      [&](TopicPartition place, const kafka::Message& message) {
        const auto found = done.find(place);
        if (found != done.end() && found->second.contains(message.offset())) return;
        const auto event = message.event();
        if (event && event->parked) see(*event, message);
      },
      budget);
}

const Watermarks& row_of(const std::vector<Watermarks>& rows, TopicPartition place) {
  return *std::find_if(rows.begin(), rows.end(),
                       [&](const Watermarks& row) { return row.place == place; });
}

std::int64_t begin_of(const Watermarks& ends, const Watermarks& since) {
  const std::int64_t first =
      since.start < ends.end ? since.start.value : ends.end.value - kUndatedRead;
  return std::max(ends.start.value, first);
}

ParkedSeen parked_of(const Event& event, const kafka::Message& message) {
  ParkedSeen seen;
  seen.event = event.id;
  seen.subscription = event.parked->subscription;
  seen.attempts_made = event.parked->attempts_made;
  seen.due = event.parked->due;
  seen.reason = event.parked->reason;
  seen.stamped = message.stamped();
  return seen;
}

Unexpected<HistoryTrouble> trouble(LogTrouble what) {
  if (what == LogTrouble::Spent) {
    return Unexpected(
        HistoryTrouble{Kind::TooMuch,
                       "what became of these events is told by more records than one question "
                       "may read; ask for a smaller page or a shorter time"});
  }
  return Unexpected(HistoryTrouble{Kind::Unreachable, "the topics could not be read in time"});
}

}  // namespace eventrelay::history
