// Timestamps as providers write them: Unix seconds, Unix milliseconds, RFC 3339.
//
// Why:     a lenient date parser makes a replay window that is not one.
// Thread:  any; pure.  Bounds: O(length), no allocation while parsing.
// Errors:  nothing comes back from a text that is not exactly of the form.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"

namespace eventrelay::providers {

enum class Stamp : std::uint8_t { None, Seconds, Millis, Rfc3339 };

// RFC 3339 with upper-case T, and Z or a numeric offset; up to nine digits of fraction.
[[nodiscard]] std::optional<WallTime> parse_stamp(Stamp stamp, std::string_view text) noexcept;
[[nodiscard]] std::string format_stamp(Stamp stamp, WallTime time);

}  // namespace eventrelay::providers
