// What can be asked of the history, and what is answered.
//
// Why:     those who ask, those who read the topics and the thread between them share these words.
// Thread:  values.
// Bounds:  kRecordsMax records or kTimeMax a question, kBytesMax of bodies a page, kWaitingMax
//          questions that wait.
// Errors:  as HistoryTrouble.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/expected.hpp"
#include "common/base/ids.hpp"
#include "common/observe/event_sums.hpp"
#include "ingest/history/fate.hpp"

namespace eventrelay::history {

inline constexpr std::size_t kRecordsMax = 100'000;
inline constexpr std::chrono::seconds kTimeMax{2};
inline constexpr std::size_t kBytesMax = 4U << 20;
inline constexpr std::size_t kWaitingMax = 16;

// Which log the events of a question stand in.
enum class Log : std::uint8_t { Events, Dead };

// Which events.
struct Question {
  Log log = Log::Events;
  std::vector<std::uint64_t> instances;  // of these alone; sorted
  std::string event;                     // of this id alone; empty: any
  WallTime from{};                       // received, or given up, at or after
  WallTime to{};                         // and at or before
  std::size_t page_size = 200;           // 1..1000
  std::string token;                     // of an earlier answer; empty: the newest
  bool traces = true;                    // false: the events alone
};

// What is told of one subscription that left a trace.
struct SubscriptionTraces {
  std::string subscription;
  Traces traces;
};

// One event as it was stored.
struct StoredEvent {
  std::string id, provider_id, element, event_type, object_type, object_id, date, content_type;
  std::uint64_t instance = 0;
  WallTime received{};
  WallTime when{};  // it was received; of a dead letter, when it was given up
  std::string body;
  std::optional<ParkedSeen> letter;  // of a dead letter: what it says of itself
  Partition partition;
  Offset offset;
  bool settled = false;                    // the group has passed it
  std::vector<SubscriptionTraces> traces;  // of those that left one
  std::vector<std::string> queued_whole;   // subscriptions of which a cursor holds it
  std::vector<std::string> paused;         // subscriptions that are paused now

  // All that is known at `subscription`.
  [[nodiscard]] Traces at(const std::string& subscription, bool wanted) const;
};

// Whether a survey counts what waits in the delay topics, which must be read for it.
enum class Delays : std::uint8_t { Leave, Count };

// The cursors of all subscriptions, as they are now.
struct Survey {
  // One cursor, and how much of its partition lies behind it.
  struct Row {
    Partition partition;
    Cursor cursor;
    std::int64_t behind = 0;  // records from its position to its end: those of others are counted
  };
  std::vector<Row> cursors;
  std::map<std::string, std::uint64_t> parked;  // in delay topics, by subscription
  bool parked_whole = true;                     // false: there are more than were read
  std::int64_t unread = 0;                      // events that no worker has done with yet
  std::size_t records = 0;                      // read for it
};

// What was counted, in steps of `interval` since 1970.
struct SumsQuestion {
  std::vector<std::uint64_t> instances;  // of these alone; sorted
  std::int64_t first = 0;                // number of the first step
  std::int64_t last = 0;                 // and of the last
  std::chrono::seconds interval{60};
};

struct SumsPage {
  // One step, from the first asked for on; steps without a count are there.
  struct Step {
    std::map<std::uint64_t, EventCounts> by_instance;
    LatencyCounts latency{};
  };
  std::vector<Step> steps;  // fewer than asked for where there was too much to read
  std::size_t records = 0;  // read for it
};

struct Page {
  std::vector<StoredEvent> events;  // newest first
  std::string next;                 // empty: there is nothing older within the question
  std::size_t records = 0;          // read for it
  std::chrono::milliseconds took{};
};

enum class Kind : std::uint8_t {
  BadToken,
  Busy,         // kWaitingMax questions wait
  Unreachable,  // Kafka did not answer in time
  TooMuch,      // what became of the events is told by more records than may be read
};

struct HistoryTrouble {
  Kind kind = Kind::Unreachable;
  std::string what;
};

using PageAnswer = Expected<Page, HistoryTrouble>;
using SurveyAnswer = Expected<Survey, HistoryTrouble>;
using SumsAnswer = Expected<SumsPage, HistoryTrouble>;

}  // namespace eventrelay::history
