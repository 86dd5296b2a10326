// The shapes of `eventrelay bench all`: every scenario with the one property changed that the row
// is about.
//
// Why:     a figure of one shape hides where it falls off a cliff.
// Thread:  any.  Bounds: about a dozen minutes on two cores; the short form two.
#pragma once

#include <string>
#include <vector>

#include "bench/scenarios/scenarios.hpp"

namespace eventrelay::bench {

// One scenario to be run as it stands.
struct Shape {
  Scenario run = nullptr;
  BenchOptions options;
};

// `base` gives the broker, rounds and partitions.
[[nodiscard]] std::vector<Shape> all_shapes(const BenchOptions& base);
[[nodiscard]] std::vector<Shape> short_shapes(const BenchOptions& base);

}  // namespace eventrelay::bench
