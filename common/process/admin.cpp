#include "common/process/admin.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <list>

#include "common/base/assert.hpp"
#include "common/base/crypto.hpp"
#include "common/base/start_error.hpp"
#include "common/http/listen_address.hpp"
#include "common/observe/log.hpp"
#include "common/text/json_text.hpp"

namespace eventrelay {

namespace {

namespace beast = boost::beast;
namespace http = beast::http;

constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable_t<Executor>{});
constexpr std::chrono::milliseconds kSweepInterval{250};
constexpr std::string_view kBearer = "Bearer ";

using Parser = http::request_parser<http::string_body>;

std::string_view view(beast::string_view text) noexcept {
  return {text.data(), text.size()};
}

// The status that says what was wrong with a request, 0 if nobody is left to hear it.
unsigned status_of(const ErrorCode& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) return 431;
  if (error == http::error::body_limit) return 413;
  if (error == http::error::end_of_stream || error == http::error::partial_message) return 0;
  return error.category() == http::make_error_code(http::error::bad_version).category() ? 400 : 0;
}

// Whether `prefix` covers `path`: the path itself or something below it.
bool covers(std::string_view prefix, std::string_view path) noexcept {
  return path.starts_with(prefix) &&
         (path.size() == prefix.size() || prefix.ends_with('/') || path[prefix.size()] == '/');
}

