#include "cli/webhook/receiver.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <stdexcept>

namespace eventrelay::cli {
namespace {

namespace http = boost::beast::http;

constexpr asio::use_awaitable_t<Executor> kAwait;
constexpr std::size_t kConnectionsMax = 1024;
constexpr std::size_t kBodyMax = 32U << 20;

}  // namespace

// Thread: its loop; connections keep it alive until they end.
class Receiver::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(Executor executor, const ReceiverOptions& options, OnDelivery on_delivery)
      : executor_(executor),
        options_(options),
        on_delivery_(std::move(on_delivery)),
        acceptor_(executor) {
    ErrorCode error;
    const auto address = asio::ip::make_address(options.address, error);
    const Tcp::endpoint endpoint(address, options.port);
    if (!error) acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(Acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(1024, error);
    if (error) {
      throw std::runtime_error("cannot listen on " + options.address + ":" +
                               std::to_string(options.port) + ": " + error.message());
    }
  }

  void start() { asio::co_spawn(executor_, accept(shared_from_this()), asio::detached); }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

  void close() {
    closed_ = true;
    ErrorCode ignored;
    acceptor_.close(ignored);
    for (Socket* socket : open_) {
      if (socket != nullptr) socket->close(ignored);
    }
  }

 private:
  static Task<void> accept(std::shared_ptr<Impl> self) {
    while (!self->closed_) {
      ErrorCode error;
      auto token = asio::redirect_error(kAwait, error);
      Socket socket = co_await self->acceptor_.async_accept(token);
      if (error || self->connections_ >= kConnectionsMax) continue;
      ++self->connections_;
      asio::co_spawn(self->executor_, serve(self, std::move(socket)), asio::detached);
    }
  }

  static Task<void> serve(std::shared_ptr<Impl> self, Socket socket) {
    const std::size_t slot = self->remember(socket);
    ErrorCode error;
    socket.set_option(Tcp::no_delay(true), error);
    boost::beast::flat_buffer buffer(kBodyMax + 65536);
    for (bool more = true; more && !error && !self->closed_;) {
      more = co_await self->one(socket, buffer);
    }
    self->open_[slot] = nullptr;
    --self->connections_;
  }

  std::size_t remember(Socket& socket) {
    for (std::size_t i = 0; i < open_.size(); ++i) {
      if (open_[i] == nullptr) {
        open_[i] = &socket;
        return i;
      }
    }
    open_.push_back(&socket);
    return open_.size() - 1;
  }

  Task<bool> one(Socket& socket, boost::beast::flat_buffer& buffer) {
    ErrorCode error;
    auto token = asio::redirect_error(kAwait, error);
    http::request_parser<http::string_body> parser;
    parser.body_limit(kBodyMax);
    co_await http::async_read(socket, buffer, parser, token);
    if (error) co_return false;
    const auto& request = parser.get();
    Delivery delivery;
    delivery.method = std::string(request.method_string());
    delivery.target = std::string(request.target());
    for (const auto& field : request) {
      delivery.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
    }
    delivery.body = request.body();
    delivery.number = ++count_;
    delivery.answered = delivery.number <= options_.fail_first ? 503 : options_.status;
    if (options_.delay.count() > 0) {
      Timer timer(executor_);
      timer.expires_after(options_.delay);
      co_await timer.async_wait(token);
    }
    const bool keep = request.keep_alive();
    http::response<http::string_body> response;
    response.version(11);
    response.result(static_cast<unsigned>(delivery.answered));
    response.set(http::field::content_type, "application/json");
    response.body() = "{}\n";
    response.keep_alive(keep);
    response.prepare_payload();
    co_await http::async_write(socket, response, token);
    if (!closed_) on_delivery_(delivery);
    co_return keep && !error;
  }

  Executor executor_;
  ReceiverOptions options_;
  OnDelivery on_delivery_;
  Acceptor acceptor_;
  std::vector<Socket*> open_;  // sockets of the running coroutines
  std::size_t connections_ = 0;
  std::uint64_t count_ = 0;
  bool closed_ = false;
};

Receiver::Receiver(Executor executor, const ReceiverOptions& options, OnDelivery on_delivery)
    : impl_(std::make_shared<Impl>(executor, options, std::move(on_delivery))) {
  impl_->start();
}
Receiver::~Receiver() {
  impl_->close();
}

std::uint16_t Receiver::port() const noexcept {
  return impl_->port();
}
void Receiver::close() {
  impl_->close();
}

}  // namespace eventrelay::cli
