#include "common/process/admin.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <list>
#include <map>
#include <optional>

#include "common/base/crypto.hpp"
#include "common/base/start_error.hpp"
#include "common/http/listen_address.hpp"
#include "common/observe/log.hpp"

namespace eventrelay {

namespace {

namespace beast = boost::beast;
namespace http = beast::http;

constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable_t<Executor>{});
constexpr std::chrono::milliseconds kDeadlineCheck{250};
constexpr std::chrono::minutes kRefusalWindow{1};
constexpr std::size_t kAddressesMax = 1024;
constexpr std::size_t kReadSize = 64U * 1024;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

using Parser = http::request_parser<http::string_body>;

std::string text(beast::string_view view) {
  return {view.data(), view.size()};
}

// The status that says what was wrong with a head or body, 0 if nobody is left to hear it.
unsigned status_of(const ErrorCode& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) return 431;
  if (error == http::error::end_of_stream || error == http::error::partial_message) return 0;
  return error.category() == http::make_error_code(http::error::bad_version).category() ? 400 : 0;
}

std::string new_request_id() {
  std::array<char, 16> bytes{};
  crypto::random_bytes(bytes.data(), bytes.size());
  return crypto::hex({bytes.data(), bytes.size()});
}

std::shared_ptr<HttpRequest> request_of(const Parser& parser, const std::string& peer) {
  auto request = std::make_shared<HttpRequest>();
  request->peer = peer;
  request->request_id = new_request_id();
  const auto& message = parser.get();
  request->method = text(message.method_string());
  request->target = text(message.target());
  for (const auto& field : message) {
    request->headers.emplace_back(text(field.name_string()), text(field.value()));
  }
  return request;
}

Framing framing_of(const Parser& parser) {
  Framing framing;
  framing.chunked = parser.chunked();
  framing.length = parser.content_length().value_or(0);
  framing.version = parser.get().version() >= 11 ? Http11::Yes : Http11::No;
  return framing;
}

// The answer a handler owes, and what wakes the connection when it comes.
struct Pending {
  explicit Pending(const Executor& executor) : wake(executor) {}
  std::optional<HttpResponse> response;
  Timer wake;
};

}  // namespace

// Shared by the server and its connections, so that either may end first.
struct AdminServer::State : std::enable_shared_from_this<AdminServer::State> {
  // What a connection waits for. One that waits for its client may be cut for another client.
  enum class Phase : std::uint8_t { Client, Handler };
  // Bounds: AdminLimits.
  struct Connection {
    Connection(Socket taken, std::string address, std::size_t buffer_max)
        : socket(std::move(taken)), peer(std::move(address)), buffer(buffer_max) {}
    Socket socket;
    std::string peer;
    beast::flat_buffer buffer;
    Phase phase = Phase::Client;
    TimePoint since{};  // when its phase began
    TimePoint deadline{};
    bool keep_alive = true;
  };
  using ConnectionPtr = std::shared_ptr<Connection>;
  // Requests of one address that were refused for their token.
  struct Refusals {
    TimePoint window{};
    std::size_t count = 0;
  };

  State(asio::io_context& control, AdminLimits given)
      : limits(given),
        executor(control.get_executor()),
        acceptor(executor),
        retry(executor),
        deadline_check(executor) {}

  Task<void> accept();
  Task<void> serve(ConnectionPtr connection);
  Task<bool> exchange(ConnectionPtr connection);
  Task<bool> read_body(ConnectionPtr connection, std::shared_ptr<Parser> parser,
                       std::shared_ptr<HttpRequest> request);
  Task<HttpResponse> handled(ConnectionPtr connection, std::shared_ptr<const Route> route,
                             HttpRequestPtr request);
  Task<void> slow_down(ConnectionPtr connection);
  Task<bool> answer(ConnectionPtr connection, HttpResponse response, bool head_only);
  void wait_for(Connection& connection, Phase phase, Duration limit) const;
  void adopt(Socket socket);
  bool make_room();
  bool is_refused_often(const std::string& peer);
  void watch();
  void close();

