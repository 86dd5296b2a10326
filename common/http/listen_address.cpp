#include "common/http/listen_address.hpp"

#include <boost/asio/ip/address.hpp>
#include <charconv>
#include <cstdint>
#include <optional>

#include "common/base/start_error.hpp"

namespace eventrelay {

namespace {

std::optional<std::uint16_t> read_port(std::string_view text) noexcept {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return port;
}

// Host without brackets; nothing if brackets and colons do not fit together.
std::optional<std::string> read_host(std::string_view text) {
  if (text.empty()) return "0.0.0.0";
  if (text == "localhost") return "127.0.0.1";
  const bool bracketed = text.size() > 2 && text.front() == '[' && text.back() == ']';
  const bool has_colon = text.find(':') != std::string_view::npos;
  if (bracketed != has_colon) return std::nullopt;
  return std::string{bracketed ? text.substr(1, text.size() - 2) : text};
}

}  // namespace

Tcp::endpoint listen_endpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon != std::string_view::npos) {
    const auto host = read_host(text.substr(0, colon));
    const auto port = read_port(text.substr(colon + 1));
    ErrorCode error;
    const auto address = asio::ip::make_address(host.value_or(""), error);
    if (host && port && !error) return {address, *port};
  }
  throw StartError("listen address '" + std::string{text} +
                   "' is not usable; write HOST:PORT with an IP address or localhost, e.g. "
                   "127.0.0.1:8080 or [::1]:8080");
}

std::string print_endpoint(const Tcp::endpoint& endpoint) {
  const std::string host = endpoint.address().to_string();
  const std::string port = std::to_string(endpoint.port());
  return endpoint.address().is_v6() ? '[' + host + "]:" + port : host + ':' + port;
}

}  // namespace eventrelay
