#include "cli/provider/box_server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <set>
#include <stdexcept>

#include "common/http/client_tls.hpp"
#include "common/http/exchange.hpp"
#include "common/http/listen_address.hpp"

namespace eventrelay::cli {
namespace {

namespace http = boost::beast::http;

constexpr asio::use_awaitable_t<Executor> kAwait;
constexpr std::size_t kConnectionsMax = 256;
constexpr std::size_t kBodyMax = 1U << 20;
constexpr std::chrono::seconds kDeliveryLimit{30};  // as Box's own

}  // namespace

// Thread: its loop; connections keep it alive until they end.
class BoxServer::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(Executor executor, const std::string& listen, BoxOptions options)
      : executor_(executor), world_(std::move(options)), acceptor_(executor) {
    const Tcp::endpoint endpoint = listen_endpoint(listen);
    ErrorCode error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(Acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(256, error);
    if (error) throw std::runtime_error("cannot listen on " + listen + ": " + error.message());
  }

  void start() { asio::co_spawn(executor_, accept(shared_from_this()), asio::detached); }
  [[nodiscard]] std::string address() const { return print_endpoint(acceptor_.local_endpoint()); }

  void close() {
    closed_ = true;
    ErrorCode ignored;
    acceptor_.close(ignored);
    for (Socket* const socket : sockets_) socket->close(ignored);
    for (Timer* const timer : timers_) timer->cancel();
  }

 private:
  static Task<void> accept(std::shared_ptr<Impl> self) {
    while (!self->closed_) {
      ErrorCode error;
      auto token = asio::redirect_error(kAwait, error);
      Socket socket = co_await self->acceptor_.async_accept(token);
      if (error || self->sockets_.size() >= kConnectionsMax) continue;
      asio::co_spawn(self->executor_, serve(self, std::move(socket)), asio::detached);
    }
  }

  static Task<void> serve(std::shared_ptr<Impl> self, Socket socket) {
    self->sockets_.insert(&socket);
    boost::beast::flat_buffer buffer(kBodyMax + 65536);
    for (bool more = true; more && !self->closed_;) more = co_await self->one(socket, buffer);
    self->sockets_.erase(&socket);
  }

  Task<bool> one(Socket& socket, boost::beast::flat_buffer& buffer) {
    ErrorCode error;
    auto token = asio::redirect_error(kAwait, error);
    http::request_parser<http::string_body> parser;
    parser.body_limit(kBodyMax);
    co_await http::async_read(socket, buffer, parser, token);
    if (error) co_return false;
    const auto& message = parser.get();
    BoxRequest request;
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    request.authorization = std::string(message[http::field::authorization]);
    request.content_type = std::string(message[http::field::content_type]);
    request.body = message.body();
    const BoxAnswer answer = world_.handle(request, wall_now());
    send_all();
    if (answer.delay.count() > 0) co_await pause(answer.delay);
    if (answer.cut || closed_) co_return false;
    http::response<http::string_body> response;
    response.version(11);
    response.result(answer.status);
    response.set(http::field::content_type, answer.content_type);
    for (const auto& [name, value] : answer.headers) response.set(name, value);
    response.body() = answer.body;
    response.keep_alive(message.keep_alive());
    response.prepare_payload();
    co_await http::async_write(socket, response, token);
    co_return !error && message.keep_alive();
  }

  Task<void> pause(Duration time) {
    ErrorCode error;
    auto token = asio::redirect_error(kAwait, error);
    Timer timer(executor_);
    timer.expires_after(time);
    timers_.insert(&timer);
    co_await timer.async_wait(token);
    timers_.erase(&timer);
  }

  void send_all() {
    for (BoxDelivery& each : world_.take_deliveries()) {
      asio::co_spawn(executor_, deliver(shared_from_this(), std::move(each)), asio::detached);
    }
  }

  static Task<void> deliver(std::shared_ptr<Impl> self, BoxDelivery delivery) {
    while (!self->closed_) {
      const int status = co_await self->attempt(delivery);
      self->world_.delivered(delivery, status);
      if (!delivery.v2 || (status >= 200 && status < 300)) co_return;
      const auto wait = BoxWorld::retry_after(delivery.attempt++);
      if (!wait) co_return;
      co_await self->pause(*wait);
    }
  }

  // The status, 0 where there was none.
  Task<int> attempt(const BoxDelivery& delivery) {
    const std::size_t path = delivery.url.find('/', delivery.url.find("://") + 3);
    HttpOrigin origin;
    try {
      origin = parse_origin(delivery.url.substr(0, path));
    } catch (const std::invalid_argument&) {
      co_return 0;
    }
    ExchangeRequest request;
    request.method = "POST";
    request.target = path == std::string::npos ? "/" : delivery.url.substr(path);
    request.headers = world_.delivery_headers(delivery, wall_now());
    request.body = delivery.body;
    if (origin.tls && !tls_) tls_ = make_client_tls(ClientTlsConfig());
    const ExchangeResult result =
        co_await exchange(executor_, origin, tls_, std::move(request), kDeliveryLimit);
    co_return result ? result->status : 0;
  }

  Executor executor_;
  BoxWorld world_;
  Acceptor acceptor_;
  std::shared_ptr<TlsContext> tls_;
  std::set<Socket*> sockets_;  // of the running coroutines
  std::set<Timer*> timers_;
  bool closed_ = false;
};

BoxServer::BoxServer(Executor executor, const std::string& listen, BoxOptions options)
    : impl_(std::make_shared<Impl>(executor, listen, std::move(options))) {
  impl_->start();
}
BoxServer::~BoxServer() {
  impl_->close();
}

std::string BoxServer::address() const {
  return impl_->address();
}
void BoxServer::close() {
  impl_->close();
}

}  // namespace eventrelay::cli
