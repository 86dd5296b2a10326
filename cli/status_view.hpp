// A service's status page as lines for people: figures, who is away, who fails, what is held.
//
// Why:     one line an entry, the oldest first, is read faster than nested JSON; what this file
//          does not know is printed as it comes.
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
