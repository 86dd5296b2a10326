// Which changes of a subscription's state deserve a log line: it begins to fail, fails in another
// way, its events become dead letters, it answers again.
//
// Why:     an operator must learn of each change once; a subscription that changes with each event
//          must not fill the log.
// Owner:   Subscriptions.  Thread: shard-local; time is an argument.
// Bounds:  one entry per queue that fails or failed lately; kLinesAtOnce lines of one queue, then
//          one per kLineInterval. A change that is not told is told with the next event after it.
// Errors:  none.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "common/base/clock.hpp"
#include "common/observe/metrics_list.hpp"

namespace eventrelay::relay {

// A line to write.
struct HealthChange {
  enum class Kind : std::uint8_t { Fails, DeadLetters, AnswersAgain };
  Kind kind = Kind::Fails;
  std::uint64_t failures = 0;  // attempts that failed since it answered last
  Duration lasted{};           // since the first of them

  friend bool operator==(const HealthChange&, const HealthChange&) = default;
};

// Thread: shard-local.  Bounds: see the head of this file.
class SubscriptionHealth {
 public:
  static constexpr std::uint32_t kLinesAtOnce = 6;
  static constexpr Duration kLineInterval = std::chrono::seconds(15);

  [[nodiscard]] std::optional<HealthChange> failed(std::uint32_t queue, metrics::Outcome outcome,
                                                   TimePoint now);
  // An event of it became a dead letter.
  [[nodiscard]] std::optional<HealthChange> dead_letter(std::uint32_t queue, TimePoint now);
  [[nodiscard]] std::optional<HealthChange> answered(std::uint32_t queue, TimePoint now);
  void forget(std::uint32_t queue) { entries_.erase(queue); }
  // Something is remembered of it.
  [[nodiscard]] bool knows(std::uint32_t queue) const { return entries_.count(queue) != 0; }
  // No call of answered() would say anything.
  [[nodiscard]] bool all_well() const noexcept { return entries_.empty(); }

 private:
  struct Entry {
    std::optional<metrics::Outcome> told;  // nothing: that it answers
    bool dead_told = false;
    bool failing = false;
    std::uint64_t failures = 0;
    TimePoint since{};
    std::uint32_t lines = kLinesAtOnce;
    TimePoint counted{};  // up to when `lines` has grown
  };
  [[nodiscard]] static bool may_tell(Entry& entry, TimePoint now);
  [[nodiscard]] static HealthChange change(HealthChange::Kind kind, const Entry& entry,
                                           TimePoint now);

  std::unordered_map<std::uint32_t, Entry> entries_;
};

}  // namespace eventrelay::relay
