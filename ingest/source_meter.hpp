// What is known of each source over the life of the process: when it was last heard of, and which
// of its keys verify. Alerts ask whether a provider has fallen silent; an operator who changes a
// key asks whether the old one is still in use.
//
// Why:     shards and settings come and go with reloads, but what was heard must stay.
// Owner:   the process.  Thread: any; an entry is written without a lock, found with one.
// Bounds:  kSourceMetersMax sources are told apart; those named later share one that is not shown.
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
#include "common/providers/scheme.hpp"

namespace eventrelay::ingest {

inline constexpr std::size_t kSourceMetersMax = 100;

// Between two lines about calls of one source with nothing to store, of each reason.
inline constexpr Duration kNotStoredPause = std::chrono::minutes(1);

// Thread: any.  Bounds: a word, one per key, and two per reason.
class SourceMeter {
 public:
  void heard(WallTime when) noexcept { at_ms_.store(unix_ms(when), std::memory_order_relaxed); }
  // These keys have verified one request.
  void verified(providers::KeySet keys) noexcept {
    for (std::size_t slot = 0; slot < uses_.size(); ++slot) {
      if (keys.test(slot)) uses_[slot].fetch_add(1, std::memory_order_relaxed);
    }
  }
  // Unix milliseconds; 0: not since the process began.
  [[nodiscard]] std::int64_t last_ms() const noexcept {
    return at_ms_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t uses(std::size_t slot) const noexcept {
    return uses_[slot].load(std::memory_order_relaxed);
  }
  // A genuine call had nothing to store. How many there were since the last one to be told of;
  // nothing: this one is not to be told of.
  [[nodiscard]] std::optional<std::uint64_t> not_stored(metrics::NotStored why,
                                                        TimePoint now) noexcept;

 private:
  // Bounds: two words.
  struct Untold {
    std::atomic<std::uint64_t> calls{0};
    std::atomic<std::int64_t> told_ns{INT64_MIN};
  };

  std::atomic<std::int64_t> at_ms_{0};
  std::array<std::atomic<std::uint64_t>, providers::kKeysMax> uses_{};
  std::array<Untold, metrics::kNotStoredWords.size()> untold_;
};

// The meter of a source, made when first asked for; lives as long as the process.
[[nodiscard]] SourceMeter& source_meter(std::string_view source);
// When each source was heard of, and how often each key of each source was used.
[[nodiscard]] std::vector<metrics::ScrapedGauge> source_gauges();

}  // namespace eventrelay::ingest
