#include "ingest/source_meter.hpp"

#include <map>
#include <mutex>
#include <string>

namespace eventrelay::ingest {

namespace {

// In the order of the keys in their list; Box has headers of the first two names.
constexpr std::array<std::string_view, providers::kKeysMax> kSlotWords{"primary", "secondary",
                                                                       "third"};

// Thread: any, locked.  Bounds: kSourceMetersMax.
struct Meters {
  std::mutex mutex;
  std::map<std::string, SourceMeter, std::less<>> by_source;
  SourceMeter others;
};

Meters& meters() {
  static Meters all;
  return all;
}

}  // namespace

std::optional<std::uint64_t> SourceMeter::not_stored(metrics::NotStored why,
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

SourceMeter& source_meter(std::string_view source) {
  Meters& all = meters();
  const std::scoped_lock lock(all.mutex);
  const auto found = all.by_source.find(source);
  if (found != all.by_source.end()) return found->second;
  if (all.by_source.size() >= kSourceMetersMax) return all.others;
  return all.by_source[std::string(source)];
}

std::vector<metrics::ScrapedGauge> source_gauges() {
  auto last = metrics::scraped("ingest_source_last_event_timestamp_seconds", {});
  auto uses = metrics::scraped("ingest_signature_key_uses_total", {});
  Meters& all = meters();
  const std::scoped_lock lock(all.mutex);
  for (const auto& [source, meter] : all.by_source) {
    if (meter.last_ms() != 0) {
      last.samples.push_back({source, static_cast<double>(meter.last_ms()) / 1000});
    }
    for (std::size_t slot = 0; slot < kSlotWords.size(); ++slot) {
      uses.samples.push_back(
          {source, static_cast<double>(meter.uses(slot)), std::string(kSlotWords[slot])});
    }
  }
  return {std::move(last), std::move(uses)};
}

}  // namespace eventrelay::ingest
