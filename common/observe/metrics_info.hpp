// What there is to a metric besides its cells: rows for the docs, and gauges made at the scrape.
//
// Thread:  values.
// Bounds:  one row per metric of the list; scraped gauges are bounded by their owner.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace eventrelay::metrics {

// A gauge without a cell: it is made at each scrape and has at most one label, whose values its
// owner bounds.
struct ScrapedGauge {
  struct Sample {
    std::string label_value;  // unused when the gauge has no label
    double value = 0;
  };
  std::string name;  // without the prefix `eventrelay_`
  std::string sentence;
  std::string label;  // empty = no label, one sample
  std::vector<Sample> samples;
};

// One metric of the list, for docs and tests. Thread: immutable.  Bounds: views of constants.
struct MetricInfo {
  std::string_view name;  // with its prefix
  std::string_view kind;  // counter, gauge or histogram
  std::string_view label;
  std::vector<std::string_view> words;  // label values
  std::string_view sentence;
};
[[nodiscard]] std::vector<MetricInfo> describe();

}  // namespace eventrelay::metrics
