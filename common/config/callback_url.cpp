#include "common/config/callback_url.hpp"

#include <algorithm>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>
#include <stdexcept>

#include "common/config/config_units.hpp"
#include "common/text/percent.hpp"

namespace eventrelay {
namespace {

namespace urls = boost::urls;
using config::is_digit;

[[noreturn]] void refuse(const std::string& reason) {
  throw std::invalid_argument(reason);
}

// getaddrinfo reads `0x7f.1`, `127.1` and `2130706433` as IPv4; a name must not look like one.
bool ends_in_number(std::string_view host) {
  const std::string_view last = host.substr(host.rfind('.') + 1);
  if (last.starts_with("0x")) {
    return std::all_of(last.begin() + 2, last.end(),
                       [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
  }
  return !last.empty() && std::all_of(last.begin(), last.end(), is_digit);
}

void check_label(std::string_view label) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
  };
  if (label.empty()) refuse("the host has an empty label");
  if (label.size() > 63) refuse("a label of the host is over 63 characters");
  if (!std::all_of(label.begin(), label.end(), allowed)) {
    refuse("the host must be letters, digits, '-' and '.'; give an international name as xn--");
  }
  if (label.front() == '-' || label.back() == '-') {
    refuse("a label of the host begins or ends with '-'");
  }
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string host_name(std::string_view encoded) {
  std::string host = lower(encoded);
  if (host.ends_with('.')) host.pop_back();
  if (host.empty()) refuse("the host is empty");
  if (host.size() > 253) refuse("the host is over 253 characters");
  for (std::string_view rest = host;;) {
    const std::size_t dot = rest.find('.');
    check_label(rest.substr(0, dot));
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  if (ends_in_number(host)) refuse("the host is a number but not an address a.b.c.d");
  return host;
}

// Boost 1.81 takes `10.0.0.1.nip.io` for the address 10.0.0.1 with something behind it. Read with
// this in front it is a name.
constexpr std::string_view kLetter = "x";

bool looks_like_an_address(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return false;
  const std::string_view host = url.substr(scheme + 3);
  return !host.empty() && is_digit(host.front()) &&
         !address_of(host.substr(0, host.find_first_of(":/?#")));
}

std::string read_host(const urls::url_view& url, bool lettered) {
  switch (url.host_type()) {
    case urls::host_type::ipv4:
      return std::string(url.encoded_host());
    case urls::host_type::ipv6: {
      const std::string host(url.encoded_host());
      return lower(host.substr(1, host.size() - 2));
    }
    case urls::host_type::name:
      return host_name(std::string(url.encoded_host()).substr(lettered ? kLetter.size() : 0));
    default:
      refuse("the host is missing or of an unknown kind");
  }
}

// `'{' at character 24; write it as %7B`, without the rest of the URL, which may hold a token.
[[noreturn]] void refuse_character(std::string_view text, std::size_t at, std::string_view what) {
  std::string reason = "holds ";
  if (!what.empty()) {
    reason.append(what);
  } else {
    reason.append("'").append(1, text[at]).append("'");
  }
  reason.append(" at character ").append(std::to_string(at + 1));
  reason.append(text[at] == '%' ? " without two hexadecimal digits behind it" : "");
  reason.append("; write it as ");
  append_percent_encoded(text[at], reason);
  refuse(reason);
}

// What RFC 3986 does not let stand in a URL, and where. Behind the host only: brackets belong
// around an IPv6 address, and what is wrong in a host is told as such.
void check_characters(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == ' ') refuse_character(text, at, "a space");
    if (c > 0x20 && c < 0x7f) continue;
    refuse_character(
        text, at,
        static_cast<unsigned char>(c) < 0x80 ? "a control character" : "a byte that is not ASCII");
  }
  const std::size_t scheme = text.find("://");
  if (scheme == std::string_view::npos) return;
  const std::size_t path = text.find_first_of("/?#", scheme + 3);
  const std::string_view host = text.substr(scheme + 3, path - scheme - 3);
  if (host.starts_with('[') && host.find('%') != std::string_view::npos) {
    refuse("a zone id (%) is not allowed");
  }
  for (std::size_t at = path; at < text.size(); ++at) {
    const char c = text[at];
    if (std::string_view("[]{}|^<>\"\\`").find(c) != std::string_view::npos) {
      refuse_character(text, at, {});
    }
    if (c == '%' && !percent_decoded(text.substr(at))) refuse_character(text, at, {});
  }
}

}  // namespace

std::optional<std::uint16_t> parse_port(std::string_view text) noexcept {
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc{} || rest != end || port == 0) return std::nullopt;
  return port;
}

