#include "common/kafka/client_lines.hpp"

namespace eventrelay::kafka {

std::string_view cause_in(std::string_view text) {
  constexpr std::string_view kThread = "[thrd:";
  constexpr std::string_view kEnd = "]: ";
  if (text.starts_with(kThread)) {
    const std::size_t end = text.find(kEnd);
    if (end != std::string_view::npos) text.remove_prefix(end + kEnd.size());
  }
  return text.substr(0, text.rfind(" (after "));
}

bool ClientLines::admit(std::string_view facility, std::string_view text, TimePoint now) {
  std::string key(facility);
  key.append(" ").append(cause_in(text));
  const auto known = told_.find(key);
  if (known != told_.end()) {
    if (now - known->second < kSilence) return false;
    known->second = now;
    return true;
  }
  if (told_.size() == kTextsMax) told_.clear();
  told_.emplace(std::move(key), now);
  return true;
}

}  // namespace eventrelay::kafka