  AdminLimits limits;
  Executor executor;
  Acceptor acceptor;
  Timer retry;
  Timer deadline_check;
  AccessPolicy policy;
  Router router;
  std::function<void()> on_refused;
  std::map<std::string, Refusals, std::less<>> refusals;
  std::list<std::weak_ptr<Connection>> connections;
  bool closed = false;
};

void AdminServer::State::wait_for(Connection& connection, Phase phase, Duration limit) const {
  connection.phase = phase;
  connection.since = monotonic_now();
  connection.deadline = connection.since + limit;
}

// Counts a refusal; true when the address has had its share of quick ones.
bool AdminServer::State::is_refused_often(const std::string& peer) {
  if (on_refused) on_refused();
  const TimePoint now = monotonic_now();
  if (refusals.size() >= kAddressesMax && !refusals.contains(peer)) {
    std::erase_if(refusals,
                  [now](const auto& each) { return now - each.second.window > kRefusalWindow; });
    if (refusals.size() >= kAddressesMax) return true;
  }
  Refusals& mine = refusals[peer];
  if (mine.count == 0 || now - mine.window > kRefusalWindow) {
    mine = {now, 0};
    log::warn("admin token missing or wrong", {{"peer", peer}});
  }
  return ++mine.count > limits.refusals_per_minute;
}

Task<void> AdminServer::State::slow_down(ConnectionPtr connection) {
  wait_for(*connection, Phase::Client, limits.request_timeout + limits.slow_down);
  Timer pause(executor);
  pause.expires_after(limits.slow_down);
  (void)co_await pause.async_wait(kAsTuple);
}

// Runs the handler and waits for what it answers, at once or later.
Task<HttpResponse> AdminServer::State::handled(ConnectionPtr connection,
                                               std::shared_ptr<const Route> route,
                                               HttpRequestPtr request) {
  wait_for(*connection, Phase::Handler, route->timeout + limits.request_timeout);
  const auto pending = std::make_shared<Pending>(executor);
  pending->wake.expires_after(route->timeout);
  try {
    const std::weak_ptr<Pending> waiting = pending;
    route->handler(request, Responder(request, [waiting](HttpResponse response) {
                     const auto open = waiting.lock();
                     if (!open) return;  // the time is over, or the client gone
                     open->response = std::move(response);
                     open->wake.cancel();
                   }));
  } catch (const std::exception& error) {
    log::error(
        "admin handler failed",
        {{"path", request->path}, {"requestId", request->request_id}, {"what", error.what()}});
    pending->response = error_response(*request, 500, "internal error");
  }
  if (!pending->response) (void)co_await pending->wake.async_wait(kAsTuple);
  if (!pending->response) {
    log::warn("admin handler is late",
              {{"path", request->path}, {"requestId", request->request_id}});
    HttpResponse late = error_response(*request, 503, "no answer in time");
    late.headers.emplace_back("Retry-After", "5");
    co_return late;
  }
  co_return std::move(*pending->response);
}

Task<bool> AdminServer::State::answer(ConnectionPtr connection, HttpResponse response,
                                      bool head_only) {
  wait_for(*connection, Phase::Client, limits.request_timeout);
  http::response<http::string_body> message(static_cast<http::status>(response.status), 11);
  message.set(http::field::content_type, response.content_type);
  for (const auto& [name, value] : response.headers) message.insert(name, value);
  message.content_length(response.body.size());
  message.keep_alive(connection->keep_alive);
  if (!head_only) message.body() = std::move(response.body);
  http::response_serializer<http::string_body> serializer(message);
  ErrorCode failed;
  if (head_only) {
    const auto [error, size] =
        co_await http::async_write_header(connection->socket, serializer, kAsTuple);
    failed = error;
  } else {
    const auto [error, size] = co_await http::async_write(connection->socket, serializer, kAsTuple);
    failed = error;
  }
  co_return !failed;
}

