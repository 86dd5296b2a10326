#include "common/providers/stamp.hpp"

#include <chrono>

#include "common/text/utc.hpp"

namespace eventrelay::providers {

namespace {

using std::chrono::milliseconds;

// Reads fixed-width fields from the front of a text. Thread: value.  Bounds: its text.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  // `width` digits as a number within [low, high]; the scanner is broken otherwise.
  int number(std::size_t width, int low, int high) noexcept {
    int value = 0;
    if (rest_.size() < width) broken_ = true;
    for (std::size_t i = 0; i < width && !broken_; ++i) {
      const char c = rest_[i];
      if (c < '0' || c > '9') broken_ = true;
      value = value * 10 + (c - '0');
    }
    if (value < low || value > high) broken_ = true;
    if (!broken_) rest_.remove_prefix(width);
    return broken_ ? low : value;
  }
  void literal(char c) noexcept {
    if (!take(c)) broken_ = true;
  }
  bool take(char c) noexcept {
    if (broken_ || rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // Up to nine digits as milliseconds, the rest cut off.
  int fraction_ms() noexcept {
    int ms = 0;
    std::size_t digits = 0;
    while (digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9') ++digits;
    if (digits == 0 || digits > 9) broken_ = true;
    for (std::size_t i = 0; i < 3; ++i) {
      ms = ms * 10 + (i < digits ? rest_[i] - '0' : 0);
    }
    rest_.remove_prefix(digits);
    return ms;
  }
  [[nodiscard]] bool complete() const noexcept { return !broken_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool broken_ = false;
};

std::optional<WallTime> parse_rfc3339(std::string_view text) noexcept {
  Scanner scanner(text);
  const std::chrono::year year{scanner.number(4, 0, 9999)};
  scanner.literal('-');
  const std::chrono::month month{static_cast<unsigned>(scanner.number(2, 1, 12))};
  scanner.literal('-');
  const std::chrono::day day{static_cast<unsigned>(scanner.number(2, 1, 31))};
  scanner.literal('T');
  const std::chrono::hours hour{scanner.number(2, 0, 23)};
  scanner.literal(':');
  const std::chrono::minutes minute{scanner.number(2, 0, 59)};
  scanner.literal(':');
  const std::chrono::seconds second{scanner.number(2, 0, 60)};  // 60: a leap second
  const milliseconds fraction{scanner.take('.') ? scanner.fraction_ms() : 0};
  std::chrono::minutes offset{0};
  if (!scanner.take('Z')) {
    const bool minus = scanner.take('-');
    if (!minus) scanner.literal('+');
    offset = std::chrono::hours{scanner.number(2, 0, 23)};
    scanner.literal(':');
    offset += std::chrono::minutes{scanner.number(2, 0, 59)};
    if (minus) offset = -offset;
  }
  const std::chrono::year_month_day date{year, month, day};
  if (!scanner.complete() || !date.ok()) return std::nullopt;
  return WallTime{std::chrono::sys_days{date}} + hour + minute + second + fraction - offset;
}

// Digits only; as many as any time until the year 9999 has.
std::optional<std::int64_t> parse_digits(std::string_view text, std::size_t width_max) noexcept {
  if (text.empty() || text.size() > width_max) return std::nullopt;
  std::int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

std::optional<WallTime> parse_stamp(Stamp stamp, std::string_view text) noexcept {
  if (stamp == Stamp::Rfc3339) return parse_rfc3339(text);
  if (stamp == Stamp::Seconds) {
    const auto value = parse_digits(text, 12);
    if (value) return WallTime{std::chrono::seconds{*value}};
  }
  if (stamp == Stamp::Millis) {
    const auto value = parse_digits(text, 15);
    if (value) return WallTime{milliseconds{*value}};
  }
  return std::nullopt;
}

std::string format_stamp(Stamp stamp, WallTime time) {
  if (stamp == Stamp::Seconds) return std::to_string(unix_seconds(time));
  if (stamp == Stamp::Millis) return std::to_string(unix_ms(time));
  if (stamp == Stamp::None) return {};
  std::string text;
  append_utc(time, text);
  return text;
}

}  // namespace eventrelay::providers
