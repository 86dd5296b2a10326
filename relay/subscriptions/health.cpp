#include "relay/subscriptions/health.hpp"

#include <algorithm>

namespace eventrelay::relay {

using Kind = HealthChange::Kind;

bool SubscriptionHealth::may_tell(Entry& entry, TimePoint now) {
  const auto grown = (now - entry.counted) / kLineInterval;
  if (grown > 0) {
    entry.lines = static_cast<std::uint32_t>(
        std::min<std::int64_t>(std::int64_t{entry.lines} + grown, kLinesAtOnce));
    entry.counted += grown * kLineInterval;
  }
  if (entry.lines == 0) return false;
  --entry.lines;
  return true;
}

HealthChange SubscriptionHealth::change(Kind kind, const Entry& entry, TimePoint now) {
  return HealthChange{kind, entry.failures, now - entry.since};
}

std::optional<HealthChange> SubscriptionHealth::failed(std::uint32_t queue,
                                                       metrics::Outcome outcome, TimePoint now) {
  const auto [it, fresh] = entries_.try_emplace(queue);
  Entry& entry = it->second;
  if (fresh) entry.counted = now;
  if (!entry.failing) {
    entry.failing = true;
    entry.failures = 0;
    entry.since = now;
    entry.dead_told = false;
  }
  ++entry.failures;
  if (entry.told == outcome || !may_tell(entry, now)) return std::nullopt;
  entry.told = outcome;
  return change(Kind::Fails, entry, now);
}

std::optional<HealthChange> SubscriptionHealth::dead_letter(std::uint32_t queue, TimePoint now) {
  const auto it = entries_.find(queue);
  if (it == entries_.end() || it->second.dead_told || !may_tell(it->second, now)) {
    return std::nullopt;
  }
  it->second.dead_told = true;
  return change(Kind::DeadLetters, it->second, now);
}

std::optional<HealthChange> SubscriptionHealth::answered(std::uint32_t queue, TimePoint now) {
  const auto it = entries_.find(queue);
  if (it == entries_.end()) return std::nullopt;
  Entry& entry = it->second;
  entry.failing = false;
  if (!entry.told) {
    // Kept until its allowance is full again, so that a queue which comes back gets no new one.
    if (now - entry.counted >= kLineInterval * kLinesAtOnce) entries_.erase(it);
    return std::nullopt;
  }
  if (!may_tell(entry, now)) return std::nullopt;
  entry.told.reset();
  entry.dead_told = false;
  return change(Kind::AnswersAgain, entry, now);
}

}  // namespace eventrelay::relay
