#include "common/observe/metrics.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <mutex>

#include "common/base/assert.hpp"
#include "common/observe/build_info.hpp"
#include "common/observe/metrics_process.hpp"

namespace eventrelay::metrics {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr std::string_view kPrefix = "eventrelay_";
constexpr std::string_view kTiers[] = {"ingest_", "relay_"};

using Slabs = std::deque<Slab>;

MetricFamily family_of(std::string_view name, std::string_view sentence, MetricType type) {
  MetricFamily family;
  family.name = std::string{kPrefix}.append(name);
  family.help = sentence;
  family.type = type;
  return family;
}

// A label `box_x` stands for provider="box" and x: a metric of the list has one label that varies.
constexpr std::string_view kOfBox = "box_";

std::string_view shown(std::string_view label) noexcept {
  return label.starts_with(kOfBox) ? label.substr(kOfBox.size()) : label;
}

ClientMetric labelled(std::string_view label, std::string_view value) {
  ClientMetric metric;
  if (label.starts_with(kOfBox)) metric.label.push_back({"provider", "box"});
  metric.label.push_back({std::string{shown(label)}, std::string{value}});
  return metric;
}

// How the gauges of several shards become one value.
enum class Merge { Sum, Largest, EarliestSet };

Merge merge_of(std::string_view name) noexcept {
  if (name == "kafka_compression_active") return Merge::Largest;  // yes or no, not an amount
  if (!name.ends_with("_seconds")) return Merge::Sum;
  if (!name.ends_with("_timestamp_seconds")) return Merge::Largest;
  return name.find("oldest") == std::string_view::npos ? Merge::Largest : Merge::EarliestSet;
}

double merge(Merge how, double a, double b) noexcept {
  switch (how) {
    case Merge::Sum:
      return a + b;
    case Merge::Largest:
      return std::max(a, b);
    case Merge::EarliestSet:
      if (a == 0 || b == 0) return a + b;
      return std::min(a, b);
  }
  return a;
}

MetricFamily collect(std::string_view name, std::string_view sentence, const Slabs& slabs,
                     const Counter Slab::*cell) {
  MetricFamily family = family_of(name, sentence, MetricType::Counter);
  std::uint64_t sum = 0;
  for (const Slab& slab : slabs) sum += (slab.*cell).read();
  family.metric.emplace_back().counter.value = static_cast<double>(sum);
  return family;
}

MetricFamily collect(std::string_view name, std::string_view sentence, const Slabs& slabs,
                     const Gauge Slab::*cell) {
  MetricFamily family = family_of(name, sentence, MetricType::Gauge);
  double level = 0;
  for (const Slab& slab : slabs) level = merge(merge_of(name), level, (slab.*cell).read());
  // A moment that there is none of: 0 would be one 56 years ago.
  if (level == 0 && name.ends_with("_timestamp_seconds")) return family;
  family.metric.emplace_back().gauge.value = level;
  return family;
}

// A counter and the name of its one label.
template <class Enum>
struct Labelled {
  std::string_view label;
  const CounterBy<Enum> Slab::*cell;
};
template <class Enum>
Labelled(std::string_view, const CounterBy<Enum> Slab::*) -> Labelled<Enum>;

template <class Enum>
MetricFamily collect(std::string_view name, std::string_view sentence, const Slabs& slabs,
                     Labelled<Enum> by) {
  MetricFamily family = family_of(name, sentence, MetricType::Counter);
  for (std::size_t i = 0; i < Words<Enum>::kWords.size(); ++i) {
    std::uint64_t sum = 0;
    for (const Slab& slab : slabs) sum += (slab.*by.cell).read(static_cast<Enum>(i));
    ClientMetric metric = labelled(by.label, Words<Enum>::kWords[i]);
    metric.counter.value = static_cast<double>(sum);
    family.metric.push_back(std::move(metric));
  }
  return family;
}

// Cells hold nanoseconds or bytes; the text says seconds or bytes.
template <std::size_t N>
MetricFamily collect(std::string_view name, std::string_view sentence, const Slabs& slabs,
                     const Histogram<N> Slab::*cell, const std::array<std::uint64_t, N>& bounds) {
  MetricFamily family = family_of(name, sentence, MetricType::Histogram);
  const double unit = name.ends_with("_seconds") ? 1e9 : 1.0;
  prometheus::ClientMetric::Histogram& out = family.metric.emplace_back().histogram;
  std::uint64_t below = 0;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i <= N; ++i) {
    for (const Slab& slab : slabs) below += (slab.*cell).count(i);
    const double bound =
        i < N ? static_cast<double>(bounds[i]) / unit : std::numeric_limits<double>::infinity();
    out.bucket.push_back({below, bound});
  }
  for (const Slab& slab : slabs) total += (slab.*cell).sum();
  out.sample_count = below;
  out.sample_sum = static_cast<double>(total) / unit;
  return family;
}

