#include "common/process/failpoint.hpp"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>

#include "common/observe/log.hpp"

namespace eventrelay::failpoint {

Armed* armed = nullptr;

namespace {

[[noreturn]] void refuse(std::string_view specification, std::string_view why) {
  throw std::invalid_argument("EVENTRELAY_FAILPOINT \"" + std::string{specification} + "\": " +
                              std::string{why} + "; name[:nth][:kill|stop|skip] is expected");
}

std::string_view take_word(std::string_view& text) {
  const std::size_t colon = text.find(':');
  const std::string_view word = text.substr(0, colon);
  text.remove_prefix(colon == std::string_view::npos ? text.size() : colon + 1);
  return word;
}

std::optional<std::uint64_t> number_of(std::string_view word) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc{} || end != word.data() + word.size() || number == 0) return std::nullopt;
  return number;
}

}  // namespace

void arm(std::string_view specification) {
  static Armed point;
  armed = nullptr;
  if (specification.empty()) return;
  std::string_view rest = specification;
  const std::string_view name = take_word(rest);
  const auto* const place = std::find(kNames.begin(), kNames.end(), name);
  const auto* const step = std::find(kSkips.begin(), kSkips.end(), name);
  if (place == kNames.end() && step == kSkips.end())
    refuse(specification, "there is no such place");
  point.name = place == kNames.end() ? *step : *place;
  point.nth = 1;
  point.action = Armed::Action::Kill;
  point.passes = 0;
  while (!rest.empty()) {
    const std::string_view word = take_word(rest);
    if (const auto nth = number_of(word)) {
      point.nth = *nth;
    } else if (word == "stop") {
      point.action = Armed::Action::Stop;
    } else if (word == "skip") {
      point.action = Armed::Action::Skip;
    } else if (word != "kill") {
      refuse(specification, "\"" + std::string{word} + "\" is neither a pass nor an action");
    }
  }
  if ((point.action == Armed::Action::Skip) != (place == kNames.end())) {
    refuse(specification, "a place is passed, a step is skipped");
  }
  armed = &point;
}

void arm_from_environment() {
  const char* const specification = std::getenv("EVENTRELAY_FAILPOINT");
  arm(specification == nullptr ? std::string_view{} : std::string_view{specification});
  if (armed != nullptr && armed->action == Armed::Action::Skip) {
    armed = nullptr;
    refuse(specification, "a service leaves nothing out");
  }
  if (armed != nullptr)
    log::warn("failpoint is armed", {{"name", armed->name}, {"nth", armed->nth}});
}

void pass(Armed& point, std::string_view name) {
  if (point.name != name || ++point.passes != point.nth) return;
  log::warn("failpoint is reached", {{"name", name}, {"pass", point.nth}});
  std::raise(point.action == Armed::Action::Kill ? SIGKILL : SIGSTOP);
}

}  // namespace eventrelay::failpoint