// The body, which the head has announced and the route has allowed; false when it did not come.
Task<bool> AdminServer::State::read_body(ConnectionPtr connection, std::shared_ptr<Parser> parser,
                                         std::shared_ptr<HttpRequest> request) {
  if (parser->is_done()) co_return true;
  wait_for(*connection, Phase::Client, limits.request_timeout);
  if (same_name(request->header("Expect"), "100-continue")) {
    const auto [error, size] =
        co_await asio::async_write(connection->socket, asio::buffer(kContinue), kAsTuple);
    if (error) co_return false;
  }
  const auto [error, size] =
      co_await http::async_read(connection->socket, connection->buffer, *parser, kAsTuple);
  if (error) co_return false;
  request->body = std::move(parser->get().body());
  co_return true;
}

// One request and its answer; false when the connection ends.
Task<bool> AdminServer::State::exchange(ConnectionPtr connection) {
  const auto parser = std::make_shared<Parser>();
  parser->header_limit(static_cast<std::uint32_t>(limits.header_max));
  parser->body_limit(boost::none);  // the route bounds it, before it is read
  const auto [error, size] =
      co_await http::async_read_header(connection->socket, connection->buffer, *parser, kAsTuple);
  const auto request = request_of(*parser, connection->peer);
  if (error) {
    const unsigned status = status_of(error);
    if (status == 0) co_return false;
    connection->keep_alive = false;
    HttpResponse refusal = error_response(*request, status, error.message());
    const bool told = co_await answer(connection, std::move(refusal), false);
    co_return told;
  }
  const bool head_only = request->method == "HEAD";
  const Framing framing = framing_of(*parser);
  const auto route = router.route(*request, framing, policy);
  if (!route) {
    // A body that nobody asked for would be taken for the next request.
    connection->keep_alive = parser->get().keep_alive() && parser->is_done();
    if (route.error().status == 401 && is_refused_often(connection->peer)) {
      co_await slow_down(connection);
    }
    HttpResponse refusal = route.error();
    const bool told = co_await answer(connection, std::move(refusal), head_only);
    co_return told;
  }
  const bool whole = co_await read_body(connection, parser, request);
  if (!whole) co_return false;
  connection->keep_alive = parser->get().keep_alive();
  HttpResponse response = co_await handled(connection, *route, request);
  const bool told = co_await answer(connection, std::move(response), head_only);
  co_return told;
}

Task<void> AdminServer::State::serve(ConnectionPtr connection) {
  const auto self = shared_from_this();
  try {
    while (!closed && connection->keep_alive) {
      const bool goes_on = co_await exchange(connection);
      if (!goes_on) break;
      wait_for(*connection, Phase::Client, limits.request_timeout);
    }
  } catch (const std::exception& error) {
    log::error("admin connection failed", {{"what", error.what()}});
  }
  ErrorCode ignored;
  // What is still unread would turn the close into a reset that takes the answer with it.
  connection->socket.shutdown(Tcp::socket::shutdown_send, ignored);
  wait_for(*connection, Phase::Client, std::chrono::seconds{1});
  std::array<char, 4096> rest;
  for (bool open = !ignored; open;) {
    const auto [error, size] =
        co_await connection->socket.async_read_some(asio::buffer(rest), kAsTuple);
    open = !error;
  }
  connection->socket.close(ignored);
}

// Cuts the connection that has waited longest for its client, of the address with most
// connections. False: each connection has a request at work.
bool AdminServer::State::make_room() {
  std::map<std::string_view, std::size_t> share;
  std::vector<ConnectionPtr> open;
  for (const auto& weak : connections) {
    ConnectionPtr connection = weak.lock();
    if (!connection || !connection->socket.is_open()) continue;
    ++share[connection->peer];
    open.push_back(std::move(connection));
  }
  if (open.size() < limits.connections_max) return true;
  ConnectionPtr victim;
  for (const ConnectionPtr& each : open) {
    if (each->phase != Phase::Client) continue;
    if (!victim || share[each->peer] > share[victim->peer] ||
        (share[each->peer] == share[victim->peer] && each->since < victim->since)) {
      victim = each;
    }
  }
  if (!victim) return false;
  ErrorCode ignored;
  victim->socket.close(ignored);
  return true;
}

