// One HTTP exchange with a server that the operator configured: request out, whole answer in.
//
// Why:     the API of a provider is asked seldom, over TLS, and must never make its caller wait:
//          whatever it answers, or does not, the exchange ends in time and in bounded memory.
// Thread:  the loop it runs on.
// Bounds:  answer kExchangeAnswerMax, header section 16 KiB; `timeout` from the look-up of the
//          name to the last byte. Redirects are not followed.
// Errors:  ExchangeFailure with the library's words; they hold no part of request or answer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/expected.hpp"
#include "common/http/tls_stream.hpp"

namespace eventrelay {

inline constexpr std::size_t kExchangeAnswerMax = 1U << 20;

// A base URL of a provider, taken apart once.
struct HttpOrigin {
  bool tls = true;
  std::string host;  // no brackets
  std::string port;
  std::string authority;  // as in the Host header
  std::string path;       // without '/' at its end
};
// Throws std::invalid_argument with the reason.
[[nodiscard]] HttpOrigin parse_origin(std::string_view url);

struct ExchangeRequest {
  std::string method = "GET";
  std::string target;  // path and query
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

struct ExchangeAnswer {
  int status = 0;
  std::string content_type;
  std::string retry_after;
  std::string body;
};

enum class ExchangeError : std::uint8_t {
  Unreachable,  // the name, the connection, TLS, or the connection broke
  Timeout,
  Unreadable,  // not HTTP, or over a bound
};

struct ExchangeFailure {
  ExchangeError error = ExchangeError::Unreachable;
  std::string what;
};

using ExchangeResult = Expected<ExchangeAnswer, ExchangeFailure>;

// `tls` is used for an https origin. All parameters are kept by value for the coroutine's life.
[[nodiscard]] Task<ExchangeResult> exchange(Executor executor, HttpOrigin origin,
                                            std::shared_ptr<TlsContext> tls,
                                            ExchangeRequest request, Duration timeout);

}  // namespace eventrelay
