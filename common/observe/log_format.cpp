#include "common/observe/log_format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace eventrelay::log {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD in UTF-8
constexpr std::string_view kCut = "\xE2\x80\xA6";          // an ellipsis

std::string_view word(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return "debug";
    case LogLevel::Info:
      return "info";
    case LogLevel::Warn:
      return "warn";
    case LogLevel::Error:
      return "error";
  }
  return "";
}

// A decoded character: its code point and its bytes; `size` 0 = not UTF-8 here.
// Thread: value.  Bounds: none.
struct Character {
  std::uint32_t code = 0;
  std::size_t size = 0;
};

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
Character decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return {first, 1};
  std::size_t size = 0;
  std::uint32_t least = 0;
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

// Control characters of both sets, and the line ends of other programs.
bool hidden(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029;
}

void append_escaped(std::string& out, std::string_view text) {
  std::size_t used = 0;
  while (!text.empty()) {
    const Character next = decode(text);
    used += std::max<std::size_t>(next.size, 1);
    if (used > kValueMax) {
      out.append(kCut);
      return;
    }
    if (next.size == 0) {
      out.append(kReplacement);
    } else if (next.code == '"' || next.code == '\\') {
      out.append("\\").push_back(text.front());
    } else if (next.code == '\n') {
      out.append("\\n");
    } else if (next.code == '\t') {
      out.append("\\t");
    } else if (hidden(next.code)) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", next.code);
    } else {
      out.append(text.substr(0, next.size));
    }
    text.remove_prefix(std::max<std::size_t>(next.size, 1));
  }
}

void append_string(std::string& out, std::string_view text) {
  out.push_back('"');
  append_escaped(out, text);
  out.push_back('"');
}

void append_time(std::string& out, WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto day = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(seconds - day);
  fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
                 static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                 static_cast<unsigned>(date.day()), clock.hours().count(), clock.minutes().count(),
                 clock.seconds().count(), (time - seconds).count());
}

// Text that needs no quotes on a terminal.
bool bare(std::string_view text) {
  const auto good = [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7F &&
           c != '"' && c != '\\' && c != '=';
  };
  return !text.empty() && text.size() <= kValueMax && std::all_of(text.begin(), text.end(), good);
}

}  // namespace

std::string Field::real_text(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : "null";
}

std::string json_line(const Line& line) {
  std::string out = "{\"ts\":\"";
  append_time(out, line.time);
  out.append("\",\"level\":\"").append(word(line.level)).append("\",\"msg\":");
  append_string(out, line.message);
  out.append(",\"component\":");
  append_string(out, line.component);
  for (const Field& field : line.fields) {
    out.push_back(',');
    append_string(out, field.name);
    out.push_back(':');
    if (field.quoted) {
      append_string(out, field.text);
    } else {
      out.append(field.number);
    }
  }
  if (line.suppressed > 0)
    fmt::format_to(std::back_inserter(out), ",\"suppressed\":{}", line.suppressed);
  return out.append("}");
}

std::string text_line(const Line& line) {
  std::string out;
  append_time(out, line.time);
  fmt::format_to(std::back_inserter(out), " {:<5} ", word(line.level));
  append_escaped(out, line.component);
  out.append(": ");
  append_escaped(out, line.message);
  for (const Field& field : line.fields) {
    out.append(" ");
    append_escaped(out, field.name);
    out.append("=");
    if (!field.quoted) {
      out.append(field.number);
    } else if (bare(field.text)) {
      out.append(field.text);
    } else {
      append_string(out, field.text);
    }
  }
  if (line.suppressed > 0)
    fmt::format_to(std::back_inserter(out), " suppressed={}", line.suppressed);
  return out;
}

}  // namespace eventrelay::log
