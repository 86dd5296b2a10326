// Reads the body of an API call as JSON, more strictly than JSON itself asks.
//
// Why:     a key given twice is read differently by two readers, and so is broken UTF-8.
// Thread:  any; pure.
// Bounds:  64 KiB (the listener's), 32 levels, 20,000 values.
// Errors:  Problem 400; a doubled key is named with its whole path.
#pragma once

#include <boost/json/object.hpp>
#include <string_view>

#include "ingest/control/problem.hpp"

namespace eventrelay::control {

inline constexpr std::size_t kBodyDepthMax = 32;
inline constexpr std::size_t kBodyValuesMax = 20'000;

// The body must be one JSON object.
[[nodiscard]] Result<boost::json::object> parse_body(std::string_view body);

}  // namespace eventrelay::control
