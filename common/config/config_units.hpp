// Text to numbers, durations and sizes and back; the edit distance behind "did you mean".
//
// Why:     `timeout: 30` means seconds to one reader and milliseconds to the next: units are asked.
// Thread:  any.  Bounds: O(length).  Errors: nothing is returned where the text does not fit.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace eventrelay::config {

// Durations as bounds of a row are written: in milliseconds.
inline constexpr double kSecond = 1000;
inline constexpr double kMinute = 60 * kSecond;
inline constexpr double kHour = 60 * kMinute;
inline constexpr double kDay = 24 * kHour;

[[nodiscard]] constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
// Decimal digits with an optional '-', nothing around them; nothing on overflow.
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view text) noexcept;
// A finite decimal number, no exponent words such as nan.
[[nodiscard]] std::optional<double> parse_real(std::string_view text) noexcept;
// `250ms`, `5s`, `30m`, `2h`, `1d`.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(
    std::string_view text) noexcept;
// `512B`, `64KiB`, `16MiB`, `1GiB`, and decimal `64kB`, `1MB`, `1GB`.
[[nodiscard]] std::optional<std::int64_t> parse_size(std::string_view text) noexcept;

// The largest unit that leaves no rest.
[[nodiscard]] std::string print_duration(std::chrono::milliseconds duration);
[[nodiscard]] std::string print_size(std::int64_t bytes);
// The shortest decimal that reads back as the same number.
[[nodiscard]] std::string print_real(double number);

// Letters to insert, delete, replace or swap to make `a` of `b`.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);
// The known word that looks most like `word`; empty when none does.
[[nodiscard]] std::string nearest_word(std::string_view word,
                                       const std::vector<std::string>& known);

[[nodiscard]] std::string ascii_lower(std::string_view text);

// `host:port` or `[v6]:port`.
struct ListenAddress {
  std::string host;  // without brackets
  std::uint16_t port = 0;

  // 127.0.0.0/8, ::1 and localhost.
  [[nodiscard]] bool loopback() const noexcept;
};
[[nodiscard]] std::optional<ListenAddress> parse_listen(std::string_view text);

}  // namespace eventrelay::config
