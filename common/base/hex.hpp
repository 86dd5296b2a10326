// Hexadecimal digits.
//
// Thread:  any.  Bounds: O(1).  Errors: -1 where no digit stands.
#pragma once

#include <string_view>

namespace eventrelay {

inline constexpr std::string_view kHexDigits = "0123456789abcdef";
inline constexpr std::string_view kUpperHexDigits = "0123456789ABCDEF";

// Of one digit in either case; -1: it is none.
[[nodiscard]] constexpr int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace eventrelay
