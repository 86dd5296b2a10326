#include "cli/http/http_server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include "common/http/listen_address.hpp"

namespace eventrelay::cli {
namespace {

namespace http = boost::beast::http;

constexpr std::size_t kHeadMax = 65536;

}  // namespace

// Thread: its loop; connections keep it alive until they end.
class HttpServer::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(Executor executor, const Tcp::endpoint& endpoint, HttpServerLimits limits, Handler handler)
      : executor_(executor), limits_(limits), handler_(std::move(handler)), acceptor_(executor) {
    ErrorCode error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(Acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(1024, error);
    if (error) {
      throw std::runtime_error("cannot listen on " + print_endpoint(endpoint) + ": " +
                               error.message());
    }
  }

  void start() { asio::co_spawn(executor_, accept(shared_from_this()), asio::detached); }
  [[nodiscard]] Tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

  void close() {
    closed_ = true;
    ErrorCode ignored;
    acceptor_.close(ignored);
    for (Socket* const socket : sockets_) socket->close(ignored);
  }

 private:
  static Task<void> accept(std::shared_ptr<Impl> self) {
    while (!self->closed_) {
      ErrorCode error;
      auto token = asio::redirect_error(kAwait, error);
      Socket socket = co_await self->acceptor_.async_accept(token);
      if (error || self->sockets_.size() >= self->limits_.connections_max) continue;
      asio::co_spawn(self->executor_, serve(self, std::move(socket)), asio::detached);
    }
  }

  static Task<void> serve(std::shared_ptr<Impl> self, Socket socket) {
    self->sockets_.insert(&socket);
    ErrorCode ignored;
    socket.set_option(Tcp::no_delay(true), ignored);
    boost::beast::flat_buffer buffer(self->limits_.body_max + kHeadMax);
    for (bool more = true; more && !self->closed_;) more = co_await self->one(socket, buffer);
    self->sockets_.erase(&socket);
  }

  // False: the connection ends.
  Task<bool> one(Socket& socket, boost::beast::flat_buffer& buffer) {
    ErrorCode error;
    auto token = asio::redirect_error(kAwait, error);
    http::request_parser<http::string_body> parser;
    parser.body_limit(limits_.body_max);
    co_await http::async_read(socket, buffer, parser, token);
    if (error) co_return false;
    const ServerRequest& request = parser.get();
    std::optional<ServerAnswer> answer = co_await handler_(request);
    if (!answer || closed_) co_return false;
    ServerResponse& response = answer->response;
    response.version(11);
    response.keep_alive(request.keep_alive());
    response.prepare_payload();
    co_await http::async_write(socket, response, token);
    if (answer->written && !closed_) answer->written();
    co_return !error && request.keep_alive();
  }

  Executor executor_;
  HttpServerLimits limits_;
  Handler handler_;
  Acceptor acceptor_;
  std::set<Socket*> sockets_;  // of the running coroutines
  bool closed_ = false;
};

HttpServer::HttpServer(Executor executor, const Tcp::endpoint& endpoint, HttpServerLimits limits,
                       Handler handler)
    : impl_(std::make_shared<Impl>(executor, endpoint, limits, std::move(handler))) {
  impl_->start();
}
HttpServer::~HttpServer() {
  close();
}

Tcp::endpoint HttpServer::endpoint() const {
  return impl_->endpoint();
}
void HttpServer::close() {
  impl_->close();
}

}  // namespace eventrelay::cli
