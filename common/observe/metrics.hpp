// One slab of plain integers per shard, summed only at a scrape.
//
// Why:     a shared atomic double costs 5-20 ns an update, a shard's own integer under 1 ns.
// Thread:  a slab is written by its shard alone and read by any thread (relaxed atomics).
// Bounds:  fixed size; every series exists from the start as 0.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/observe/metrics_info.hpp"
#include "common/observe/metrics_list.hpp"

namespace eventrelay::metrics {

// A number that one thread writes and any thread reads. Thread: single writer.  Bounds: 8 bytes.
class Cell {
 public:
  void add(std::uint64_t n = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void set(std::uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t read() const noexcept {
    return value_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Only grows. Thread: single writer.  Bounds: one cell.
class Counter : public Cell {};

// One counter per label value. Thread: single writer.  Bounds: one cell per enumerator.
template <class Enum>
class CounterBy {
 public:
  void add(Enum label, std::uint64_t n = 1) noexcept {
    cells_[static_cast<std::size_t>(label)].add(n);
  }
  [[nodiscard]] std::uint64_t read(Enum label) const noexcept {
    return cells_[static_cast<std::size_t>(label)].read();
  }

 private:
  std::array<Counter, Words<Enum>::kWords.size()> cells_;
};

// A level. Seconds are set as a double. Thread: single writer.  Bounds: one cell.
class Gauge {
 public:
  void set(double value) noexcept { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] double read() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// Counts per bucket and a sum, in nanoseconds or bytes. Thread: single writer.  Bounds: fixed.
template <std::size_t N>
class Histogram {
 public:
  explicit Histogram(const std::array<std::uint64_t, N>& bounds) noexcept : bounds_(bounds) {}

  void observe(std::uint64_t value) noexcept {
    std::size_t i = 0;
    while (i < N && value > bounds_[i]) ++i;
    counts_[i].add();
    sum_.add(value);
  }
  void observe(Duration elapsed) noexcept {
    observe(elapsed.count() > 0 ? static_cast<std::uint64_t>(elapsed.count()) : 0U);
  }
  // `i` = N is the overflow bucket.
  [[nodiscard]] std::uint64_t count(std::size_t i) const noexcept { return counts_[i].read(); }
  [[nodiscard]] std::uint64_t sum() const noexcept { return sum_.read(); }

 private:
  const std::array<std::uint64_t, N>& bounds_;
  std::array<Cell, N + 1> counts_;
  Cell sum_;
};
template <std::size_t N>
Histogram(const std::array<std::uint64_t, N>&) -> Histogram<N>;

// All metrics of one shard. Thread: written by its shard alone.  Bounds: about 2 KiB.
struct alignas(64) Slab {
#define EVENTRELAY_COUNTER(name, sentence) Counter name;
#define EVENTRELAY_COUNTER_BY(name, label, Enum, sentence) CounterBy<Enum> name;
#define EVENTRELAY_GAUGE(name, sentence) Gauge name;
#define EVENTRELAY_HISTOGRAM(name, bounds, sentence) Histogram<bounds.size()> name{bounds};
  EVENTRELAY_METRICS(EVENTRELAY_COUNTER, EVENTRELAY_COUNTER_BY, EVENTRELAY_GAUGE,
                     EVENTRELAY_HISTOGRAM)
#undef EVENTRELAY_COUNTER
#undef EVENTRELAY_COUNTER_BY
#undef EVENTRELAY_GAUGE
#undef EVENTRELAY_HISTOGRAM
};

// Owns the slabs of a service and prints them. Counters, histograms and amounts are summed over
// shards. Gauges in seconds are not summed: the worst shard's value counts (the earliest `oldest`
// time stamp, else the largest value; 0 = none).
// Thread: any; locked, as nothing here is on the data plane.
// Bounds: one slab per shard.
class Exporter {
 public:
  Exporter();
  ~Exporter();
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  // The slab lives as long as the exporter.
  [[nodiscard]] Slab& add_slab();
  // `ingest_` or `relay_`: after it, families of the other tier are not shown. Twice shows both.
  void show(std::string_view name_prefix);
  // `collect` runs at every scrape, on the scraping thread.
  void add_gauges(std::function<std::vector<ScrapedGauge>()> collect);
  // Prometheus text format 0.0.4, with process_* and build_info.
  [[nodiscard]] std::string expose() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace eventrelay::metrics
