#include "cli/http/http_client.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <optional>

#include "common/config/callback_url.hpp"
#include "common/http/client_tls.hpp"

namespace eventrelay::cli {
namespace {

namespace http = boost::beast::http;

using Resolver = asio::ip::basic_resolver<Tcp, Executor>;
constexpr auto kStepLimit = std::chrono::seconds(30);
constexpr std::size_t kAnswerMax = 1U << 20;

// An IPv6 address stands in brackets, or its end could not be told from the port.
std::string host_text(const Target& target) {
  return target.host.find(':') == std::string::npos ? target.host : '[' + target.host + ']';
}

[[noreturn]] void fail(const Target& target, std::string_view step, const ErrorCode& error) {
  throw HttpFailure(host_text(target) + ":" + target.port + ": " + std::string(step) + ": " +
                    error.message());
}

// Closes the socket of a step that takes too long. Thread: its loop; ends with the step.
class StepLimit {
 public:
  StepLimit(Executor executor, Socket& socket) : timer_(executor, kStepLimit) {
    timer_.async_wait([&socket](ErrorCode error) {
      if (!error) socket.close(error);
    });
  }

 private:
  Timer timer_;
};

Socket& lowest(Socket& stream) {
  return stream;
}
Socket& lowest(TlsStream& stream) {
  return stream.next_layer();
}

}  // namespace

std::string authority_of(const Target& target) {
  const bool implied = target.port == (target.tls ? "443" : "80");
  return implied ? host_text(target) : host_text(target) + ':' + target.port;
}

Target parse_target(std::string_view url) {
  const auto parsed = boost::urls::parse_uri({url.data(), url.size()});
  const std::string text(url);
  if (!parsed) throw HttpFailure(text + ": not a URL; expected http://HOST[:PORT]/PATH");
  const boost::urls::url_view& view = *parsed;
  Target target;
  const std::string scheme(view.scheme());
  if (scheme != "http" && scheme != "https") {
    throw HttpFailure(text + ": the scheme must be http or https");
  }
  target.tls = scheme == "https";
  target.host = std::string(view.host_address());
  if (target.host.empty()) throw HttpFailure(text + ": the host is missing");
  if (view.has_userinfo()) throw HttpFailure("the URL must not hold a user name or password");
  target.port = std::string(view.port());
  try {
    check_authority(url, std::string(view.encoded_host()),
                    view.has_port() ? std::optional<std::string_view>(target.port) : std::nullopt);
  } catch (const std::invalid_argument& problem) {
    throw HttpFailure(text + ": " + problem.what());
  }
  if (!view.has_port()) target.port = target.tls ? "443" : "80";
  target.path = std::string(view.encoded_resource());
  if (target.path.empty() || target.path.front() != '/') target.path.insert(0, "/");
  return target;
}

// Thread: its loop.
class HttpClient::Impl {
 public:
  Impl(Executor executor, Target target, std::string ca_file)
      : executor_(executor), target_(std::move(target)), ca_file_(std::move(ca_file)) {}

  Task<ClientResponse> exchange(const ClientRequest& request) {
    const bool reused = tls_ || plain_;
    if (!reused) co_await open();
    std::optional<ClientResponse> response = co_await attempt(request);
    if (!response && reused) {  // the peer had closed the idle connection
      co_await open();
      response = co_await attempt(request);
    }
    if (!response) fail(target_, last_step_, last_error_);
    co_return std::move(*response);
  }

 private:
  Task<void> open() {
    close();
    ErrorCode error;
    Resolver resolver(executor_);
    auto token = asio::redirect_error(kAwait, error);
    const auto found = co_await resolver.async_resolve(target_.host, target_.port, token);
    if (error) fail(target_, "resolve", error);
    Socket socket(executor_);
    const StepLimit limit(executor_, socket);
    co_await asio::async_connect(socket, found, token);
    if (error) fail(target_, "connect", error);
    socket.set_option(Tcp::no_delay(true));
    if (!target_.tls) {
      plain_.emplace(std::move(socket));
      co_return;
    }
    ClientTlsConfig tls_config;
    tls_config.ca_file = ca_file_;
    if (!context_) context_ = make_client_tls(tls_config);
    tls_.emplace(std::move(socket), *context_);
    if (!prepare_client(*tls_, target_.host)) fail(target_, "TLS", asio::error::invalid_argument);
    const StepLimit handshake_limit(executor_, tls_->next_layer());
    co_await tls_->async_handshake(asio::ssl::stream_base::client, token);
    if (error) fail(target_, "TLS", error);
  }

  void close() {
    tls_.reset();
    plain_.reset();
    buffer_.clear();
  }

  Task<std::optional<ClientResponse>> attempt(const ClientRequest& request) {
    if (tls_) {
      auto response = co_await on(*tls_, request);
      co_return response;
    }
    auto response = co_await on(*plain_, request);
    co_return response;
  }

  template <class Stream>
  Task<std::optional<ClientResponse>> on(Stream& stream, const ClientRequest& request) {
    http::request<http::string_body> message(http::string_to_verb(request.method),
                                             request.path.empty() ? target_.path : request.path, 11,
                                             request.body);
    message.set(http::field::host, authority_of(target_));
    message.set(http::field::user_agent, "eventrelay/" EVENTRELAY_VERSION);
    for (const auto& [name, value] : request.headers) message.insert(name, value);
    if (message.method() != http::verb::get) message.prepare_payload();
    ErrorCode error;
    auto token = asio::redirect_error(kAwait, error);
    const StepLimit limit(executor_, lowest(stream));
    co_await http::async_write(stream, message, token);
    if (error) co_return lost("send", error);
    http::response_parser<http::string_body> parser;
    parser.body_limit(kAnswerMax);
    co_await http::async_read(stream, buffer_, parser, token);
    if (error) co_return lost("receive", error);
    ClientResponse response;
    response.status = static_cast<int>(parser.get().result_int());
    response.retry_after = std::string(parser.get()[http::field::retry_after]);
    response.body = std::move(parser.get().body());
    if (!parser.keep_alive()) close();
    co_return response;
  }

  std::nullopt_t lost(std::string_view step, const ErrorCode& error) {
    last_step_ = step;
    last_error_ = error;
    close();
    return std::nullopt;
  }

  Executor executor_;
  Target target_;
  std::string ca_file_;
  std::shared_ptr<TlsContext> context_;
  std::optional<Socket> plain_;
  std::optional<TlsStream> tls_;
  boost::beast::flat_buffer buffer_{kAnswerMax};
  std::string_view last_step_;
  ErrorCode last_error_;
};

HttpClient::HttpClient(Executor executor, Target target, std::string ca_file)
    : impl_(std::make_unique<Impl>(executor, std::move(target), std::move(ca_file))) {}
HttpClient::~HttpClient() = default;

Task<ClientResponse> HttpClient::exchange(const ClientRequest& request) {
  return impl_->exchange(request);
}

ClientResponse fetch(const Target& target, const ClientRequest& request) {
  asio::io_context loop(1);
  HttpClient client(loop.get_executor(), target);
  ClientResponse response;
  std::exception_ptr failure;
  const auto ask = [](HttpClient& to, const ClientRequest& what,
                      ClientResponse& out) -> Task<void> { out = co_await to.exchange(what); };
  asio::co_spawn(loop.get_executor(), ask(client, request, response),
                 [&failure](std::exception_ptr thrown) { failure = thrown; });
  loop.run();
  if (failure) std::rethrow_exception(failure);
  return response;
}

}  // namespace eventrelay::cli
