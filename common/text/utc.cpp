#include "common/text/utc.hpp"

#include <chrono>

namespace eventrelay {

namespace {

void put(char* out, std::int64_t number, int digits) noexcept {
  for (char* at = out + digits; at != out; number /= 10)
    *--at = static_cast<char>('0' + number % 10);
}

}  // namespace

void write_utc(WallTime time, std::array<char, kUtcSize>& out) noexcept {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const auto second = std::chrono::floor<std::chrono::seconds>(time - day).count();
  out = {'0', '0', '0', '0', '-', '0', '0', '-', '0', '0',
         'T', '0', '0', ':', '0', '0', ':', '0', '0', 'Z'};
  put(&out[0], int{date.year()}, 4);
  put(&out[5], unsigned{date.month()}, 2);
  put(&out[8], unsigned{date.day()}, 2);
  put(&out[11], second / 3600, 2);
  put(&out[14], second / 60 % 60, 2);
  put(&out[17], second % 60, 2);
}

void append_utc(WallTime time, std::string& out) {
  std::array<char, kUtcSize> text;
  write_utc(time, text);
  out.append(text.data(), text.size());
}

void append_utc_ms(WallTime time, std::string& out) {
  append_utc(time, out);
  const auto ms = (time - std::chrono::floor<std::chrono::seconds>(time)).count();
  std::array<char, 5> text{'.', '0', '0', '0', 'Z'};
  put(&text[1], ms, 3);
  out.pop_back();
  out.append(text.data(), text.size());
}

}  // namespace eventrelay
