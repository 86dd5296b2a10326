// Percent-encoding: %XX stands for one byte.
//
// Thread:  any.  Bounds: O(1).  Errors: nothing where no %XX stands.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/hex.hpp"

namespace eventrelay {

// The byte that a %XX at the front of `text` stands for.
[[nodiscard]] constexpr std::optional<char> percent_decoded(std::string_view text) noexcept {
  if (text.size() < 3 || text[0] != '%') return std::nullopt;
  const int high = hex_value(text[1]);
  const int low = hex_value(text[2]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high * 16 + low);
}

// %XX for the byte.
inline void append_percent_encoded(char byte, std::string& out) {
  const auto value = static_cast<unsigned char>(byte);
  out.push_back('%');
  out.push_back(kUpperHexDigits[value >> 4U]);
  out.push_back(kUpperHexDigits[value & 15U]);
}

}  // namespace eventrelay
