#include "common/config/config_rules.hpp"

#include <algorithm>
#include <array>

#include "common/config/config_schema.hpp"
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

bool control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

bool one_of(char c, std::string_view set) {
  return set.find(c) != std::string_view::npos;
}

}  // namespace

std::string topic_problem(std::string_view text) {
  const auto good = [](char c) { return letter(c) || is_digit(c) || one_of(c, "._-"); };
  if (std::all_of(text.begin(), text.end(), good)) return {};
  return "may hold letters, digits and . _ - only";
}

std::string listen_problem(std::string_view text) {
  // Sockets of IPv6 take no clients of IPv4.
  if (ascii_lower(text).starts_with("[::ffff:"))
    return "is an address of IPv4; write it as a.b.c.d";
  if (parse_listen(text)) return {};
  return "is not an address such as 127.0.0.1:8080 or [::1]:8080";
}

std::string path_problem(std::string_view text) {
  const auto good = [](char c) { return letter(c) || is_digit(c) || one_of(c, "-._~/"); };
  if (text.size() < 2 || text.front() != '/') return "must begin with / and name a path";
  if (text.back() == '/') return "must not end with /";
  if (text.find("//") != std::string_view::npos) return "must not hold //";
  if (std::all_of(text.begin(), text.end(), good)) return {};
  return "may hold letters, digits and - . _ ~ / only";
}

std::string name_problem(std::string_view text) {
  const auto good = [](char c) { return (letter(c) && c >= 'a') || is_digit(c) || c == '-'; };
  if (!text.empty() && std::all_of(text.begin(), text.end(), good)) return {};
  return "may hold lower-case letters, digits and - only";
}

std::string plain_problem(std::string_view text) {
  if (std::none_of(text.begin(), text.end(), control)) return {};
  return "must not hold control characters";
}

std::string header_name_problem(std::string_view name) {
  const auto token = [](char c) {
    return letter(c) || is_digit(c) || one_of(c, "!#$%&'*+-.^_`|~");
  };
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

std::string file_problem(std::string_view text) {
  if (text.find("-----BEGIN") == std::string_view::npos) return plain_problem(text);
  return "is what a file holds; write it to one and give its path";
}

namespace {

bool names_a_user(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return false;
  const std::string_view behind = url.substr(scheme + 3);
  return behind.substr(0, behind.find_first_of("/?#")).find('@') != std::string_view::npos;
}

}  // namespace

bool may_be_secret(std::string_view text) {
  constexpr std::array<std::string_view, 9> kPrefixes{"whsec_",      "whsk_", "sk_", "sk-", "ghp_",
                                                      "github_pat_", "xox",   "eyJ", "AKIA"};
  if (text.find("-----BEGIN") != std::string_view::npos || names_a_user(text)) return true;
  const auto begins = [text](std::string_view prefix) { return text.starts_with(prefix); };
  if (std::any_of(kPrefixes.begin(), kPrefixes.end(), begins)) return true;
  if (text.size() < 16) return false;
  bool letters = false;
  bool digits = false;
  for (const char c : text) {
    if (!is_digit(c) && !letter(c) && !one_of(c, "+/=_-")) return false;
    digits = digits || is_digit(c);
    letters = letters || letter(c);
  }
  return letters && digits;
}

std::string masked_url(std::string_view url) {
  constexpr std::array<std::string_view, 5> kNames{"key", "sig", "code", "auth", "pass"};
  const auto is_token_name = [&kNames](std::string_view name) {
    const std::string lower = ascii_lower(name);
    return looks_secret(lower) ||
           std::any_of(kNames.begin(), kNames.end(), [&lower](std::string_view each) {
             return lower.find(each) != std::string::npos;
           });
  };
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return std::string(url);
  std::size_t at = url.find_first_of("/?", scheme + 3);
  std::string out(url.substr(0, at));
  while (at < url.size()) {
    const char separator = url[at];
    const std::size_t end = std::min(url.find_first_of("/?&", at + 1), url.size());
    const std::string_view part = url.substr(at + 1, end - at - 1);
    const std::size_t equals = separator == '/' ? std::string_view::npos : part.find('=');
    out.push_back(separator);
    if (equals == std::string_view::npos) {
      out.append(may_be_secret(part) ? kMask : part);
    } else {
      const std::string_view value = part.substr(equals + 1);
      const bool masked = is_token_name(part.substr(0, equals)) || may_be_secret(value);
      out.append(part.substr(0, equals + 1)).append(masked ? kMask : value);
    }
    at = end;
  }
  return out;
}

}  // namespace eventrelay::config