std::vector<MetricFamily> collect_all(const Slabs& slabs) {
  std::vector<MetricFamily> all;
#define EVENTRELAY_COUNTER(name, sentence) \
  all.push_back(collect(#name, sentence, slabs, &Slab::name));
#define EVENTRELAY_COUNTER_BY(name, label, Enum, sentence) \
  all.push_back(collect(#name, sentence, slabs, Labelled<Enum>{#label, &Slab::name}));
#define EVENTRELAY_GAUGE(name, sentence) \
  all.push_back(collect(#name, sentence, slabs, &Slab::name));
#define EVENTRELAY_HISTOGRAM(name, bounds, sentence) \
  all.push_back(collect(#name, sentence, slabs, &Slab::name, bounds));
  EVENTRELAY_METRICS(EVENTRELAY_COUNTER, EVENTRELAY_COUNTER_BY, EVENTRELAY_GAUGE,
                     EVENTRELAY_HISTOGRAM)
#undef EVENTRELAY_COUNTER
#undef EVENTRELAY_COUNTER_BY
#undef EVENTRELAY_GAUGE
#undef EVENTRELAY_HISTOGRAM
  return all;
}

MetricFamily build_family() {
  MetricFamily family = family_of("build_info", "What this build is; always 1.", MetricType::Gauge);
  const BuildInfo& build = build_info();
  ClientMetric& metric = family.metric.emplace_back();
  metric.label = {
      {"version", build.version}, {"commit", build.commit}, {"compiler", build.compiler}};
  metric.gauge.value = 1;
  return family;
}

// One row of EVENTRELAY_SCRAPED.
struct ScrapedRow {
  std::string_view name;
  std::string_view kind;
  std::string_view labels;
  std::string_view values;
  std::size_t most;
  std::string_view sentence;
};
constexpr ScrapedRow kScrapedRows[] = {
#define EVENTRELAY_ROW(name, kind, labels, values, most, sentence) \
  {#name, kind, labels, values, most, sentence},
    EVENTRELAY_SCRAPED(EVENTRELAY_ROW)
#undef EVENTRELAY_ROW
};

const ScrapedRow* row_of(std::string_view name) noexcept {
  const auto* const row =
      std::find_if(std::begin(kScrapedRows), std::end(kScrapedRows),
                   [name](const ScrapedRow& each) { return each.name == name; });
  return row == std::end(kScrapedRows) ? nullptr : row;
}

std::string_view first_of(std::string_view labels) noexcept {
  return labels.substr(0, labels.find(','));
}

// What is beyond the bound of its row is left out: a scrape stays small whatever its owner says.
MetricFamily scraped_family(const ScrapedGauge& gauge) {
  const bool counts = gauge.name.ends_with("_total");
  MetricFamily family =
      family_of(gauge.name, gauge.sentence, counts ? MetricType::Counter : MetricType::Gauge);
  const ScrapedRow* const row = row_of(gauge.name);
  for (const ScrapedGauge::Sample& sample : gauge.samples) {
    if (row != nullptr && family.metric.size() == row->most) break;
    const std::string_view first = first_of(gauge.label);
    ClientMetric metric = first.empty() ? ClientMetric{} : labelled(first, sample.label_value);
    if (first.size() < gauge.label.size()) {
      metric.label.push_back({gauge.label.substr(first.size() + 1), sample.second_value});
    }
    (counts ? metric.counter.value : metric.gauge.value) = sample.value;
    family.metric.push_back(std::move(metric));
  }
  return family;
}

template <class Enum>
std::vector<std::string_view> words_of() {
  return {Words<Enum>::kWords.begin(), Words<Enum>::kWords.end()};
}

}  // namespace

std::vector<MetricInfo> describe() {
  return {
#define EVENTRELAY_COUNTER(name, sentence) {"eventrelay_" #name, "counter", {}, {}, sentence},
#define EVENTRELAY_COUNTER_BY(name, label, Enum, sentence) \
  {"eventrelay_" #name, "counter", shown(#label),          \
   words_of<Enum>(),    sentence,  Words<Enum>::kWords.size()},
#define EVENTRELAY_GAUGE(name, sentence) {"eventrelay_" #name, "gauge", {}, {}, sentence},
// A sum, a count, and a bucket more than there are bounds.
#define EVENTRELAY_HISTOGRAM(name, bounds, sentence) \
  {"eventrelay_" #name, "histogram", {}, {}, sentence, (bounds).size() + 3},
      EVENTRELAY_METRICS(EVENTRELAY_COUNTER, EVENTRELAY_COUNTER_BY, EVENTRELAY_GAUGE,
                         EVENTRELAY_HISTOGRAM)
#undef EVENTRELAY_COUNTER
#undef EVENTRELAY_COUNTER_BY
#undef EVENTRELAY_GAUGE
#undef EVENTRELAY_HISTOGRAM
#define EVENTRELAY_ROW(name, kind, labels, values, most, sentence)           \
  {"eventrelay_" #name,                                                      \
   kind,                                                                     \
   labels,                                                                   \
   std::string_view(values).empty() ? std::vector<std::string_view>{}        \
                                    : std::vector<std::string_view>{values}, \
   sentence,                                                                 \
   most},
          EVENTRELAY_SCRAPED(EVENTRELAY_ROW)
#undef EVENTRELAY_ROW
  };
}

ScrapedGauge scraped(std::string_view name, std::vector<ScrapedGauge::Sample> samples) {
  const ScrapedRow* const row = row_of(name);
  EVENTRELAY_ASSERT(row != nullptr);
  return {std::string(name), std::string(row->sentence), std::string(row->labels),
          std::move(samples)};
}

struct Exporter::State {
  mutable std::mutex mutex;  // a scrape may come while the service is starting
  Slabs slabs;               // a deque: references stay valid
  std::vector<std::string> shown;
  std::vector<std::function<std::vector<ScrapedGauge>()>> collectors;

  [[nodiscard]] bool shows(std::string_view name) const {
    name.remove_prefix(kPrefix.size());
    const bool of_a_tier =
        std::any_of(std::begin(kTiers), std::end(kTiers),
                    [&](std::string_view tier) { return name.starts_with(tier); });
    return shown.empty() || !of_a_tier ||
           std::any_of(shown.begin(), shown.end(),
                       [&](const std::string& tier) { return name.starts_with(tier); });
  }
};

Exporter::Exporter() : state_(std::make_unique<State>()) {}
Exporter::~Exporter() = default;

Slab& Exporter::add_slab() {
  const std::scoped_lock lock(state_->mutex);
  return state_->slabs.emplace_back();
}

void Exporter::show(std::string_view name_prefix) {
  const std::scoped_lock lock(state_->mutex);
  EVENTRELAY_ASSERT(std::find(std::begin(kTiers), std::end(kTiers), name_prefix) !=
                    std::end(kTiers));
  state_->shown.emplace_back(name_prefix);
}

void Exporter::add_gauges(std::function<std::vector<ScrapedGauge>()> collect) {
  const std::scoped_lock lock(state_->mutex);
  state_->collectors.push_back(std::move(collect));
}

std::string Exporter::expose() const {
  const std::scoped_lock lock(state_->mutex);
  std::vector<MetricFamily> families = collect_all(state_->slabs);
  std::erase_if(families, [this](const MetricFamily& f) {
    return f.metric.empty() || !state_->shows(f.name);
  });
  for (const auto& scrape : state_->collectors) {
    for (const ScrapedGauge& gauge : scrape()) {
      if (!gauge.samples.empty()) families.push_back(scraped_family(gauge));
    }
  }
  families.push_back(build_family());
  std::vector<MetricFamily> process = process_families();
  families.insert(families.end(), std::make_move_iterator(process.begin()),
                  std::make_move_iterator(process.end()));
  return prometheus::TextSerializer{}.Serialize(families);
}

}  // namespace eventrelay::metrics
