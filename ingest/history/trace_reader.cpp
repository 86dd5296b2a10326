#include "ingest/history/trace_reader.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

#include "ingest/history/cursor_table.hpp"

namespace eventrelay::history {
namespace {

using kafka::TopicPartition;
using Watermarks = kafka::PartitionWatermarks;

std::uint64_t leading_number(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// Reads for the events of one page.
class TraceReader {
 public:
  TraceReader(Logs& logs, Log log, std::vector<StoredEvent>& events)
      : logs_(logs), log_(log), events_(events) {
    for (StoredEvent& event : events_) index_[event.id].push_back(&event);
  }

  Expected<bool, LogTrouble> read(Budget& budget) {
    std::set<std::int32_t> numbers;
    WallTime oldest = WallTime::max();
    for (const StoredEvent& event : events_) {
      numbers.insert(event.partition.value);
      oldest = std::min(oldest, event.when);
    }
    // The positions first: what is written later than they were read can only be newer. They say
    // nothing of the offset of a dead letter.
    if (log_ == Log::Events) {
      if (auto done = read_positions(numbers, budget); !done) return done;
    }
    const auto note = [this](const Event& event, const kafka::Message& message) {
      note_parked(event, message, &Traces::parked);
    };
    if (auto done = logs_.read_delays(numbers, note, budget); !done) return done;
    return read_logs(numbers, oldest, budget);
  }

 private:
  Expected<bool, LogTrouble> read_positions(const std::set<std::int32_t>& numbers,
                                            const Budget& budget) {
    std::vector<TopicPartition> places;
    for (const std::int32_t each : numbers) places.push_back({kEvents, Partition{each}});
    const auto positions = logs_.topics().positions(places, budget);
    if (!positions) return Unexpected(positions.error());
    std::map<std::int32_t, DoneOffsets> done;
    for (const kafka::ReadPosition& each : *positions) {
      if (each.committed) {
        done[each.place.partition.value] = DoneOffsets(*each.committed, each.metadata);
      }
    }
    for (StoredEvent& event : events_) {
      event.settled = done[event.partition.value].contains(event.offset);
    }
    return true;
  }

  // Dead letters and attempts from the oldest event on, cursors as they are now.
  Expected<bool, LogTrouble> read_logs(const std::set<std::int32_t>& numbers, WallTime oldest,
                                       Budget& budget) {
    std::vector<TopicPartition> dated;
    std::vector<TopicPartition> all;
    for (const std::int32_t each : numbers) {
      dated.push_back({kDead, Partition{each}});
      dated.push_back({kAttempts, Partition{each}});
      all.push_back({kState, Partition{each}});
    }
    all.insert(all.end(), dated.begin(), dated.end());
    const auto bounds = logs_.topics().bounds(all, budget);
    if (!bounds) return Unexpected(bounds.error());
    const auto since = logs_.topics().since(dated, oldest, budget);
    if (!since) return Unexpected(since.error());
    std::vector<Stretch> stretches;
    for (const TopicPartition place : all) {
      const Watermarks& ends = row_of(*bounds, place);
      const std::int64_t start =
          place.topic == kState ? ends.start.value : begin_of(ends, row_of(*since, place));
      stretches.push_back({place, Offset{start}, ends.end});
    }
    CursorTable cursors;
    const auto visit = [&](TopicPartition place, const kafka::Message& message) {
      if (place.topic == kDead) return note_dead(message);
      if (place.topic == kAttempts) return note_attempt(message.value());
      cursors.note(place.partition, message);
    };
    auto read = logs_.topics().read(stretches, visit, budget);
    if (!read) return read;
    for (StoredEvent& event : events_) {
      for (const auto& [key, cursor] : cursors.partitions()[event.partition.value]) {
        if (leading_number(cursor.subscription) != event.instance) continue;
        if (log_ == Log::Events && cursor.holds(event.offset, event.object_id)) {
          event.queued_whole.push_back(cursor.subscription);
        }
        if (cursor.paused && !cursor.end) event.paused.push_back(cursor.subscription);
      }
    }
    return read;
  }

  static Traces* traces_of(StoredEvent& event, std::string_view subscription) {
    for (SubscriptionTraces& each : event.traces) {
      if (each.subscription == subscription) return &each.traces;
    }
    event.traces.push_back({std::string(subscription), {}});
    return &event.traces.back().traces;
  }

  void note_dead(const kafka::Message& message) {
    const auto event = message.event();
    if (event && event->parked) note_parked(*event, message, &Traces::dead);
  }

  void note_parked(const Event& event, const kafka::Message& message,
                   std::optional<ParkedSeen> Traces::*where) {
    const auto found = index_.find(std::string(event.id));
    if (found == index_.end()) return;
    const ParkedSeen seen = parked_of(event, message);
    for (StoredEvent* each : found->second) {
      traces_of(*each, seen.subscription)->*where = seen;
    }
  }

  void note_attempt(std::string_view value) {
    const std::optional<AttemptSeen> seen = read_attempt(value);
    if (!seen) return;
    const auto found = index_.find(seen->event);
    if (found == index_.end()) return;
    for (StoredEvent* each : found->second) {
      traces_of(*each, seen->subscription)->attempts.push_back(*seen);
    }
  }

  Logs& logs_;
  Log log_;
  std::vector<StoredEvent>& events_;
  std::unordered_map<std::string, std::vector<StoredEvent*>> index_;  // by id
};

}  // namespace

Expected<bool, LogTrouble> read_traces(Logs& logs, Log log, std::vector<StoredEvent>& events,
                                       Budget& budget) {
  return TraceReader(logs, log, events).read(budget);
}

}  // namespace eventrelay::history
