// What there is to a metric besides its cells: rows for the docs, and what is made at the scrape.
//
// Thread:  values.
// Bounds:  one row per metric of the list; scraped gauges are bounded by their owner.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace eventrelay::metrics {

// A gauge or counter without a cell: it is made at each scrape and has at most two labels, whose
// values its owner bounds.
struct ScrapedGauge {
  struct Sample {
    std::string label_value;  // unused when there is no label
    double value = 0;
    std::string second_value{};  // of the second label, if there is one
  };
  std::string name;  // without the prefix `eventrelay_`
  std::string sentence;
  std::string label;  // empty = no label, one sample; two: divided by a comma
  std::vector<Sample> samples;
};

// One metric of the list, for docs and tests. Bounds: views of constants.
struct MetricInfo {
  std::string_view name;                // with its prefix
  std::string_view kind;                // counter, gauge or histogram
  std::string_view label;               // two: divided by a comma
  std::vector<std::string_view> words;  // label values, or one sentence that says what they are
  std::string_view sentence;
  std::size_t series = 1;  // at most
};
[[nodiscard]] std::vector<MetricInfo> describe();

// `name`: of EVENTRELAY_SCRAPED, without its prefix; it is a mistake to ask for another.
[[nodiscard]] ScrapedGauge scraped(std::string_view name,
                                   std::vector<ScrapedGauge::Sample> samples);

}  // namespace eventrelay::metrics
