// Asks the history, whose answers come out of a thread of its own, and waits for the answer.
//
// Thread:  control.
// Bounds:  kAnswerLimit; the answer may come after nobody waits for it any more.
// Errors:  503 where the topics can not be read or no answer comes, 400 for a bad token.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "ingest/control/control_parts.hpp"
#include "ingest/control/problem.hpp"
#include "ingest/control/waiting.hpp"
#include "ingest/history/history.hpp"

namespace eventrelay::control {

// A thread reads for two seconds at most; as many questions may wait before this one.
inline constexpr std::chrono::seconds kAnswerLimit{60};

[[nodiscard]] inline Problem problem_of(const history::HistoryTrouble& trouble) {
  switch (trouble.kind) {
    case history::Kind::BadToken:
      return {400, "nextPage: " + trouble.what, {}, 0};
    case history::Kind::TooMuch:
    case history::Kind::Busy:
    case history::Kind::Unreachable:
      break;
  }
  return {503, "history: " + trouble.what, {}, 5};
}

// `begin` hands the question over and is given what takes the answer.
template <class Value>
[[nodiscard]] Task<Result<Value>> answer_of(
    Executor executor,
    std::function<void(std::function<void(Expected<Value, history::HistoryTrouble>)>)> begin) {
  using Answer = Expected<Value, history::HistoryTrouble>;
  struct Pending {
    explicit Pending(const Executor& on) : wake(on) {}
    std::optional<Answer> answer;
    Timer wake;
  };
  const auto pending = std::make_shared<Pending>(executor);
  pending->wake.expires_after(kAnswerLimit);
  std::function<void(Answer)> take = [pending](Answer answer) {
    pending->answer = std::move(answer);
    pending->wake.cancel();
  };
  begin(std::move(take));
  if (!pending->answer) co_await pending->wake.async_wait(kWaitToken);
  if (!pending->answer) co_return refuse(503, "history: no answer in time");
  if (!*pending->answer) co_return refuse(problem_of(pending->answer->error()));
  co_return std::move(**pending->answer);
}

// A page of the events.
[[nodiscard]] Task<Result<history::Page>> ask_history(const ControlParts& parts,
                                                      history::Question question);
// Counts by time.
[[nodiscard]] Task<Result<history::SumsPage>> ask_sums(const ControlParts& parts,
                                                       history::SumsQuestion question);
// What is paused and what waits.
[[nodiscard]] Task<Result<history::Survey>> ask_survey(const ControlParts& parts,
                                                       history::Delays delays);

}  // namespace eventrelay::control
