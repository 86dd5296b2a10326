#include "common/text/json_text.hpp"

#include <array>
#include <charconv>
#include <cmath>

#include "common/base/hex.hpp"
#include "common/base/printable.hpp"
#include "common/text/utf8.hpp"

namespace eventrelay {

namespace {

void append_escape(std::string& out, char c) {
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
  out += kHexDigits[code >> 4U];
  out += kHexDigits[code & 0x0FU];
}

// One table look-up per byte of the common case: ASCII that needs no escape.
constexpr std::array<bool, 256> plain_bytes() {
  std::array<bool, 256> plain{};
  for (std::size_t c = 0x20; c < 0x7F; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}
constexpr auto kPlain = plain_bytes();

}  // namespace

void append_json_escaped(std::string_view text, std::string& out) {
  if (is_printable<'"', '\\'>(text)) {
    out.append(text);
    return;
  }
  while (!text.empty()) {
    std::size_t plain = 0;
    while (plain < text.size() && kPlain[static_cast<unsigned char>(text[plain])]) ++plain;
    out.append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) return;
    const char c = text.front();
    std::size_t length = 1;
    if (static_cast<unsigned char>(c) < 0x80) {
      append_escape(out, c);
    } else if (const std::size_t character = first_character(text).size; character != 0) {
      out.append(text.substr(0, character));
      length = character;
    } else {
      out.append(kReplacementCharacter);
    }
    text.remove_prefix(length);
  }
}

void append_json_string(std::string& out, std::string_view text) {
  out.push_back('"');
  append_json_escaped(text, out);
  out.push_back('"');
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
