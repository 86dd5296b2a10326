#include "cli/provider/box_server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <set>
#include <stdexcept>

#include "cli/http/http_server.hpp"
#include "common/http/client_tls.hpp"
#include "common/http/exchange.hpp"
#include "common/http/listen_address.hpp"

namespace eventrelay::cli {
namespace {

namespace http = boost::beast::http;

constexpr std::chrono::seconds kDeliveryLimit{30};  // as Box's own

}  // namespace

// Thread: its loop; calls and pauses keep it alive until they end.
class BoxServer::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(Executor executor, BoxOptions options) : executor_(executor), world_(std::move(options)) {}

  void start(const std::string& listen) {
    const std::weak_ptr<Impl> weak = weak_from_this();
    server_.emplace(executor_, listen_endpoint(listen), HttpServerLimits(),
                    [weak](const ServerRequest& request) { return answer(weak.lock(), request); });
  }
  [[nodiscard]] std::string address() const { return print_endpoint(server_->endpoint()); }

  void close() {
    closed_ = true;
    server_->close();
    for (Timer* const timer : timers_) timer->cancel();
  }

 private:
  static Task<std::optional<ServerAnswer>> answer(std::shared_ptr<Impl> self,
                                                  const ServerRequest& message) {
    if (self == nullptr) co_return std::nullopt;
    BoxRequest request;
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    request.authorization = std::string(message[http::field::authorization]);
    request.content_type = std::string(message[http::field::content_type]);
    request.body = message.body();
    const BoxAnswer said = self->world_.handle(request, wall_now());
    self->send_all();
    if (said.delay.count() > 0) co_await self->pause(said.delay);
    if (said.cut) co_return std::nullopt;
    ServerAnswer out;
    out.response.result(said.status);
    out.response.set(http::field::content_type, said.content_type);
    for (const auto& [name, value] : said.headers) out.response.set(name, value);
    out.response.body() = said.body;
    co_return out;
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
  std::optional<HttpServer> server_;
  std::shared_ptr<TlsContext> tls_;
  std::set<Timer*> timers_;  // of the running coroutines
  bool closed_ = false;
};

BoxServer::BoxServer(Executor executor, const std::string& listen, BoxOptions options)
    : impl_(std::make_shared<Impl>(executor, std::move(options))) {
  impl_->start(listen);
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
