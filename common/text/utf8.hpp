// The first character of a text in UTF-8.
//
// Thread:  any.  Bounds: O(1), no allocation.
// Errors:  a size of 0 where no character begins (RFC 3629: no overlong forms, no surrogates,
//          nothing above U+10FFFF, nothing cut short).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace eventrelay {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

struct Character {
  std::uint32_t code = 0;
  std::size_t size = 0;  // bytes
};

// Pre: `text` is not empty.
[[nodiscard]] Character first_character(std::string_view text) noexcept;

}  // namespace eventrelay
