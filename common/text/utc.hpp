// A time as text in UTC (RFC 3339).
//
// Thread:  any.  Bounds: 20 or 24 characters for the years 0 to 9999.  Errors: none.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "common/base/clock.hpp"

namespace eventrelay {

inline constexpr std::size_t kUtcSize = 20;

// yyyy-MM-ddTHH:mm:ssZ; what is below a second is cut off.
void write_utc(WallTime time, std::array<char, kUtcSize>& out) noexcept;
void append_utc(WallTime time, std::string& out);
// yyyy-MM-ddTHH:mm:ss.SSSZ
void append_utc_ms(WallTime time, std::string& out);

}  // namespace eventrelay
