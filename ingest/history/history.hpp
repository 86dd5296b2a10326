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
#include "ingest/history/questions.hpp"

namespace eventrelay::history {

class Logs;

// Thread: see above.  Bounds: as above.
class History {
 public:
  using Done = std::function<void(PageAnswer)>;

  // `done` is called on `control`. Reading begins with the first question.
  History(Executor control, const Config& config);
  History(const History&) = delete;
  History& operator=(const History&) = delete;
  ~History();

  void ask(Question question, Done done);
  // Which subscriptions are paused or detached; on request also what waits in the delay topics.
  void survey(Delays delays, std::function<void(SurveyAnswer)> done);
  // How much came and went.
  void sums(SumsQuestion question, std::function<void(SumsAnswer)> done);
  // Nothing is answered any more.
  void stop();

 private:
  // Answers one question, where the logs could be opened, and hands the answer to `control`.
  using Work = std::function<void(Logs* logs)>;
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
