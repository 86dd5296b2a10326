// One request head as the gate left it: views into the connection's buffer, judged and counted.
//
// Thread:  shard-local; valid until the buffer of its connection is consumed.
// Bounds:  kHeadFieldsMax fields; no allocation.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace eventrelay {

inline constexpr std::size_t kHeadFieldsMax = 64;

enum class Method : std::uint8_t { Get, Head, Post, Options, Other };

// As it stands in a request; empty for Other.
[[nodiscard]] constexpr std::string_view method_word(Method method) noexcept {
  switch (method) {
    case Method::Get:
      return "GET";
    case Method::Head:
      return "HEAD";
    case Method::Post:
      return "POST";
    case Method::Options:
      return "OPTIONS";
    case Method::Other:
      break;
  }
  return "";
}

// One header field, as received.
struct HeadField {
  std::string_view name;   // case as received
  std::string_view value;  // without surrounding white space
};

// What policies may know of a request before its body.
struct IncomingHead {
  Method method = Method::Other;
  std::string_view target;
  std::string_view content_type;
  std::size_t content_length = 0;
  bool chunked = false;  // Transfer-Encoding: chunked, where allowed
  bool keep_alive = true;
  bool expect_continue = false;  // Expect: 100-continue
  std::array<HeadField, kHeadFieldsMax> fields;
  std::size_t field_count = 0;

  // First value of the field, names compared without case; empty view with null data if absent.
  [[nodiscard]] std::string_view find(std::string_view name) const noexcept;
  // How often the field occurs.
  [[nodiscard]] std::size_t count(std::string_view name) const noexcept;
  // Appends a field; false when there is no room left.
  bool add(std::string_view name, std::string_view value) noexcept;
};

// Do two ASCII texts agree but for the case of letters?
[[nodiscard]] bool same_letters(const char* a, const char* b, std::size_t size) noexcept;
[[nodiscard]] inline bool equal_without_case(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && same_letters(a.data(), b.data(), a.size());
}

}  // namespace eventrelay
