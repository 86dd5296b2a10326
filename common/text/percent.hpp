// Percent-encoding: %XX stands for one byte.
//
// Thread:  any.  Bounds: O(1), no allocation.  Errors: nothing where no %XX stands.
#pragma once

#include <optional>
#include <string_view>

namespace eventrelay {

// Of one hexadecimal digit; -1: it is none.
[[nodiscard]] constexpr int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The byte that a %XX at the front of `text` stands for.
[[nodiscard]] constexpr std::optional<char> percent_decoded(std::string_view text) noexcept {
  if (text.size() < 3 || text[0] != '%') return std::nullopt;
  const int high = hex_value(text[1]);
  const int low = hex_value(text[2]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high * 16 + low);
}

}  // namespace eventrelay
