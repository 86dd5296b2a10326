#include "ingest/history/survey_reader.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ingest/history/cursor_table.hpp"

namespace eventrelay::history {
namespace {

using kafka::TopicPartition;
using Watermarks = kafka::PartitionWatermarks;

// What no worker has done with yet: in the log, and in the delay topics.
Expected<bool, LogTrouble> count_waiting(Logs& logs, Survey& out,
                                         const std::vector<Watermarks>& bounds, Budget& budget) {
  std::set<std::int32_t> numbers;
  std::vector<TopicPartition> places;
  for (std::int32_t each = 0; each < logs.partitions(); ++each) {
    numbers.insert(each);
    places.push_back({kEvents, Partition{each}});
  }
  const auto positions = logs.topics().positions(places, budget);
  if (!positions) return Unexpected(positions.error());
  for (const kafka::ReadPosition& each : *positions) {
    const Watermarks& ends = row_of(bounds, each.place);
    const std::int64_t next = each.committed ? each.committed->value : ends.start.value;
    out.unread += std::max<std::int64_t>(ends.end.value - std::max(next, ends.start.value), 0);
  }
  auto read = logs.read_delays(
      numbers,
      [&out](const Event& event, const kafka::Message&) {
        ++out.parked[std::string(event.parked->subscription)];
      },
      budget);
  // So many wait that a part of them says enough.
  out.parked_whole = read.has_value();
  return true;
}

}  // namespace

SurveyAnswer read_survey(Logs& logs, Delays delays, Budget& budget) {
  std::vector<TopicPartition> places;
  for (std::int32_t each = 0; each < logs.partitions(); ++each) {
    places.push_back({kState, Partition{each}});
    places.push_back({kEvents, Partition{each}});
  }
  const auto bounds = logs.topics().bounds(places, budget);
  if (!bounds) return trouble(bounds.error());
  std::vector<Stretch> stretches;
  for (const Watermarks& row : *bounds) {
    if (row.place.topic == kState) stretches.push_back({row.place, row.start, row.end});
  }
  CursorTable cursors;
  const auto visit = [&](TopicPartition place, const kafka::Message& message) {
    cursors.note(place.partition, message);
  };
  if (const auto read = logs.topics().read(stretches, visit, budget); !read)
    return trouble(read.error());
  Survey out;
  for (auto& [partition, mine] : cursors.partitions()) {
    const Watermarks& ends = row_of(*bounds, {kEvents, Partition{partition}});
    for (auto& [key, cursor] : mine) {
      const Offset end = cursor.end.value_or(ends.end);
      if (cursor.end && cursor.position >= end.value) continue;
      const std::int64_t from = std::max(cursor.position, ends.start.value);
      const std::int64_t behind = std::max<std::int64_t>(end.value - from, 0);
      out.cursors.push_back({Partition{partition}, std::move(cursor), behind});
    }
  }
  if (delays == Delays::Count) {
    if (const auto read = count_waiting(logs, out, *bounds, budget); !read) {
      return trouble(read.error());
    }
  }
  out.records = budget.records;
  return out;
}

}  // namespace eventrelay::history
