#include "common/http/accept.hpp"

#include <algorithm>

#include "common/http/message.hpp"

namespace eventrelay {

namespace {

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Takes the text before the next `separator` out of `rest`.
std::string_view take(std::string_view& rest, char separator) noexcept {
  const std::string_view part = rest.substr(0, rest.find(separator));
  rest.remove_prefix(std::min(rest.size(), part.size() + 1));
  return trimmed(part);
}

// 0 as it may be written: 0, 0., 0.0, 0.00, 0.000
bool is_zero(std::string_view quality) noexcept {
  return quality.starts_with('0') && quality.find_first_not_of("0.") == std::string_view::npos;
}

// How closely `range` names `type`: 0 not at all, 1 as */*, 2 as application/*, 3 exactly.
int closeness(std::string_view range, std::string_view type) noexcept {
  if (range == "*/*" || range == "*") return 1;
  if (same_name(range, type)) return 3;
  const std::string_view family = type.substr(0, type.find('/') + 1);
  return range.size() == family.size() + 1 && range.ends_with('*') &&
                 same_name(range.substr(0, family.size()), family)
             ? 2
             : 0;
}

}  // namespace

std::string_view media_type(std::string_view header) noexcept {
  return trimmed(header.substr(0, header.find(';')));
}

bool accepts(std::string_view accept, std::string_view type) noexcept {
  if (trimmed(accept).empty()) return true;
  int closest = 0;
  bool taken = false;
  while (!accept.empty()) {
    std::string_view item = take(accept, ',');
    const int close = closeness(take(item, ';'), type);
    if (close <= closest) continue;
    closest = close;
    taken = true;
    while (!item.empty()) {
      const std::string_view parameter = take(item, ';');
      if (parameter.size() > 2 && same_name(parameter.substr(0, 2), "q=")) {
        taken = !is_zero(parameter.substr(2));
      }
    }
  }
  return taken;
}

}  // namespace eventrelay
