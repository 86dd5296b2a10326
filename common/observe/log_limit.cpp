#include "common/observe/log_limit.hpp"

#include <chrono>
#include <utility>

namespace eventrelay::log {

LineLimit::Entry& LineLimit::entry(std::string_view message, TimePoint now) {
  if (const auto known = entries_.find(message); known != entries_.end()) return known->second;
  if (entries_.size() >= kMessagesMax) return others_;
  Entry fresh;
  fresh.window = now;
  return entries_.emplace(message, fresh).first->second;
}

LineLimit::Verdict LineLimit::admit(std::string_view message, TimePoint now) {
  Entry& it = entry(message, now);
  if (now - it.window >= std::chrono::seconds{1}) {
    it.window = now;
    it.lines = 0;
  }
  if (it.lines >= kLinesPerSecond) {
    ++it.suppressed;
    return {};
  }
  ++it.lines;
  return {true, std::exchange(it.suppressed, 0)};
}

}  // namespace eventrelay::log
