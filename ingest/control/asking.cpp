#include "ingest/control/asking.hpp"

#include <functional>
#include <utility>

namespace eventrelay::control {
namespace {

using history::Page;
using history::Question;
using history::SumsPage;
using history::SumsQuestion;
using history::Survey;

}  // namespace

Task<Result<Page>> ask_history(const ControlParts& parts, Question question) {
  using Take = std::function<void(history::PageAnswer)>;
  std::function<void(Take)> begin = [&parts, question = std::move(question)](Take take) mutable {
    parts.history.ask(std::move(question), std::move(take));
  };
  Result<Page> page = co_await answer_of<Page>(parts.documents.executor(), std::move(begin));
  co_return page;
}

Task<Result<SumsPage>> ask_sums(const ControlParts& parts, SumsQuestion question) {
  using Take = std::function<void(history::SumsAnswer)>;
  std::function<void(Take)> begin = [&parts, question = std::move(question)](Take take) mutable {
    parts.history.sums(std::move(question), std::move(take));
  };
  Result<SumsPage> page =
      co_await answer_of<SumsPage>(parts.documents.executor(), std::move(begin));
  co_return page;
}

Task<Result<Survey>> ask_survey(const ControlParts& parts, history::Delays delays) {
  std::function<void(std::function<void(history::SurveyAnswer)>)> begin =
      [&parts, delays](std::function<void(history::SurveyAnswer)> take) {
        parts.history.survey(delays, std::move(take));
      };
  Result<Survey> out = co_await answer_of<Survey>(parts.documents.executor(), std::move(begin));
  co_return out;
}

}  // namespace eventrelay::control
