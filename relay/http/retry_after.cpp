// Reads Retry-After: seconds, or a date in one of the three forms of RFC 9110.
#include <algorithm>
#include <array>
#include <charconv>

#include "relay/http/delivery.hpp"

namespace eventrelay::relay {

namespace {

using std::chrono::seconds;

constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 7> kLongDays{"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                    "Thursday", "Friday", "Saturday"};

// Takes fixed parts off the front of a text; once something does not fit it stays failed.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  void expect(std::string_view literal) {
    if (!text_.starts_with(literal)) {
      failed_ = true;
      return;
    }
    text_.remove_prefix(literal.size());
  }

  // Exactly `width` digits; one leading space instead of a digit with `Pad::Space`.
  enum class Pad : std::uint8_t { Zero, Space };
  int number(std::size_t width, Pad pad = Pad::Zero) {
    if (text_.size() < width) failed_ = true;
    if (failed_) return 0;
    int value = 0;
    for (std::size_t i = 0; i < width; ++i) {
      const char c = text_[i];
      if (c >= '0' && c <= '9') {
        value = value * 10 + (c - '0');
      } else if (!(c == ' ' && i == 0 && pad == Pad::Space)) {
        failed_ = true;
      }
    }
    text_.remove_prefix(width);
    return value;
  }

  template <std::size_t N>
  unsigned word(const std::array<std::string_view, N>& words) {
    const auto found = std::find_if(words.begin(), words.end(), [this](std::string_view word) {
      return text_.starts_with(word);
    });
    if (found == words.end()) {
      failed_ = true;
      return 0;
    }
    text_.remove_prefix(found->size());
    return static_cast<unsigned>(found - words.begin());
  }

  [[nodiscard]] bool ended() const { return !failed_ && text_.empty(); }

 private:
  std::string_view text_;
  bool failed_ = false;
};

struct Civil {
  int year = 0;
  unsigned month = 0;  // 0 = January
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
};

void take_clock(Cursor& cursor, Civil& civil) {
  civil.hour = cursor.number(2);
  cursor.expect(":");
  civil.minute = cursor.number(2);
  cursor.expect(":");
  civil.second = cursor.number(2);
}

std::optional<std::chrono::sys_seconds> time_of(const Civil& civil) {
  const std::chrono::year_month_day date{std::chrono::year{civil.year},
                                         std::chrono::month{civil.month + 1},
                                         std::chrono::day{static_cast<unsigned>(civil.day)}};
  // Second 60 is a leap second, which RFC 9110 allows to be sent.
  if (!date.ok() || civil.hour > 23 || civil.minute > 59 || civil.second > 60) return std::nullopt;
  return std::chrono::sys_days{date} + std::chrono::hours{civil.hour} +
         std::chrono::minutes{civil.minute} + seconds{civil.second};
}

// Sun, 06 Nov 1994 08:49:37 GMT
std::optional<std::chrono::sys_seconds> imf_fixdate(std::string_view text) {
  Cursor cursor(text);
  Civil civil;
  cursor.word(kDays);
  cursor.expect(", ");
  civil.day = cursor.number(2);
  cursor.expect(" ");
  civil.month = cursor.word(kMonths);
  cursor.expect(" ");
  civil.year = cursor.number(4);
  cursor.expect(" ");
  take_clock(cursor, civil);
  cursor.expect(" GMT");
  return cursor.ended() ? time_of(civil) : std::nullopt;
}

// Sunday, 06-Nov-94 08:49:37 GMT; a year over 50 years ahead is one of the last century.
std::optional<std::chrono::sys_seconds> rfc850_date(std::string_view text, int this_year) {
  Cursor cursor(text);
  Civil civil;
  cursor.word(kLongDays);
  cursor.expect(", ");
  civil.day = cursor.number(2);
  cursor.expect("-");
  civil.month = cursor.word(kMonths);
  cursor.expect("-");
  civil.year = this_year / 100 * 100 + cursor.number(2);
  if (civil.year > this_year + 50) civil.year -= 100;
  cursor.expect(" ");
  take_clock(cursor, civil);
  cursor.expect(" GMT");
  return cursor.ended() ? time_of(civil) : std::nullopt;
}

// Sun Nov  6 08:49:37 1994
std::optional<std::chrono::sys_seconds> asctime_date(std::string_view text) {
  Cursor cursor(text);
  Civil civil;
  cursor.word(kDays);
  cursor.expect(" ");
  civil.month = cursor.word(kMonths);
  cursor.expect(" ");
  civil.day = cursor.number(2, Cursor::Pad::Space);
  cursor.expect(" ");
  take_clock(cursor, civil);
  cursor.expect(" ");
  civil.year = cursor.number(4);
  return cursor.ended() ? time_of(civil) : std::nullopt;
}

}  // namespace

std::optional<seconds> parse_retry_after(std::string_view value, WallTime now,
                                         seconds max) noexcept {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!value.empty() && is_blank(value.front())) value.remove_prefix(1);
  while (!value.empty() && is_blank(value.back())) value.remove_suffix(1);
  if (value.empty()) return std::nullopt;
  if (value.find_first_not_of("0123456789") == std::string_view::npos) {
    std::int64_t asked = 0;
    const auto parsed = std::from_chars(value.data(), value.data() + value.size(), asked);
    // More digits than a number holds is a very long wait, not garbage.
    if (parsed.ec == std::errc::result_out_of_range) return max;
    return std::min(seconds{asked}, max);
  }
  const auto today = std::chrono::floor<std::chrono::days>(now);
  const int this_year = int{std::chrono::year_month_day{today}.year()};
  auto due = imf_fixdate(value);
  if (!due) due = rfc850_date(value, this_year);
  if (!due) due = asctime_date(value);
  if (!due) return std::nullopt;
  return std::clamp(std::chrono::ceil<seconds>(*due - now), seconds{0}, max);
}

}  // namespace eventrelay::relay
