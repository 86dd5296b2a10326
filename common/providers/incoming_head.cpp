#include "common/providers/incoming_head.hpp"

namespace eventrelay {

namespace {

constexpr unsigned char lower(char c) noexcept {
  const auto u = static_cast<unsigned char>(c);
  return u >= 'A' && u <= 'Z' ? static_cast<unsigned char>(u | 0x20U) : u;
}

}  // namespace

bool same_letters(const char* a, const char* b, std::size_t size) noexcept {
  for (std::size_t i = 0; i < size; ++i) {
    if (a[i] != b[i] && lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::string_view IncomingHead::find(std::string_view name) const noexcept {
  for (std::size_t i = 0; i < field_count; ++i) {
    if (equal_without_case(fields[i].name, name)) {
      // A field that is there must not look like one that is not.
      return fields[i].value.data() != nullptr ? fields[i].value : std::string_view{""};
    }
  }
  return {};
}

std::size_t IncomingHead::count(std::string_view name) const noexcept {
  std::size_t found = 0;
  for (std::size_t i = 0; i < field_count; ++i) {
    if (equal_without_case(fields[i].name, name)) ++found;
  }
  return found;
}

bool IncomingHead::add(std::string_view name, std::string_view value) noexcept {
  if (field_count == kHeadFieldsMax) return false;
  fields[field_count++] = HeadField{name, value};
  return true;
}

}  // namespace eventrelay