void AdminServer::State::adopt(Socket socket) {
  std::erase_if(connections, [](const auto& connection) { return connection.expired(); });
  if (!make_room()) return;  // closes the socket
  ErrorCode error;
  const Tcp::endpoint peer = socket.remote_endpoint(error);
  if (error) return;
  auto connection = std::make_shared<Connection>(std::move(socket), peer.address().to_string(),
                                                 limits.header_max + kReadSize);
  wait_for(*connection, Phase::Client, limits.head_timeout);
  connections.push_back(connection);
  asio::co_spawn(executor, serve(connection), asio::detached);
}

Task<void> AdminServer::State::accept() {
  const auto self = shared_from_this();
  while (!closed) {
    auto [error, socket] = co_await acceptor.async_accept(kAsTuple);
    if (closed) break;
    if (error) {
      // Out of descriptors, as a rule: wait for some to come back instead of spinning.
      log::warn("admin listener can not accept connections now", {{"error", error.message()}});
      retry.expires_after(std::chrono::milliseconds{100});
      const auto waited = co_await retry.async_wait(kAsTuple);
      if (std::get<0>(waited)) break;
      continue;
    }
    try {
      adopt(std::move(socket));
    } catch (const std::exception& failure) {
      log::error("admin connection failed", {{"what", failure.what()}});
    }
  }
}

// One timer for all connections: those past their deadline are cut.
void AdminServer::State::watch() {
  deadline_check.expires_after(kDeadlineCheck);
  deadline_check.async_wait([self = shared_from_this()](ErrorCode error) {
    if (error || self->closed) return;
    const TimePoint now = monotonic_now();
    for (const auto& weak : self->connections) {
      const ConnectionPtr connection = weak.lock();
      ErrorCode ignored;
      if (connection && connection->deadline < now) connection->socket.close(ignored);
    }
    self->watch();
  });
}

void AdminServer::State::close() {
  closed = true;
  ErrorCode ignored;
  acceptor.close(ignored);
  retry.cancel();
  deadline_check.cancel();
  for (const auto& weak : connections) {
    if (const ConnectionPtr connection = weak.lock()) connection->socket.close(ignored);
  }
}

AdminServer::AdminServer(asio::io_context& control, AdminLimits limits)
    : state_(std::make_shared<State>(control, limits)) {}

AdminServer::~AdminServer() {
  close();
}

void AdminServer::add(Route route) {
  state_->router.add(std::move(route));
}

void AdminServer::set_policy(AccessPolicy policy) {
  policy.loopback = state_->policy.loopback;
  state_->policy = std::move(policy);
}

void AdminServer::set_on_refused(std::function<void()> count) {
  state_->on_refused = std::move(count);
}

void AdminServer::open(std::string_view address) {
  const Tcp::endpoint endpoint = listen_endpoint(address);
  state_->policy.loopback = endpoint.address().is_loopback();
  Acceptor& acceptor = state_->acceptor;
  ErrorCode error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    throw StartError("admin.listen " + std::string{address} + ": " + error.message() +
                     "; choose another address or end who has it");
  }
  asio::co_spawn(state_->executor, state_->accept(), asio::detached);
  state_->watch();
}

std::string AdminServer::address() const {
  ErrorCode error;
  const Tcp::endpoint endpoint = state_->acceptor.local_endpoint(error);
  return error ? std::string{} : print_endpoint(endpoint);
}

void AdminServer::close() {
  if (!state_->closed) state_->close();
}

}  // namespace eventrelay
