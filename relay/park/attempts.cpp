#include "relay/park/attempts.hpp"

#include <utility>

#include "common/text/json_text.hpp"

namespace eventrelay::relay {

namespace {

std::string_view word_of(Step::Kind kind) noexcept {
  switch (kind) {
    case Step::Kind::Done:
      return "done";
    case Step::Kind::Park:
      return "retry";
    case Step::Kind::Dead:
      break;
  }
  return "dead";
}

}  // namespace

std::string print_attempt(const AttemptLine& line) {
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(line.result.took);
  JsonObject object;
  object.number("v", std::uint64_t{1})
      .number("at", unix_ms(line.at))
      .text("event", line.event.id)
      .number("instance", line.event.instance.value)
      .text("subscription", line.subscription)
      .number("attempt", std::uint64_t{line.attempt})
      .text("outcome", metrics::kOutcomeWords[static_cast<std::size_t>(line.result.outcome)])
      .number("status", std::int64_t{line.result.status})
      .number("ms", std::int64_t{took.count()})
      .text("next", word_of(line.step.kind));
  if (!line.result.detail.empty()) object.text("detail", line.result.detail);
  if (line.step.kind == Step::Kind::Park) object.number("due", unix_ms(line.step.due));
  return std::move(object).finish();
}

}  // namespace eventrelay::relay
