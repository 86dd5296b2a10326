// What a bench run found: rows of figures, their table, JSON and plot of latencies.
//
// Thread:  one owner.  Bounds: a handful of rows.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench/load/histogram.hpp"
#include "bench/load/memory_watch.hpp"

namespace eventrelay::bench {

// One program in one round.
struct Row {
  std::string name;  // what ran: ingest, limit, lean, relay, ...
  unsigned round = 0;
  std::uint64_t events = 0;  // accepted or delivered while measured
  std::uint64_t failed = 0;  // answered otherwise, or broken
  double seconds = 0;
  double cpu_seconds = 0;  // of the measured programs alone
  std::size_t resident_start = 0;
  std::size_t resident_end = 0;
  std::size_t resident_peak = 0;
  std::vector<MemoryPoint> memory{};
  // Per event. None: not counted, for want of rights or of the counting library.
  std::optional<double> system_calls{};
  std::optional<double> allocations{};
  // The relay alone: subscriptions detached, and records read by catch-up reads.
  std::optional<std::uint64_t> detached{};
  std::optional<std::uint64_t> read_again{};
  // From the moment an event was due, corrected for waiting; empty where nothing was timed.
  Histogram latency{};

  [[nodiscard]] double per_second() const { return seconds > 0 ? double(events) / seconds : 0; }
  // 1: each record was read once.
  [[nodiscard]] double read_per_event() const {
    return events > 0 ? 1 + double(read_again.value_or(0)) / double(events) : 0;
  }
  [[nodiscard]] double cpu_us() const {
    return events > 0 ? cpu_seconds * 1e6 / double(events) : 0;
  }
};

// Nothing is asked of a figure; it is told.
inline constexpr double kNoBound = 1e9;

// A bound the run was asked to keep.
struct Objective {
  std::string name;
  double figure = 0;
  double bound = kNoBound;  // figure must not exceed it
  [[nodiscard]] bool met() const noexcept { return figure <= bound; }
};

// One scenario in one shape.
struct Report {
  std::string scenario;  // bench relay, ...
  std::vector<Row> rows;
  std::vector<Objective> objectives;
  std::string machine;                   // cores and model, kept with the figures
  std::string command{};                 // that made it; empty: not kept
  std::string shape{};                   // in words; empty: as the command says
  std::map<std::string, double> axes{};  // the shape in numbers, for plots
};

// Median over rounds of CPU per event of `name` divided by that of `base` in the same round; 0: one
// of them did not run.
[[nodiscard]] double cpu_ratio(const Report& report, const std::string& name,
                               const std::string& base);
// Likewise of events per second.
[[nodiscard]] double pace_ratio(const Report& report, const std::string& name,
                                const std::string& base);
[[nodiscard]] std::string machine_name();
[[nodiscard]] std::string to_table(const Report& report);
[[nodiscard]] std::string to_json(const Report& report);
// A table of its rows.
[[nodiscard]] std::string to_markdown(const Report& report);
// One line for each objective that is missed.
[[nodiscard]] std::vector<std::string> missed(const Report& report);
// Latency by percentile, one line per row; an SVG a browser shows.
[[nodiscard]] std::string to_svg(const Report& report);

// Figures as they are printed.
[[nodiscard]] inline double ms(Duration duration) {
  return static_cast<double>(duration.count()) / 1e6;
}
[[nodiscard]] inline double mib(std::size_t bytes) {
  return static_cast<double>(bytes) / (1U << 20U);
}
[[nodiscard]] std::string optional_figure(const std::optional<double>& figure);

}  // namespace eventrelay::bench
