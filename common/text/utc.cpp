#include "common/text/utc.hpp"

#include <chrono>

namespace eventrelay {

namespace {

void put(std::int64_t number, int digits, std::string& out) {
  const std::size_t begin = out.size();
  out.append(static_cast<std::size_t>(digits), '0');
  for (std::size_t at = out.size(); at > begin; number /= 10) {
    out[--at] = static_cast<char>('0' + number % 10);
  }
}

// Without the letter at the end.
void append_seconds(WallTime time, std::string& out) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const auto second = std::chrono::floor<std::chrono::seconds>(time - day).count();
  put(int{date.year()}, 4, out);
  out.push_back('-');
  put(unsigned{date.month()}, 2, out);
  out.push_back('-');
  put(unsigned{date.day()}, 2, out);
  out.push_back('T');
  put(second / 3600, 2, out);
  out.push_back(':');
  put(second / 60 % 60, 2, out);
  out.push_back(':');
  put(second % 60, 2, out);
}

}  // namespace

void append_utc(WallTime time, std::string& out) {
  append_seconds(time, out);
  out.push_back('Z');
}

void append_utc_ms(WallTime time, std::string& out) {
  append_seconds(time, out);
  out.push_back('.');
  put((time - std::chrono::floor<std::chrono::seconds>(time)).count(), 3, out);
  out.push_back('Z');
}

}  // namespace eventrelay
