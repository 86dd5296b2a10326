#include "ingest/routes.hpp"

#include <algorithm>
#include <cstdint>

namespace eventrelay::ingest {

namespace {

constexpr std::string_view kEvents = "/events/";
constexpr std::size_t kDecimalMax = 20;  // digits of 2^64 - 1
constexpr std::size_t kCodedMax = 28;    // the base64 of those, padded

constexpr bool is_element_char(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

// '=' may have been escaped on the way; nothing else in an id ever needs to be.
void drop_padding(std::string_view& text) noexcept {
  for (int pads = 0; pads < 2; ++pads) {
    if (text.ends_with('=')) {
      text.remove_suffix(1);
    } else if (text.ends_with("%3D") || text.ends_with("%3d")) {
      text.remove_suffix(3);
    }
  }
}

// Digits '0'..'9' are 0x30..0x39, so a coded id always begins with M, N or O: never a digit.
std::optional<InstanceId> parse_coded_id(std::string_view text) {
  const std::size_t before = text.size();
  drop_padding(text);
  const std::size_t tail = text.size() % 4;
  if (text.empty() || text.size() > kCodedMax || tail == 1) return std::nullopt;
  // Padded or not at all: one of two pad characters is neither.
  if (before != text.size()) {
    const std::size_t pads = tail == 0 ? 0 : 4 - tail;
    if (before - text.size() != pads && before - text.size() != pads * 3) return std::nullopt;
  }
  std::array<char, kCodedMax> digits{};
  std::size_t count = 0;
  std::uint32_t bits = 0;
  unsigned have = 0;
  for (const char c : text) {
    // The letters that digits are coded with, as values of the base64 alphabet.
    std::uint32_t value = 64;
    if (c >= 'A' && c <= 'Z') value = static_cast<std::uint32_t>(c - 'A');
    if (c >= 'a' && c <= 'z') value = static_cast<std::uint32_t>(c - 'a') + 26U;
    if (c >= '0' && c <= '9') value = static_cast<std::uint32_t>(c - '0') + 52U;
    if (value == 64) return std::nullopt;
    bits = bits << 6U | value;
    have += 6;
    if (have >= 8) {
      have -= 8;
      digits[count++] = static_cast<char>(bits >> have & 0xFFU);
    }
  }
  if ((bits & ((1U << have) - 1U)) != 0) return std::nullopt;  // bits that belong to no digit
  return parse_decimal_id({digits.data(), count});
}

}  // namespace

std::optional<InstanceId> parse_decimal_id(std::string_view text) noexcept {
  if (text.empty() || text.size() > kDecimalMax || text.front() == '0') return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (value > (UINT64_MAX - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return InstanceId{value};
}

Expected<EventPath, IngestError> parse_event_path(std::string_view target,
                                                  std::string_view base_path) {
  EventPath path;
  const std::size_t question = target.find('?');
  if (question != std::string_view::npos) {
    path.query = target.substr(question + 1);
    target = target.substr(0, question);
  }
  if (!target.starts_with(base_path)) return refuse(IngestError::UnknownPath);
  target.remove_prefix(base_path.size());
  if (!target.starts_with(kEvents)) return refuse(IngestError::UnknownPath);
  target.remove_prefix(kEvents.size());

  const std::size_t slash = target.find('/');
  path.element = target.substr(0, slash);
  if (path.element.empty() || path.element.size() > kElementMax ||
      !std::all_of(path.element.begin(), path.element.end(), is_element_char)) {
    return refuse(IngestError::UnknownPath);
  }
  if (slash == std::string_view::npos) return path;

  std::string_view id = target.substr(slash + 1);
  if (id.empty()) return path;  // the URL with one slash more is the same
  if (id.ends_with('/')) id.remove_suffix(1);
  if (id.empty() || id.find('/') != std::string_view::npos) {
    return refuse(IngestError::UnknownPath);
  }
  path.instance =
      id.front() >= '0' && id.front() <= '9' ? parse_decimal_id(id) : parse_coded_id(id);
  if (!path.instance) return refuse(IngestError::UnknownInstance);
  return path;
}

Expected<NamedInstances, IngestError> parse_named_instances(std::string_view value) {
  NamedInstances named;
  for (bool more = true; more;) {
    const std::size_t comma = value.find(',');
    std::string_view part = value.substr(0, comma);
    while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
    while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
    const std::optional<InstanceId> id = parse_decimal_id(part);
    const auto end = named.ids.begin() + static_cast<std::ptrdiff_t>(named.count);
    if (!id || named.count == kNamedInstancesMax || std::find(named.ids.begin(), end, *id) != end) {
      return refuse(IngestError::MalformedRequest);
    }
    named.ids[named.count++] = *id;
    more = comma != std::string_view::npos;
    if (more) value.remove_prefix(comma + 1);
  }
  return named;
}

}  // namespace eventrelay::ingest
