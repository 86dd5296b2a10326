// The physical limit of answering: a bare Asio loop that reads a request and writes fixed bytes.
// No HTTP, no signature, no Kafka: what a socket round trip alone costs on this machine.
//
//   answer_loop PORT          prints `ready PORT`; ends on SIGTERM
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/write.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace asio = boost::asio;
using Error = boost::system::error_code;
using Socket = asio::basic_stream_socket<asio::ip::tcp, asio::io_context::executor_type>;
using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, asio::io_context::executor_type>;

namespace {

constexpr std::string_view kAnswer =
    "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 54\r\n\r\n"
    "{\"eventIds\":[\"00000000-0000-8000-8000-000000000000\"]}\n";

struct Session : std::enable_shared_from_this<Session> {
  explicit Session(Socket accepted) : socket(std::move(accepted)) {}

  // Requests of the load generator arrive whole: one read is one request.
  void read() {
    socket.async_read_some(asio::buffer(buffer),
                           [self = shared_from_this()](Error error, std::size_t) {
                             if (!error) self->write();
                           });
  }
  void write() {
    asio::async_write(socket, asio::buffer(kAnswer),
                      [self = shared_from_this()](Error error, std::size_t) {
                        if (!error) self->read();
                      });
  }

  Socket socket;
  std::array<char, 16384> buffer{};
};

void accept(Acceptor& acceptor) {
  acceptor.async_accept([&acceptor](Error error, Socket socket) {
    if (error) return;
    socket.set_option(asio::ip::tcp::no_delay(true));
    std::make_shared<Session>(std::move(socket))->read();
    accept(acceptor);
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: answer_loop PORT\n", stderr);
    return 2;
  }
  asio::io_context loop(1);
  const auto port = static_cast<std::uint16_t>(std::atoi(argv[1]));
  Acceptor acceptor(loop.get_executor(), {asio::ip::make_address("127.0.0.1"), port});
  asio::signal_set signals(loop, SIGTERM, SIGINT);
  signals.async_wait([&](Error, int) { loop.stop(); });
  accept(acceptor);
  std::printf("ready %u\n", acceptor.local_endpoint().port());
  std::fflush(stdout);
  loop.run();
}