void check_authority(std::string_view url, std::string_view host,
                     std::optional<std::string_view> port) {
  std::string_view written = url.substr(url.find("://") + 3);
  written = written.substr(0, written.find_first_of("/?#"));
  std::string read(host);
  if (port) read.append(":").append(*port);
  if (read != written) refuse("the host or the port is malformed");
  if (port && !parse_port(*port)) refuse("the port must be 1..65535");
}

CallbackUrl parse_callback_url(std::string_view text, bool allow_http) {
  if (text.empty()) refuse("is empty");
  if (text.size() > kUrlMax) refuse("is over " + std::to_string(kUrlMax) + " bytes");
  check_characters(text);
  if (text.find("=***") != std::string_view::npos || text.find("/***") != std::string_view::npos) {
    refuse("is masked (***); give the URL itself");
  }
  std::string readable(text);
  const bool lettered = looks_like_an_address(text);
  if (lettered) readable.insert(text.find("://") + 3, kLetter);
  const auto parsed = urls::parse_uri({readable.data(), readable.size()});
  if (!parsed) refuse("is not an absolute URL such as https://example.com/events");
  const urls::url_view& url = *parsed;
  const std::string scheme = lower(std::string(url.scheme()));
  if (scheme != "https" && scheme != "http") refuse("must begin with https://");
  if (scheme == "http" && !allow_http) {
    refuse("must begin with https:// (delivery.allow_http lets http pass)");
  }
  if (!url.has_authority()) refuse("has no host");
  if (url.has_userinfo()) refuse("must not hold a user name or password");
  if (url.has_fragment()) refuse("must not have a fragment (#)");

  const std::string port(url.port());
  check_authority(readable, std::string(url.encoded_host()),
                  url.has_port() ? std::optional<std::string_view>(port) : std::nullopt);

  CallbackUrl out;
  out.text = std::string(text);
  out.tls = scheme == "https";
  out.host = read_host(url, lettered);
  out.port = out.tls ? 443 : 80;
  // Boost's own number wraps at 65536.
  if (url.has_port()) out.port = parse_port(port).value_or(0);
  out.target = std::string(url.encoded_path());
  if (out.target.empty()) out.target = "/";
  if (url.has_query()) out.target.append("?").append(std::string(url.encoded_query()));
  return out;
}

EndpointGuard guard_of(const CallbackUrl& url, std::span<const std::uint16_t> extra, AnyPort any) {
  // A URL of plain HTTP was parsed, so it is allowed; https has no business at port 80.
  return EndpointGuard(GuardConfig{any == AnyPort::Yes, !url.tls, {extra.begin(), extra.end()}});
}

void check_callback_port(const CallbackUrl& url, std::span<const std::uint16_t> extra,
                         AnyPort any) {
  if (guard_of(url, extra, any).allows_port(url.port)) return;
  refuse("port " + std::to_string(url.port) + " is not 443, 8443 or in delivery.ports");
}

void check_destination(const CallbackUrl& url, std::span<const std::uint16_t> extra, AnyPort any) {
  check_callback_port(url, extra, any);
  if (guard_of(url, extra, any).allows_host(url.host)) return;
  refuse("the host is in " + std::string(judge_host(url.host).rule) +
         ", which only the operator may open");
}

}  // namespace eventrelay
