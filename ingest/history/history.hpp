// Events of the past and what became of them, read out of the topics: no second store.
//
//   question -> newest stretches of `events`, backwards -> page -> delay topics, dead letters,
//   cursors, attempts, positions of the group -> traces of each event -> answer
//
// Why:     an integrator asks what became of an event; the topics know it, and reading the newest
//          pieces of them is cheap enough to need no index.
// Owner:   Control.  Thread: control; the reading is done in a thread of its own, one question
//          after the other.
// Bounds:  kRecordsMax records or kTimeMax a question, kBytesMax of bodies a page, kWaitingMax
//          questions that wait.
// Errors:  as HistoryTrouble.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/expected.hpp"
#include "common/config/config.hpp"
#include "common/http/types.hpp"
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

// Thread: see above.  Bounds: as above.
class History {
 public:
  using Answer = Expected<Page, HistoryTrouble>;
  using Done = std::function<void(Answer)>;
  using SurveyAnswer = Expected<Survey, HistoryTrouble>;
  using SumsAnswer = Expected<SumsPage, HistoryTrouble>;

  // `done` is called on `control`. Reading begins with the first question.
  History(Executor control, const Config& config);
  History(const History&) = delete;
  History& operator=(const History&) = delete;
  ~History();

  void ask(Question question, Done done);
  // Which subscriptions are paused or detached; on request also what waits in the delay topics.
  enum class Delays : std::uint8_t { Leave, Count };
  void survey(Delays delays, std::function<void(SurveyAnswer)> done);
  // How much came and went.
  void sums(SumsQuestion question, std::function<void(SumsAnswer)> done);
  // Nothing is answered any more.
  void stop();

 private:
  class Reader;
  // Answers one question, where there is a reader, and hands the answer to `control`.
  using Work = std::function<void(Reader* reader)>;
  template <class Answered, class Ask>
  void enqueue(std::function<void(Answered)> done, Ask ask);
  void run();

  Executor control_;
  std::shared_ptr<const Config> config_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Work> waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace eventrelay::history
