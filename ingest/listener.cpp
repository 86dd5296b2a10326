#include "ingest/listener.hpp"

#include <sys/socket.h>

#include <boost/asio/ip/v6_only.hpp>
#include <string>
#include <utility>

#include "common/base/start_error.hpp"
#include "common/http/listen_address.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::ingest {

namespace {

using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

}  // namespace

Listener::Listener(Executor executor, SessionPool& pool, metrics::Counter& accepted)
    : pool_(pool), accepted_(accepted), acceptor_(executor), pause_(executor) {}

void Listener::open(const Tcp::endpoint& endpoint, Port port) {
  try {
    acceptor_.open(endpoint.protocol());
    acceptor_.set_option(asio::socket_base::reuse_address(true));
    if (port == Port::Join) acceptor_.set_option(ReusePort(true));
    if (endpoint.protocol() == Tcp::v6()) acceptor_.set_option(asio::ip::v6_only(true));
    acceptor_.bind(endpoint);
    acceptor_.listen(kBacklog);
    // The port is bound alone, so no other process has it. From here on others may join, and only
    // this process does: every other one tries to bind it alone first.
    if (port == Port::Take) acceptor_.set_option(ReusePort(true));
    acceptor_.non_blocking(true);
  } catch (const boost::system::system_error& error) {
    throw StartError("ingest.listen: cannot listen on " + print_endpoint(endpoint) + ": " +
                     error.code().message() + "; choose another address or end who holds it");
  }
}

Tcp::endpoint Listener::endpoint() const {
  return acceptor_.local_endpoint();
}

void Listener::resume() {
  if (armed_ || !acceptor_.is_open()) return;
  accept();
}

void Listener::accept() {
  if (pool_.full()) return pause();
  armed_ = false;  // stays so if the call below throws
  acceptor_.async_accept(
      [this](ErrorCode error, Socket socket) { on_accepted(error, std::move(socket)); });
  armed_ = true;
}

void Listener::on_accepted(ErrorCode error, Socket socket) {
  armed_ = false;
  if (!acceptor_.is_open()) {
    if (!error && !pool_.full()) adopt(std::move(socket));
    return;
  }
  if (!error) {
    adopt(std::move(socket));
  } else if (error != asio::error::connection_aborted) {
    ++failures_;
    log::warn("cannot accept clients for now", {{"reason", error.message()}});
    return pause();
  }
  accept();
}

void Listener::adopt(Socket socket) {
  try {
    ErrorCode ignored;  // of a client that is gone already; its first read says so
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    socket.non_blocking(true, ignored);
    accepted_.add();
    pool_.adopt(std::move(socket));
  } catch (const std::exception& error) {
    fail(error.what());
  }
}

// Costs this client only. Logging may fail for the same reason, and that is ignored.
void Listener::fail(std::string_view reason) noexcept {
  ++failures_;
  try {
    log::warn("a client can not be served", {{"reason", reason}});
  } catch (const std::exception&) {
    return;
  }
}

void Listener::pause() {
  armed_ = false;
  pause_.expires_after(kAcceptPause);
  pause_.async_wait([this](ErrorCode error) {
    armed_ = false;
    if (!error && acceptor_.is_open()) accept();
  });
  armed_ = true;
}

void Listener::stop() {
  if (!acceptor_.is_open()) return;
  pause_.cancel();
  // The handshake of these clients is complete: closing now would reset them.
  for (;;) {
    if (pool_.full()) break;
    ErrorCode error;
    Socket socket(acceptor_.get_executor());
    acceptor_.accept(socket, error);
    if (error) break;
    adopt(std::move(socket));
  }
  ErrorCode ignored;
  acceptor_.close(ignored);
}

}  // namespace eventrelay::ingest
