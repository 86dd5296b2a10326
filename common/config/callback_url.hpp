// A subscriber's URL, taken apart once and strictly; the only door to Boost.URL.
//
// Why:     a URL that two parsers read differently can lead a request to an inside address.
// Thread:  any.  Bounds: kUrlMax bytes.
// Errors:  std::invalid_argument with the reason; the URL is not part of it, it may hold a token.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/config/endpoint_guard.hpp"

namespace eventrelay {

inline constexpr std::size_t kUrlMax = 2048;

// A callback URL, taken apart once. Bounds: 2048 bytes in all.
struct CallbackUrl {
  std::string text;  // as configured
  bool tls = true;   // https
  std::string host;  // ASCII lower case, no brackets, no trailing dot
  std::uint16_t port = 443;
  std::string target;  // path and query, starts with '/'
};

// Absolute, https (http only if `allow_http`), a host, no userinfo, no fragment, printable ASCII.
// Throws std::invalid_argument.
[[nodiscard]] CallbackUrl parse_callback_url(std::string_view text, bool allow_http);

// Digits alone, 1..65535; nothing otherwise.
[[nodiscard]] std::optional<std::uint16_t> parse_port(std::string_view text) noexcept;
// Throws std::invalid_argument unless `host` and `port`, as Boost has read them, are what stands in
// `url`, and the port is 1..65535: Boost 1.81 takes `1.2.3.4.5` for the host 1.2.3.4, `:80a` for
// port 80 and `:-1` for none.
void check_authority(std::string_view url, std::string_view host,
                     std::optional<std::string_view> port);

// Yes: private addresses are allowed, and with them every port.
enum class AnyPort : bool { No, Yes };

// What the guard of a delivery to `url` is made of. `extra`: delivery.ports.
[[nodiscard]] EndpointGuard guard_of(const CallbackUrl& url, std::span<const std::uint16_t> extra,
                                     AnyPort any);

// 443, 8443, 80 for http, or one of `extra`. Throws std::invalid_argument.
void check_callback_port(const CallbackUrl& url, std::span<const std::uint16_t> extra, AnyPort any);

// The port as above, and a host that is no address of a network which only the operator may open.
// A name passes; what it leads to is judged by the same guard when it is dialled. Throws
// std::invalid_argument.
void check_destination(const CallbackUrl& url, std::span<const std::uint16_t> extra, AnyPort any);

}  // namespace eventrelay
