#include "cli/webhook/receiver.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <stdexcept>

#include "cli/http/http_server.hpp"

namespace eventrelay::cli {
namespace {

namespace http = boost::beast::http;

constexpr HttpServerLimits kLimits{1024, 32U << 20};

Tcp::endpoint endpoint_of(const ReceiverOptions& options) {
  ErrorCode error;
  const auto address = asio::ip::make_address(options.address, error);
  if (error) {
    throw std::runtime_error("cannot listen on " + options.address + ":" +
                             std::to_string(options.port) + ": " + error.message());
  }
  return {address, options.port};
}

}  // namespace

// Thread: its loop; answers keep it alive until they end.
class Receiver::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(Executor executor, const ReceiverOptions& options, OnDelivery on_delivery)
      : executor_(executor), options_(options), on_delivery_(std::move(on_delivery)) {}

  void start() {
    const std::weak_ptr<Impl> weak = weak_from_this();
    server_.emplace(executor_, endpoint_of(options_), kLimits,
                    [weak](const ServerRequest& request) { return answer(weak.lock(), request); });
  }
  [[nodiscard]] std::uint16_t port() const { return server_->endpoint().port(); }
  void close() { server_->close(); }

 private:
  static Task<std::optional<ServerAnswer>> answer(std::shared_ptr<Impl> self,
                                                  const ServerRequest& request) {
    if (self == nullptr) co_return std::nullopt;
    Delivery delivery;
    delivery.method = std::string(request.method_string());
    delivery.target = std::string(request.target());
    for (const auto& field : request) {
      delivery.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
    }
    delivery.body = request.body();
    delivery.number = ++self->count_;
    const ReceiverOptions& options = self->options_;
    delivery.answered = delivery.number <= options.fail_first ? 503 : options.status;
    if (options.delay.count() > 0) {
      ErrorCode error;
      auto token = asio::redirect_error(kAwait, error);
      Timer timer(self->executor_);
      timer.expires_after(options.delay);
      co_await timer.async_wait(token);
    }
    ServerAnswer out;
    out.response.result(static_cast<unsigned>(delivery.answered));
    out.response.set(http::field::content_type, "application/json");
    out.response.body() = "{}\n";
    out.written = [self, delivery = std::move(delivery)] { self->on_delivery_(delivery); };
    co_return out;
  }

  Executor executor_;
  ReceiverOptions options_;
  OnDelivery on_delivery_;
  std::optional<HttpServer> server_;
  std::uint64_t count_ = 0;
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
