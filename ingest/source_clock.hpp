// When each source was last heard of: an alert asks it whether a provider has fallen silent.
//
// Why:     shards and settings come and go with reloads, what was heard does not.
// Owner:   the process.  Thread: any; an entry is written without a lock, found with one.
// Bounds:  kSourceClocksMax sources are told apart; those named later share one that is not shown.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/observe/metrics_info.hpp"
#include "common/observe/metrics_list.hpp"

namespace eventrelay::ingest {

inline constexpr std::size_t kSourceClocksMax = 100;

// Between two lines about calls of one source with nothing to store, of each reason.
inline constexpr Duration kNotStoredPause = std::chrono::minutes(1);

// Thread: any.  Bounds: a few words.
class SourceClock {
 public:
  void heard(WallTime when) noexcept { at_ms_.store(unix_ms(when), std::memory_order_relaxed); }
  // Unix milliseconds; 0: not since the process began.
  [[nodiscard]] std::int64_t last_ms() const noexcept {
    return at_ms_.load(std::memory_order_relaxed);
  }
  // A genuine call had nothing to store. How many there were since the last one to be told of;
  // nothing: this one is not to be told of.
  [[nodiscard]] std::optional<std::uint64_t> not_stored(metrics::NotStored why,
                                                        TimePoint now) noexcept;

 private:
  // Thread: any.  Bounds: two words.
  struct Untold {
    std::atomic<std::uint64_t> calls{0};
    std::atomic<std::int64_t> told_ns{INT64_MIN};
  };

  std::atomic<std::int64_t> at_ms_{0};
  std::array<Untold, metrics::kNotStoredWords.size()> untold_;
};

// The clock of a source, made when first asked for; lives as long as the process.
[[nodiscard]] SourceClock& source_clock(std::string_view source);
// One sample for each source that was heard of.
[[nodiscard]] metrics::ScrapedGauge source_clock_gauge();

}  // namespace eventrelay::ingest
