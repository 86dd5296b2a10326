#include "common/http/request_guard.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>

#include "common/base/crypto.hpp"
#include "common/http/accept.hpp"

namespace eventrelay {

namespace {

constexpr std::string_view kBearer = "Bearer ";

// The host of `host[:port]`, an IPv6 address without its brackets; empty when malformed.
std::string_view host_of(std::string_view authority) noexcept {
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) return {};
    const std::string_view after = authority.substr(end + 1);
    return after.empty() || after.front() == ':' ? authority.substr(1, end - 1)
                                                 : std::string_view{};
  }
  return authority.substr(0, authority.find(':'));
}

bool is_address(std::string_view host) {
  boost::system::error_code error;
  (void)boost::asio::ip::make_address(std::string{host}, error);
  return !error;
}

bool is_listed(std::string_view host, const AccessPolicy& policy) {
  return std::any_of(policy.hosts.begin(), policy.hosts.end(),
                     [host](const std::string& name) { return same_name(name, host); });
}

bool is_ours(std::string_view host, const AccessPolicy& policy) {
  if (host.ends_with('.')) host.remove_suffix(1);
  return is_address(host) || same_name(host, "localhost") || is_listed(host, policy);
}

// Whether a page of `origin` was served by the listener itself, which `asked` names.
bool same_origin(std::string_view origin, std::string_view asked, const AccessPolicy& policy) {
  const std::size_t scheme_end = origin.find("://");
  if (scheme_end == std::string_view::npos) return false;  // "null" among others
  const std::string_view authority = origin.substr(scheme_end + 3);
  return same_name(authority, asked) || is_listed(host_of(authority), policy);
}

bool has_token(std::string_view authorization, const Secret& token) {
  if (authorization.size() < kBearer.size() ||
      !same_name(authorization.substr(0, kBearer.size()), kBearer)) {
    return false;
  }
  std::string_view given = authorization.substr(kBearer.size());
  given.remove_prefix(std::min(given.find_first_not_of(' '), given.size()));
  return crypto::equal_constant_time(given, token.reveal());
}

}  // namespace

bool is_safe(std::string_view method) noexcept {
  return method == "GET" || method == "HEAD" || method == "OPTIONS";
}

std::optional<HttpResponse> judge_origin(const HttpRequest& request, Http11 version,
                                         const AccessPolicy& policy) {
  const std::size_t hosts = request.header_count("Host");
  if (hosts > 1 || (hosts == 0 && version == Http11::Yes)) {
    return error_response(request, 400, "exactly one Host header is required");
  }
  const std::string_view host = request.header("Host");
  if (hosts == 1 && !is_ours(host_of(host), policy)) {
    return error_response(request, 403,
                          "Host is neither an address, nor localhost, nor in admin.hosts");
  }
  const std::size_t origins = request.header_count("Origin");
  if (origins > 1 || (origins == 1 && !same_origin(request.header("Origin"), host, policy))) {
    return error_response(request, 403, "Origin is another site");
  }
  return std::nullopt;
}

std::optional<HttpResponse> judge_access(const HttpRequest& request, Access access,
                                         const AccessPolicy& policy) {
  if (access == Access::Open) return std::nullopt;
  if (access == Access::Scrape && policy.open_scrape) return std::nullopt;
  if (!policy.token && !policy.loopback) {
    return error_response(
        request, 403, "closed: the listener is not on loopback and admin.token_file is not set");
  }
  if (access == Access::Own) return std::nullopt;
  if (policy.token) {
    if (request.header_count("Authorization") == 1 &&
        has_token(request.header("Authorization"), *policy.token)) {
      return std::nullopt;
    }
    HttpResponse response = error_response(request, 401, "bearer token missing or wrong");
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
    return response;
  }
  if (!is_safe(request.method) &&
      !same_name(media_type(request.header("Content-Type")), "application/json")) {
    return error_response(request, 415, "Content-Type: application/json is required");
  }
  return std::nullopt;
}

}  // namespace eventrelay
