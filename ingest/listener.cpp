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

void Listener::open(const Tcp::endpoint& endpoint) {
  try {
    acceptor_.open(endpoint.protocol());
    acceptor_.set_option(asio::socket_base::reuse_address(true));
    acceptor_.set_option(ReusePort(true));
    if (endpoint.protocol() == Tcp::v6()) acceptor_.set_option(asio::ip::v6_only(true));
    acceptor_.bind(endpoint);
    acceptor_.listen(kBacklog);
    acceptor_.non_blocking(true);
  } catch (const boost::system::system_error& error) {
    throw StartError("ingest.listen: cannot listen on " + print_endpoint(endpoint) + ": " +
                     error.code().message() + "; choose another address or end who holds it");
  }
}

Tcp::endpoint Listener::endpoint() const {
  return acceptor_.local_endpoint();
}

void Listener::accept() {
  if (pool_.full()) return pause();
  acceptor_.async_accept(
      [this](ErrorCode error, Socket socket) { on_accepted(error, std::move(socket)); });
}

void Listener::on_accepted(ErrorCode error, Socket socket) {
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
  ErrorCode ignored;  // of a client that is gone already; its first read says so
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket.non_blocking(true, ignored);
  accepted_.add();
  pool_.adopt(std::move(socket));
}

void Listener::pause() {
  pause_.expires_after(kAcceptPause);
  pause_.async_wait([this](ErrorCode error) {
    if (!error && acceptor_.is_open()) accept();
  });
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
