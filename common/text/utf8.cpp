#include "common/text/utf8.hpp"

namespace eventrelay {

Character first_character(std::string_view text) noexcept {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  std::size_t size = 0;
  std::uint32_t least = 0;  // below it a shorter form exists
  if (first >= 0xC2 && first <= 0xDF) {
    size = 2;
    least = 0x80;
  } else if (first >= 0xE0 && first <= 0xEF) {
    size = 3;
    least = 0x800;
  } else if (first >= 0xF0 && first <= 0xF4) {
    size = 4;
    least = 0x10000;
  }
  if (size == 0 || text.size() < size) return {};
  std::uint32_t code = first & (0xFFU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return {};
    code = (code << 6U) | (byte(i) & 0x3FU);
  }
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < least || code > 0x10FFFF || surrogate) return {};
  return {code, size};
}

}  // namespace eventrelay