AdminResponse unauthorized() {
  AdminResponse response = admin_error(401, "bearer token missing or wrong");
  response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace

AdminResponse admin_error(unsigned status, std::string_view message) {
  AdminResponse response;
  response.status = status;
  JsonObject body;
  body.text("message", message);
  response.body = std::move(body).finish();
  return response;
}

// Shared by the server and its connections, so that either may end first.
struct AdminServer::State : std::enable_shared_from_this<AdminServer::State> {
  struct Mount {
    std::string prefix;
    AdminAccess access = AdminAccess::Token;
    AdminHandler handler;
  };
  struct Connection {
    explicit Connection(Socket taken, std::size_t buffer_max)
        : socket(std::move(taken)), buffer(buffer_max) {}
    Socket socket;
    beast::flat_buffer buffer;
    TimePoint deadline{};
    bool keep_alive = true;
  };
  using ConnectionPtr = std::shared_ptr<Connection>;

  State(asio::io_context& control, AdminLimits given)
      : limits(given),
        executor(control.get_executor()),
        acceptor(executor),
        retry(executor),
        sweep(executor) {}

  Task<void> accept();
  Task<void> serve(ConnectionPtr connection);
  Task<bool> exchange(ConnectionPtr connection);
  Task<bool> answer(ConnectionPtr connection, const AdminResponse& response, bool head_only);
  Task<AdminResponse> respond(const Parser& parser, const std::string& peer);
  void watch();
  void close();
  bool allows(std::string_view authorization) const;

  AdminLimits limits;
  Executor executor;
  Acceptor acceptor;
  Timer retry;
  Timer sweep;
  std::optional<Secret> token;
  std::vector<Mount> mounts;  // longest prefix first
  std::list<std::weak_ptr<Connection>> connections;
  bool closed = false;
};

bool AdminServer::State::allows(std::string_view authorization) const {
  if (!token) return true;
  return authorization.starts_with(kBearer) &&
         crypto::equal_constant_time(authorization.substr(kBearer.size()), token->reveal());
}

Task<AdminResponse> AdminServer::State::respond(const Parser& parser, const std::string& peer) {
  const auto& message = parser.get();
  const std::string_view target = view(message.target());
  const std::size_t question = std::min(target.find('?'), target.size());
  AdminRequest request;
  request.method = message.method() == http::verb::head ? "GET" : view(message.method_string());
  request.path = target.substr(0, question);
  request.query = target.substr(std::min(question + 1, target.size()));
  request.authorization = view(message[http::field::authorization]);
  request.content_type = view(message[http::field::content_type]);
  request.accept = view(message[http::field::accept]);
  request.body = message.body();
  request.peer = peer;
  const auto mount = std::find_if(mounts.begin(), mounts.end(), [&](const Mount& candidate) {
    return covers(candidate.prefix, request.path);
  });
  if (mount == mounts.end()) co_return admin_error(404, "no such path");
  if (mount->access == AdminAccess::Token && !allows(request.authorization)) {
    co_return unauthorized();
  }
  const AdminHandler handler = mount->handler;  // mounts may change while it runs
  AdminResponse response;
  try {
    response = co_await handler(request);
  } catch (const std::exception& error) {
    log::error("admin handler failed", {{"path", request.path}, {"what", error.what()}});
    response = admin_error(500, "internal error");
  }
  co_return response;
}

Task<bool> AdminServer::State::answer(ConnectionPtr connection, const AdminResponse& response,
                                      bool head_only) {
  http::response<http::string_body> message(static_cast<http::status>(response.status), 11);
  message.set(http::field::content_type, response.content_type);
  for (const auto& [name, value] : response.headers) message.set(name, value);
  message.content_length(response.body.size());
  message.keep_alive(connection->keep_alive);
  if (!head_only) message.body() = response.body;
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

// One request and its answer; false when the connection ends.
Task<bool> AdminServer::State::exchange(ConnectionPtr connection) {
  Parser parser;
  parser.header_limit(static_cast<std::uint32_t>(limits.header_max));
  parser.body_limit(limits.body_max);
  connection->deadline = monotonic_now() + limits.request_timeout;
  auto [error, size] =
      co_await http::async_read_header(connection->socket, connection->buffer, parser, kAsTuple);
  AdminResponse response;
  if (!error && parser.chunked()) {
    response = admin_error(411, "Content-Length is required");
    connection->keep_alive = false;
    co_return co_await answer(connection, response, false);
  }
  if (!error && !parser.is_done()) {
    auto [body_error, body_size] =
        co_await http::async_read(connection->socket, connection->buffer, parser, kAsTuple);
    error = body_error;
  }
  if (error) {
    const unsigned status = status_of(error);
    if (status == 0) co_return false;
    response = admin_error(status, error.message());
    connection->keep_alive = false;
    co_return co_await answer(connection, response, false);
  }
  connection->keep_alive = parser.get().keep_alive();
  connection->deadline = TimePoint::max();  // a handler bounds its own time
  ErrorCode unknown;
  const auto remote = connection->socket.remote_endpoint(unknown);
  const std::string peer = unknown ? std::string() : remote.address().to_string();
  response = co_await respond(parser, peer);
  connection->deadline = monotonic_now() + limits.request_timeout;
  const bool head_only = parser.get().method() == http::verb::head;
  co_return co_await answer(connection, response, head_only);
}

Task<void> AdminServer::State::serve(ConnectionPtr connection) {
  const auto self = shared_from_this();
  try {
    while (!closed && connection->keep_alive) {
      if (!co_await exchange(connection)) break;
    }
  } catch (const std::exception& error) {
    log::error("admin connection failed", {{"what", error.what()}});
  }
  ErrorCode ignored;
  // What is still unread would turn the close into a reset that takes the answer with it.
  connection->socket.shutdown(Tcp::socket::shutdown_send, ignored);
  connection->deadline = monotonic_now() + std::chrono::seconds{1};
  std::array<char, 4096> rest;
  for (bool open = !ignored; open;) {
    const auto [error, size] =
        co_await connection->socket.async_read_some(asio::buffer(rest), kAsTuple);
    open = !error;
  }
  connection->socket.close(ignored);
}

Task<void> AdminServer::State::accept() {
  const auto self = shared_from_this();
  while (!closed) {
    auto [error, socket] = co_await acceptor.async_accept(kAsTuple);
    if (closed) break;
    if (error) {
      // Out of descriptors, as a rule: wait for some to come back instead of spinning.
      log::warn("admin listener cannot accept", {{"error", error.message()}});
      retry.expires_after(std::chrono::milliseconds{100});
      const auto waited = co_await retry.async_wait(kAsTuple);
      if (std::get<0>(waited)) break;
      continue;
    }
    std::erase_if(connections, [](const auto& connection) { return connection.expired(); });
    if (connections.size() >= limits.connections_max) continue;  // closes the socket
    auto connection =
        std::make_shared<Connection>(std::move(socket), limits.header_max + limits.body_max);
    connection->deadline = monotonic_now() + limits.request_timeout;
    connections.push_back(connection);
    asio::co_spawn(executor, serve(connection), asio::detached);
  }
}

// One timer for all connections: whoever is past its deadline is cut.
void AdminServer::State::watch() {
  sweep.expires_after(kSweepInterval);
  sweep.async_wait([self = shared_from_this()](ErrorCode error) {
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
  sweep.cancel();
  for (const auto& weak : connections) {
    if (const ConnectionPtr connection = weak.lock()) connection->socket.close(ignored);
  }
}

AdminServer::AdminServer(asio::io_context& control, AdminLimits limits)
    : state_(std::make_shared<State>(control, limits)) {}

AdminServer::~AdminServer() {
  close();
}

void AdminServer::mount(std::string prefix, AdminAccess access, AdminHandler handler) {
  EVENTRELAY_ASSERT(prefix.starts_with('/'));
  auto& mounts = state_->mounts;
  mounts.push_back({std::move(prefix), access, std::move(handler)});
  std::stable_sort(mounts.begin(), mounts.end(),
                   [](const auto& a, const auto& b) { return a.prefix.size() > b.prefix.size(); });
}

void AdminServer::set_token(std::optional<Secret> token) {
  state_->token = std::move(token);
}

void AdminServer::open(std::string_view address) {
  const Tcp::endpoint endpoint = listen_endpoint(address);
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
