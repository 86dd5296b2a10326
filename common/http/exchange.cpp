#include "common/http/exchange.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <optional>
#include <stdexcept>

#include "common/config/callback_url.hpp"
#include "common/http/client_tls.hpp"

namespace eventrelay {
namespace {

namespace http = boost::beast::http;
using Resolver = asio::ip::basic_resolver<Tcp, Executor>;

constexpr std::size_t kHeaderMax = 16U * 1024;

// What the deadline has to end.
struct Work {
  explicit Work(Executor executor) : resolver(executor), timer(executor) {}
  Resolver resolver;
  Timer timer;
  std::optional<Socket> plain;
  std::optional<TlsStream> tls;
  bool expired = false;

  void end() {
    ErrorCode ignored;
    resolver.cancel();
    if (plain) plain->close(ignored);
    if (tls) tls->next_layer().close(ignored);
  }
};

Unexpected<ExchangeFailure> failed(const Work& work, ExchangeError error, const char* step,
                                   const ErrorCode& code) {
  if (work.expired) {
    return Unexpected<ExchangeFailure>(
        ExchangeFailure{ExchangeError::Timeout, std::string(step) + ": no answer in time"});
  }
  return Unexpected<ExchangeFailure>(
      ExchangeFailure{error, std::string(step) + ": " + code.message()});
}

bool unreadable(const ErrorCode& code) {
  return code.category() == http::make_error_code(http::error::bad_version).category() &&
         code != http::error::end_of_stream && code != http::error::partial_message;
}

template <class Stream>
Task<ExchangeResult> converse(std::shared_ptr<Work> work, Stream& stream, const HttpOrigin& origin,
                              const ExchangeRequest& request) {
  http::request<http::string_body> message(http::string_to_verb(request.method), request.target, 11,
                                           request.body);
  message.set(http::field::host, origin.authority);
  message.set(http::field::user_agent, "eventrelay/" EVENTRELAY_VERSION);
  message.set(http::field::accept, "application/json");
  for (const auto& [name, value] : request.headers) message.set(name, value);
  if (message.method() != http::verb::get) message.prepare_payload();
  message.keep_alive(false);
  ErrorCode code;
  auto token = asio::redirect_error(kAwait, code);
  co_await http::async_write(stream, message, token);
  if (code) co_return failed(*work, ExchangeError::Unreachable, "send", code);
  boost::beast::flat_buffer buffer(kExchangeAnswerMax + kHeaderMax);
  http::response_parser<http::string_body> parser;
  parser.header_limit(kHeaderMax);
  parser.body_limit(kExchangeAnswerMax);
  co_await http::async_read(stream, buffer, parser, token);
  if (code) {
    const auto error = unreadable(code) ? ExchangeError::Unreadable : ExchangeError::Unreachable;
    co_return failed(*work, error, "answer", code);
  }
  ExchangeAnswer answer;
  answer.status = static_cast<int>(parser.get().result_int());
  answer.content_type = std::string(parser.get()[http::field::content_type]);
  answer.retry_after = std::string(parser.get()[http::field::retry_after]);
  answer.body = std::move(parser.get().body());
  co_return answer;
}

Task<ExchangeResult> run(std::shared_ptr<Work> work, Executor executor, const HttpOrigin& origin,
                         std::shared_ptr<TlsContext> tls, const ExchangeRequest& request) {
  ErrorCode code;
  auto token = asio::redirect_error(kAwait, code);
  const auto found = co_await work->resolver.async_resolve(origin.host, origin.port, token);
  if (code) co_return failed(*work, ExchangeError::Unreachable, "name", code);
  work->plain.emplace(executor);
  co_await asio::async_connect(*work->plain, found, token);
  if (code) co_return failed(*work, ExchangeError::Unreachable, "connect", code);
  work->plain->set_option(Tcp::no_delay(true), code);
  if (!origin.tls) {
    ExchangeResult plain = co_await converse(work, *work->plain, origin, request);
    co_return plain;
  }
  work->tls.emplace(std::move(*work->plain), *tls);
  work->plain.reset();
  if (!prepare_client(*work->tls, origin.host)) {
    co_return failed(*work, ExchangeError::Unreachable, "TLS", asio::error::invalid_argument);
  }
  co_await work->tls->async_handshake(asio::ssl::stream_base::client, token);
  if (code) co_return failed(*work, ExchangeError::Unreachable, "TLS", code);
  ExchangeResult sealed = co_await converse(work, *work->tls, origin, request);
  co_return sealed;
}

constexpr char kMalformed[] = "the host or the port is malformed";
constexpr std::string_view kDigits = "0123456789";

// What versions of Boost.URL judge differently: a port that is none, numbers that are no address.
void check_port_text(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return;
  std::string_view authority = url.substr(scheme + 3);
  authority = authority.substr(0, authority.find_first_of("/?#"));
  const std::size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || authority.find_first_of("]@", colon) != authority.npos) {
    return;
  }
  const std::string_view port = authority.substr(colon + 1);
  if (port.empty() || port.find_first_not_of(kDigits) != port.npos) {
    throw std::invalid_argument(kMalformed);
  }
}

void check_numbers(const std::string& host) {
  if (host.find_first_not_of(".0123456789") != std::string::npos) return;
  ErrorCode error;
  static_cast<void>(asio::ip::make_address_v4(host, error));
  if (error) throw std::invalid_argument(kMalformed);
}

}  // namespace

HttpOrigin parse_origin(std::string_view url) {
  check_port_text(url);
  const auto parsed = boost::urls::parse_uri({url.data(), url.size()});
  if (!parsed)
    throw std::invalid_argument("is not an absolute URL such as https://api.box.com/2.0");
  const boost::urls::url_view& view = *parsed;
  const std::string scheme(view.scheme());
  if (scheme != "http" && scheme != "https") {
    throw std::invalid_argument("must begin with https:// or http://");
  }
  if (view.has_userinfo()) throw std::invalid_argument("must not hold a user name or password");
  if (view.has_query() || view.has_fragment()) {
    throw std::invalid_argument("must have neither a query nor a fragment");
  }
  HttpOrigin out;
  out.tls = scheme == "https";
  out.host = std::string(view.host_address());
  if (out.host.empty()) throw std::invalid_argument("has no host");
  check_numbers(out.host);
  out.port = std::string(view.port());
  check_authority(url, std::string(view.encoded_host()),
                  view.has_port() ? std::optional<std::string_view>(out.port) : std::nullopt);
  if (!view.has_port()) out.port = out.tls ? "443" : "80";
  out.authority = std::string(view.encoded_host_and_port());
  out.path = std::string(view.encoded_path());
  while (out.path.ends_with('/')) out.path.pop_back();
  return out;
}

Task<ExchangeResult> exchange(Executor executor, HttpOrigin origin, std::shared_ptr<TlsContext> tls,
                              ExchangeRequest request, Duration timeout) {
  const auto work = std::make_shared<Work>(executor);
  work->timer.expires_after(timeout);
  work->timer.async_wait([weak = std::weak_ptr<Work>(work)](ErrorCode error) {
    const std::shared_ptr<Work> late = weak.lock();
    if (error || !late) return;
    late->expired = true;
    late->end();
  });
  ExchangeResult result = co_await run(work, executor, origin, tls, request);
  work->timer.cancel();
  work->end();
  co_return result;
}

}  // namespace eventrelay
