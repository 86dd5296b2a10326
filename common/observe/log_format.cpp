#include "common/observe/log_format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "common/text/utc.hpp"
#include "common/text/utf8.hpp"

namespace eventrelay::log {
namespace {

constexpr std::string_view kCut = "\xE2\x80\xA6";  // an ellipsis

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

// Control characters of both sets, and the line ends of other programs.
bool hidden(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029;
}

void append_escaped(std::string& out, std::string_view text) {
  std::size_t used = 0;
  while (!text.empty()) {
    const Character next = first_character(text);
    used += std::max<std::size_t>(next.size, 1);
    if (used > kValueMax) {
      out.append(kCut);
      return;
    }
    if (next.size == 0) {
      out.append(kReplacementCharacter);
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
  append_utc_ms(line.time, out);
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
  append_utc_ms(line.time, out);
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
