#include "common/text/json_mask.hpp"

#include <charconv>
#include <cstddef>

namespace eventrelay {

namespace {

constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::string_view kHidden = "\"***\"";

// The end of the string that begins at `at`, behind its closing quote.
std::size_t end_of_string(std::string_view json, std::size_t at) noexcept {
  for (std::size_t i = at + 1; i < json.size(); ++i) {
    if (json[i] == '"') return i + 1;
    if (json[i] == '\\') ++i;
  }
  return json.size();
}

// Takes one character off the front of what stands within quotes. Nothing but ASCII is told apart:
// 0 for all else that is escaped.
char take(std::string_view& text) noexcept {
  char c = text.front();
  text.remove_prefix(1);
  if (c != '\\' || text.empty()) return c;
  c = text.front();
  text.remove_prefix(1);
  if (c != 'u') return c == '"' || c == '\\' || c == '/' ? c : '\0';
  const std::string_view digits = text.substr(0, 4);
  text.remove_prefix(digits.size());
  unsigned code = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
  const bool whole = digits.size() == 4 && read.ptr == digits.data() + digits.size();
  return whole && code < 0x80 ? static_cast<char>(code) : '\0';
}

bool is_named(std::string_view text, std::string_view name) noexcept {
  while (!text.empty() && !name.empty()) {
    if (take(text) != name.front()) return false;
    name.remove_prefix(1);
  }
  return text.empty() && name.empty();
}

}  // namespace

void append_json_masked(std::string& out, std::string_view json, std::string_view name) {
  std::size_t kept = 0;  // up to here it is in `out`
  for (std::size_t at = json.find('"'); at < json.size(); at = json.find('"', at)) {
    const std::size_t end = end_of_string(json, at);
    const std::size_t colon = json.find_first_not_of(kBlanks, end);
    if (colon == std::string_view::npos) break;
    const bool named = json[colon] == ':' && is_named(json.substr(at + 1, end - at - 2), name);
    const std::size_t value = named ? json.find_first_not_of(kBlanks, colon + 1) : json.size();
    at = end;
    if (value >= json.size() || json[value] != '"') continue;
    out.append(json.substr(kept, value - kept)).append(kHidden);
    kept = at = end_of_string(json, value);
  }
  out.append(json.substr(kept));
}

}  // namespace eventrelay
