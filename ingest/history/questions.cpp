#include "ingest/history/questions.hpp"

#include <algorithm>

namespace eventrelay::history {

Traces StoredEvent::at(const std::string& subscription, bool wanted) const {
  Traces out;
  for (const SubscriptionTraces& each : traces) {
    if (each.subscription == subscription) out = each.traces;
  }
  out.wanted = wanted;
  out.settled = settled;
  const auto among = [&](const std::vector<std::string>& list) {
    return std::find(list.begin(), list.end(), subscription) != list.end();
  };
  out.queued = among(queued_whole);
  out.paused = among(paused);
  return out;
}

}  // namespace eventrelay::history
