#include "ingest/history/history.hpp"

#include <boost/asio/post.hpp>
#include <exception>
#include <string_view>
#include <utility>

#include "common/observe/log.hpp"
#include "ingest/history/event_finder.hpp"
#include "ingest/history/logs.hpp"
#include "ingest/history/sums_reader.hpp"
#include "ingest/history/survey_reader.hpp"
#include "ingest/history/trace_reader.hpp"

namespace eventrelay::history {
namespace {

// Finding the events may take so much of the time and the records; the rest tells their fate.
constexpr std::size_t kFindingShare = 60;  // per cent

// One question, its time and what it has cost.
struct Asked {
  TimePoint begun = monotonic_now();
  Budget budget{.records_max = kRecordsMax, .deadline = begun + kTimeMax};

  // For who looks into it.
  [[nodiscard]] std::chrono::milliseconds tell_cost(std::string_view what) const {
    const auto took =
        std::chrono::duration_cast<std::chrono::milliseconds>(monotonic_now() - begun);
    log::debug("history answered",
               {{"question", what}, {"records", budget.records}, {"ms", took.count()}});
    return took;
  }
};

PageAnswer answer(Logs& logs, const Question& question) {
  Asked asked;
  asked.budget.records_max = kRecordsMax * kFindingShare / 100;
  asked.budget.deadline = asked.begun + kTimeMax * static_cast<int>(kFindingShare) / 100;
  PageAnswer page = find_events(logs, question, asked.budget);
  if (!page) return page;
  asked.budget.records_max = kRecordsMax;
  asked.budget.deadline = asked.begun + kTimeMax;
  if (question.traces && !page->events.empty()) {
    const auto told = read_traces(logs, question.log, page->events, asked.budget);
    if (!told) return trouble(told.error());
  }
  page->records = asked.budget.records;
  page->took = asked.tell_cost("events");
  return page;
}

SurveyAnswer answer(Logs& logs, Delays delays) {
  Asked asked;
  SurveyAnswer survey = read_survey(logs, delays, asked.budget);
  (void)asked.tell_cost("survey");
  return survey;
}

SumsAnswer answer(Logs& logs, const SumsQuestion& question) {
  Asked asked;
  SumsAnswer sums = read_sums(logs, question, asked.budget);
  (void)asked.tell_cost("sums");
  return sums;
}

}  // namespace

History::History(Executor control, const Config& config)
    : control_(std::move(control)),
      config_(std::make_shared<const Config>(config)),
      thread_([this] { run(); }) {}

History::~History() {
  stop();
}

template <class Answered, class Ask>
void History::enqueue(std::function<void(Answered)> done, Ask ask) {
  Work work = [control = control_, done, ask = std::move(ask)](Logs* logs) {
    Answered answered =
        Unexpected(HistoryTrouble{Kind::Unreachable, "the topics could not be read"});
    std::exception_ptr failed;
    try {
      if (logs != nullptr) answered = ask(*logs);
    } catch (const std::exception&) {
      failed = std::current_exception();
    }
    asio::post(control,
               [done, answered = std::move(answered)]() mutable { done(std::move(answered)); });
    if (failed) std::rethrow_exception(failed);
  };
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() < kWaitingMax) {
      waiting_.push_back(std::move(work));
      changed_.notify_one();
      return;
    }
  }
  done(Unexpected(HistoryTrouble{Kind::Busy, "too many questions of the history wait already"}));
}

void History::ask(Question question, Done done) {
  enqueue<PageAnswer>(std::move(done), [question = std::move(question)](Logs& logs) {
    return answer(logs, question);
  });
}

void History::survey(Delays delays, std::function<void(SurveyAnswer)> done) {
  enqueue<SurveyAnswer>(std::move(done), [delays](Logs& logs) { return answer(logs, delays); });
}

void History::sums(SumsQuestion question, std::function<void(SumsAnswer)> done) {
  enqueue<SumsAnswer>(std::move(done), [question = std::move(question)](Logs& logs) {
    return answer(logs, question);
  });
}

void History::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    waiting_.clear();
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void History::run() {
  std::unique_ptr<Logs> logs;
  while (true) {
    Work next;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      next = std::move(waiting_.front());
      waiting_.pop_front();
    }
    try {
      if (!logs) logs = std::make_unique<Logs>(*config_);
    } catch (const std::exception& error) {
      log::warn("the history can not be read now", {{"error", error.what()}});
    }
    try {
      next(logs.get());
    } catch (const std::exception& error) {
      logs.reset();
      log::warn("the history can not be read now", {{"error", error.what()}});
    }
  }
}

}  // namespace eventrelay::history
