// The page of a whole `bench all`: docs/performance.md with its plots, and the same as JSON.
//
// Why:     figures that stand in a page without the machine, date and command mean nothing.
// Thread:  any.  Bounds: as its reports.
// Errors:  std::runtime_error if a file can not be written.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bench/scenarios/report.hpp"

namespace eventrelay::bench {

// A line of a plot, its points from left to right.
struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

struct Plot {
  std::string title;
  std::string across;  // what the axes are, with units
  std::string up;
  bool logarithmic_across = false;
  std::vector<Series> series;
};

// An SVG that a browser shows, readable on white and on black. Lines without a point are left out.
[[nodiscard]] std::string draw(const Plot& plot);

// Of the relay's shapes that differ in subscriptions alone.
[[nodiscard]] Plot cost_by_subscriptions(const std::vector<Report>& reports);
// Of ingest's shapes that differ in connections alone.
[[nodiscard]] Plot latency_by_rate(const std::vector<Report>& reports);
// Of the relay and its limit with a backlog of the most common shape, and of the largest.
[[nodiscard]] Plot memory_over_time(const std::vector<Report>& reports);

struct PageHead {
  std::string command;
  std::string date;
  std::string machine;
  double load = 0;     // average of the minute before the run
  unsigned cores = 1;  // a load of half of them says that the machine did other things as well
  std::vector<std::string> failed{};  // shapes that gave no figures, and why
};

[[nodiscard]] std::string to_page(const std::vector<Report>& reports, const PageHead& head);
[[nodiscard]] std::string to_json(const std::vector<Report>& reports, const PageHead& head);

// Writes performance.md and performance.json into `folder`, the plots into its folder `images`.
void write_page(const std::vector<Report>& reports, const PageHead& head,
                const std::string& folder);

}  // namespace eventrelay::bench
