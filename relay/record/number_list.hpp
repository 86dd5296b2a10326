// Numbers in a text with commas between them, as ranges of offsets are written.
//
// Thread:  any; pure.  Bounds: O(digits), no allocation.
// Errors:  nothing where the text is no such list, or a number is out of its bounds.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

namespace eventrelay::relay {

// Takes the first number, `least` (0 or more) to `most`, and the comma behind it off the front of
// `text`.
[[nodiscard]] inline std::optional<std::int64_t> take_number(std::string_view& text,
                                                             std::int64_t least,
                                                             std::int64_t most) {
  if (text.starts_with('-')) return std::nullopt;
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || number < least || number > most) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  if (text.empty()) return number;
  if (text.front() != ',' || text.size() == 1) return std::nullopt;
  text.remove_prefix(1);
  return number;
}

}  // namespace eventrelay::relay
