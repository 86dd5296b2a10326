#include "common/config/config_rules.hpp"

#include <algorithm>
#include <array>

#include "common/config/config_units.hpp"

namespace eventrelay::config {
namespace {

// Set by the relay or of one connection only (RFC 9110 7.6.1), sorted.
constexpr std::array<std::string_view, 25> kReserved{"connection",
                                                     "content-encoding",
                                                     "content-length",
                                                     "content-type",
                                                     "elements-webhook-id",
                                                     "elements-webhook-signature",
                                                     "eventrelay-attempt",
                                                     "expect",
                                                     "host",
                                                     "http2-settings",
                                                     "keep-alive",
                                                     "proxy-authenticate",
                                                     "proxy-authorization",
                                                     "proxy-connection",
                                                     "te",
                                                     "traceparent",
                                                     "tracestate",
                                                     "trailer",
                                                     "trailers",
                                                     "transfer-encoding",
                                                     "upgrade",
                                                     "user-agent",
                                                     "webhook-id",
                                                     "webhook-signature",
                                                     "webhook-timestamp"};

bool letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool digit(char c) {
  return c >= '0' && c <= '9';
}

bool control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

bool one_of(char c, std::string_view set) {
  return set.find(c) != std::string_view::npos;
}

}  // namespace

std::string topic_problem(std::string_view text) {
  const auto good = [](char c) { return letter(c) || digit(c) || one_of(c, "._-"); };
  if (std::all_of(text.begin(), text.end(), good)) return {};
  return "may hold letters, digits and . _ - only";
}

std::string listen_problem(std::string_view text) {
  if (parse_listen(text)) return {};
  return "is not an address such as 127.0.0.1:8080 or [::1]:8080";
}

std::string path_problem(std::string_view text) {
  const auto good = [](char c) { return letter(c) || digit(c) || one_of(c, "-._~/"); };
  if (text.size() < 2 || text.front() != '/') return "must begin with / and name a path";
  if (text.back() == '/') return "must not end with /";
  if (text.find("//") != std::string_view::npos) return "must not hold //";
  if (std::all_of(text.begin(), text.end(), good)) return {};
  return "may hold letters, digits and - . _ ~ / only";
}

std::string name_problem(std::string_view text) {
  const auto good = [](char c) { return (letter(c) && c >= 'a') || digit(c) || c == '-'; };
  if (!text.empty() && std::all_of(text.begin(), text.end(), good)) return {};
  return "may hold lower-case letters, digits and - only";
}

std::string plain_problem(std::string_view text) {
  if (std::none_of(text.begin(), text.end(), control)) return {};
  return "must not hold control characters";
}

std::string header_name_problem(std::string_view name) {
  const auto token = [](char c) { return letter(c) || digit(c) || one_of(c, "!#$%&'*+-.^_`|~"); };
  if (name.empty() || !std::all_of(name.begin(), name.end(), token)) {
    return "is not a header name";
  }
  const std::string lower = ascii_lower(name);
  if (std::binary_search(kReserved.begin(), kReserved.end(), lower)) {
    return "is a header the relay sets itself or that belongs to one connection";
  }
  return {};
}

std::string header_value_problem(std::string_view value) {
  const auto good = [](char c) { return (c >= 0x20 && c < 0x7f) || c == '\t'; };
  if (!std::all_of(value.begin(), value.end(), good)) {
    return "the value may hold visible ASCII, spaces and tabs only";
  }
  if (!value.empty() && (one_of(value.front(), " \t") || one_of(value.back(), " \t"))) {
    return "the value must not begin or end with white space";
  }
  return {};
}

}  // namespace eventrelay::config
