// What a bench run found: rows of figures, their table, JSON and plot.
//
// Thread:  one owner.  Bounds: a handful of rows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/load/histogram.hpp"
#include "bench/load/process.hpp"

namespace eventrelay::bench {

// One program in one round.
struct Row {
  std::string name;  // what ran: ingest, limit, relay, ...
  unsigned round = 0;
  std::uint64_t events = 0;  // accepted or delivered while measured
  std::uint64_t failed = 0;  // answered otherwise, or broken
  double seconds = 0;
  double cpu_seconds = 0;  // of the measured program alone
  std::size_t resident_start = 0;
  std::size_t resident_end = 0;
  std::size_t resident_peak = 0;  // 0: not watched
  // The relay alone: subscriptions detached, and records read by catch-up reads.
  std::optional<std::uint64_t> detached;
  std::optional<std::uint64_t> read_again;
  Histogram latency;  // empty where nothing was timed

  [[nodiscard]] double per_second() const { return seconds > 0 ? double(events) / seconds : 0; }
  [[nodiscard]] double read_again_per_event() const {
    return events > 0 ? double(read_again.value_or(0)) / double(events) : 0;
  }
  [[nodiscard]] double cpu_us() const {
    return events > 0 ? cpu_seconds * 1e6 / double(events) : 0;
  }
};

// A bound the run was asked to keep.
struct Objective {
  std::string name;
  double figure = 0;
  double bound = 0;  // figure must not exceed it
  [[nodiscard]] bool met() const noexcept { return figure <= bound; }
};

struct Report {
  std::string scenario;
  std::vector<Row> rows;
  std::vector<Objective> objectives;
  std::string machine;    // cores and model, kept with the figures
  std::string command{};  // that made it; empty: not kept
};

// Median over rounds of CPU per event of `name` divided by that of `base` in the same round.
[[nodiscard]] double cpu_ratio(const Report& report, const std::string& name,
                               const std::string& base);
[[nodiscard]] std::string machine_name();
[[nodiscard]] std::string to_table(const Report& report);
[[nodiscard]] std::string to_json(const Report& report);
// A section of a page: what was asked, where and when, and a table. `date`: as it is to be printed.
[[nodiscard]] std::string to_markdown(const Report& report, const std::string& date);
// Latency by percentile, one line per row; an SVG a browser shows.
[[nodiscard]] std::string to_svg(const Report& report);

}  // namespace eventrelay::bench
