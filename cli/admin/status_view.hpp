// Prints a service's status page as lines for people: figures, backlogs, failing subscriptions,
// partitions that are held.
//
// Why:     one line for each backlog, the oldest first, is read faster than nested JSON; members
//          that this file does not know are printed unchanged.
// Owner:   `eventrelay status`.  Thread: any; pure.
// Bounds:  as the page.  Errors: members of another type than expected are left out.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"

namespace eventrelay::cli {

// Each line with its end; indented by two.
[[nodiscard]] std::string status_lines(const boost::json::object& status, WallTime now);

// Dead letters and parked events, from a metrics page; empty if it has neither.
[[nodiscard]] std::string given_up_line(std::string_view metrics_page);

}  // namespace eventrelay::cli
