#include "ingest/source_clock.hpp"

#include <map>
#include <mutex>
#include <string>

namespace eventrelay::ingest {

namespace {

// Thread: any, locked.  Bounds: kSourceClocksMax.
struct Clocks {
  std::mutex mutex;
  std::map<std::string, SourceClock, std::less<>> by_source;
  SourceClock others;
};

Clocks& clocks() {
  static Clocks all;
  return all;
}

}  // namespace

std::optional<std::uint64_t> SourceClock::not_stored(metrics::NotStored why,
                                                     TimePoint now) noexcept {
  Untold& untold = untold_[static_cast<std::size_t>(why)];
  untold.calls.fetch_add(1, std::memory_order_relaxed);
  const std::int64_t now_ns = now.time_since_epoch().count();
  std::int64_t told = untold.told_ns.load(std::memory_order_relaxed);
  if (told != INT64_MIN && now_ns - told < kNotStoredPause.count()) return std::nullopt;
  // Of several shards one tells.
  if (!untold.told_ns.compare_exchange_strong(told, now_ns)) return std::nullopt;
  return untold.calls.exchange(0);
}

SourceClock& source_clock(std::string_view source) {
  Clocks& all = clocks();
  const std::scoped_lock lock(all.mutex);
  const auto found = all.by_source.find(source);
  if (found != all.by_source.end()) return found->second;
  if (all.by_source.size() >= kSourceClocksMax) return all.others;
  return all.by_source[std::string(source)];
}

metrics::ScrapedGauge source_clock_gauge() {
  metrics::ScrapedGauge gauge{"ingest_source_last_event_timestamp_seconds",
                              "When a source last sent an event that was genuine.",
                              "source",
                              {}};
  Clocks& all = clocks();
  const std::scoped_lock lock(all.mutex);
  for (const auto& [source, clock] : all.by_source) {
    if (clock.last_ms() == 0) continue;
    gauge.samples.push_back({source, static_cast<double>(clock.last_ms()) / 1000});
  }
  return gauge;
}

}  // namespace eventrelay::ingest
