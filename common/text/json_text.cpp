#include "common/text/json_text.hpp"

#include <array>
#include <charconv>
#include <cmath>

#include "common/text/utf8.hpp"

namespace eventrelay {

namespace {

void append_escape(std::string& out, char c) {
  constexpr std::string_view kHex = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  const auto code = static_cast<unsigned char>(c);
  out += "\\u00";
  out += kHex[code >> 4U];
  out += kHex[code & 0x0FU];
}

bool is_plain(char c) noexcept {
  const auto code = static_cast<unsigned char>(c);
  return code >= 0x20 && code < 0x7F && c != '"' && c != '\\';
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t i = 0; i < text.size();) {
    std::size_t plain = i;
    while (plain < text.size() && is_plain(text[plain])) ++plain;
    out.append(text, i, plain - i);
    i = plain;
    if (i == text.size()) break;
    if (static_cast<unsigned char>(text[i]) < 0x80U) {
      append_escape(out, text[i++]);
      continue;
    }
    const std::size_t length = first_character(text.substr(i)).size;
    out += length == 0 ? kReplacementCharacter : text.substr(i, length);
    i += length == 0 ? 1 : length;
  }
  out += '"';
}

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

JsonObject& JsonObject::text(std::string_view name, std::string_view value) {
  return raw(name, json_string(value));
}
JsonObject& JsonObject::number(std::string_view name, std::int64_t value) {
  return raw(name, std::to_string(value));
}
JsonObject& JsonObject::number(std::string_view name, std::uint64_t value) {
  return raw(name, std::to_string(value));
}
JsonObject& JsonObject::number(std::string_view name, double value) {
  if (!std::isfinite(value)) return raw(name, "null");
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  return raw(name, {digits.data(), static_cast<std::size_t>(end - digits.data())});
}
JsonObject& JsonObject::flag(std::string_view name, bool value) {
  return raw(name, value ? "true" : "false");
}
JsonObject& JsonObject::raw(std::string_view name, std::string_view json) {
  if (out_.size() > 1) out_ += ',';
  append_json_string(out_, name);
  out_ += ':';
  out_ += json;
  return *this;
}
std::string JsonObject::finish() && {
  out_ += '}';
  return std::move(out_);
}

}  // namespace eventrelay
