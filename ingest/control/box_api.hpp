// What is asked of Box and what its answers mean; requests and answers as values.
//
// Why:     every decision about Box's API is made here, without a socket.
// Thread:  any; pure.
// Bounds:  as the exchange: answers of 1 MiB.
// Errors:  Problem by the answer table of the control API.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "common/config/config.hpp"
#include "common/http/exchange.hpp"
#include "common/registry/document.hpp"
#include "ingest/control/problem.hpp"

namespace eventrelay::control::box {

// How soon before its end an access token is replaced, and how late at the latest a pair is: a
// refresh token of Box is good for 60 days.
inline constexpr std::chrono::minutes kRefreshAhead{5};
inline constexpr std::chrono::hours kRefreshAtLatest{24 * 30};

// The app an instance was made with.
struct App {
  std::string client_id;
  std::string client_secret;
};
[[nodiscard]] App app_of(const InstanceConfig& instance);

// The URL that sends a user to Box.
[[nodiscard]] std::string oauth_url(const BoxProviderConfig& config, std::string_view client_id,
                                    std::string_view redirect_uri, std::string_view state,
                                    std::string_view scope);

[[nodiscard]] ExchangeRequest code_request(const HttpOrigin& token_url, const App& app,
                                           std::string_view code);
[[nodiscard]] ExchangeRequest refresh_request(const HttpOrigin& token_url, const App& app,
                                              std::string_view refresh_token);
[[nodiscard]] ExchangeRequest revoke_request(const HttpOrigin& revoke_url, const App& app,
                                             std::string_view token);
// A call of the API; `path` begins with '/'.
[[nodiscard]] ExchangeRequest api_request(const HttpOrigin& api_url, std::string method,
                                          std::string_view path, std::string body,
                                          std::string_view access_token);

// The pair of a token endpoint's answer. A 400 is our 400 with Box's words; `refused` of a refresh
// means that the grant is gone (invalid_grant).
[[nodiscard]] Result<OAuthTokens> tokens_of(const ExchangeResult& result, WallTime now);
[[nodiscard]] bool grant_is_gone(const ExchangeResult& result);

// The JSON of a 2xx answer; an empty one is null. Anything else is a Problem by the table.
[[nodiscard]] Result<boost::json::value> answer_of(const ExchangeResult& result);
// Does the answer say that the access token is not good any more?
[[nodiscard]] bool unauthorized(const ExchangeResult& result);

// `{"target":{"id","type"},"triggers":[..][,"address"]}` of POST, or the members given of PUT.
enum class Members : bool { All, Given };
[[nodiscard]] Result<boost::json::object> webhook_request(const boost::json::object& body,
                                                          Members members,
                                                          std::string_view address);
// What is kept of a webhook that Box answered.
[[nodiscard]] std::optional<Webhook> webhook_of(const boost::json::value& answer);
// 1..20 digits.
[[nodiscard]] bool is_webhook_id(std::string_view text) noexcept;

// application/x-www-form-urlencoded, or a part of a URL's query.
[[nodiscard]] std::string percent_encoded(std::string_view text);

// Requests of one Box user: at most so many in a minute, and none while Box wants a pause.
// Thread: one owner.  Bounds: fixed size.
class Quota {
 public:
  static constexpr double kPerMinute = 900;

  // Nothing: go on; else the seconds to wait.
  [[nodiscard]] std::optional<unsigned> take(TimePoint now);
  // What Box's answer asks for: the Retry-After of a 429 or 503.
  void heed(const ExchangeResult& answer, TimePoint now);

 private:
  double tokens_ = kPerMinute;
  TimePoint last_{};
  TimePoint held_until_{};
};

}  // namespace eventrelay::control::box
