// The shapes of `eventrelay bench all`: every scenario with the one property changed that the row
// is about.
//
// Why:     a figure of one shape hides where it falls off a cliff.
// Thread:  any.  Bounds: about half an hour on two cores with three rounds; the short form two
//          minutes.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "bench/scenarios/scenarios.hpp"
#include "common/base/clock.hpp"

namespace eventrelay::bench {

// One scenario to be run as it stands.
struct Shape {
  Scenario run = nullptr;
  BenchOptions options;
  std::string name;
  double seconds = 0;  // that it takes on two cores, about
};

// `shape 3 of 23, 1 min so far, about 9 min left: ...`. What is left is guessed by how long those
// before it took, beside what they were said to take.
[[nodiscard]] std::string progress_words(const std::vector<Shape>& shapes, std::size_t next,
                                         Duration so_far);

// `base` gives the broker, rounds and partitions.
[[nodiscard]] std::vector<Shape> all_shapes(const BenchOptions& base);
[[nodiscard]] std::vector<Shape> short_shapes(const BenchOptions& base);

// Run on a broker that was just started, before what is measured, and not reported: a JVM compiles
// what it does often, and takes half a core as long as it does. Ten seconds for `scenario` alone,
// twice that for all of them (nullptr).
[[nodiscard]] std::vector<Shape> warm_up(const BenchOptions& base, Scenario scenario);

}  // namespace eventrelay::bench
