// Metrics process_*, named as Prometheus' own clients name them, read from /proc/self at a scrape.
//
// Thread: any.  Bounds: seven gauges.  Errors: what cannot be read is left out.
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

namespace eventrelay::metrics {

[[nodiscard]] std::vector<prometheus::MetricFamily> process_families();

}  // namespace eventrelay::metrics
