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
