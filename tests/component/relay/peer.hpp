// The far end of a delivery for tests: a blocking server on loopback whose connections follow a
// script, and the client side with a loop that is run until something is true.
//
// Thread:  one thread accepts, one per connection runs the script.
// Bounds:  loopback only; every read and write ends after kPatience.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "relay/http/http_pool.hpp"

namespace eventrelay::relay::test {

inline constexpr std::chrono::seconds kPatience{10};

// One accepted connection. Thread: its own.
class Peer {
 public:
  Peer(asio::ip::tcp::socket socket, int number) : socket_(std::move(socket)), number_(number) {
    const timeval limit{kPatience.count(), 0};
    ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }

  // 1 for the first connection of the server.
  [[nodiscard]] int number() const { return number_; }
  [[nodiscard]] asio::ip::tcp::socket& socket() { return socket_; }

  // One whole request, by its Content-Length; empty if the client is gone.
  std::string read_request() {
    for (;;) {
      const std::size_t head = buffer_.find("\r\n\r\n");
      if (head != std::string::npos) {
        const std::size_t size = head + 4 + body_size(buffer_.substr(0, head));
        if (buffer_.size() >= size) {
          std::string request = buffer_.substr(0, size);
          buffer_.erase(0, size);
          return request;
        }
      }
      if (!fill()) return {};
    }
  }
  bool write(const std::string& bytes) {
    ErrorCode error;
    asio::write(socket_, asio::buffer(bytes), error);
    return !error;
  }
  void wait_closed() {
    while (fill()) {
    }
  }
  void close() {
    ErrorCode ignored;
    socket_.close(ignored);
  }
  // Ends with RST instead of FIN.
  void reset() {
    socket_.set_option(asio::socket_base::linger(true, 0));
    close();
  }

 private:
  static std::size_t body_size(const std::string& head) {
    const std::string name = "Content-Length: ";
    const std::size_t at = head.find(name);
    return at == std::string::npos ? 0 : std::stoul(head.substr(at + name.size()));
  }
  bool fill() {
    char bytes[65536];
    ErrorCode error;
    const std::size_t n = socket_.read_some(asio::buffer(bytes), error);
    if (error) return false;
    buffer_.append(bytes, n);
    return true;
  }

  asio::ip::tcp::socket socket_;
  int number_;
  std::string buffer_;
};

// Listens on 127.0.0.1 and runs the script on each connection. Thread: owner.
class Server {
 public:
  using Script = std::function<void(Peer&)>;

  explicit Server(Script script)
      : script_(std::move(script)), acceptor_(context_, {asio::ip::address_v4::loopback(), 0}) {
    port_ = acceptor_.local_endpoint().port();
    thread_ = std::thread([this] { accept(); });
  }
  ~Server() {
    stopping_ = true;
    // Wakes the accept.
    asio::ip::tcp::socket waker(context_);
    ErrorCode ignored;
    waker.connect({asio::ip::address_v4::loopback(), port_}, ignored);
    thread_.join();
    for (std::thread& thread : peers_) thread.join();
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] int connections() const { return connections_; }

 private:
  void accept() {
    for (;;) {
      asio::ip::tcp::socket socket(context_);
      ErrorCode error;
      acceptor_.accept(socket, error);
      if (error || stopping_) return;
      const int number = ++connections_;
      peers_.emplace_back([this, number, moved = std::move(socket)]() mutable {
        Peer peer(std::move(moved), number);
        script_(peer);
      });
    }
  }

  Script script_;
  asio::io_context context_;
  asio::ip::tcp::acceptor acceptor_;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> peers_;
  std::thread thread_;
};

// One exchange whose end is kept. Thread: the client's.
class TestExchange final : public Exchange {
 public:
  [[nodiscard]] Parts compose() override { return parts; }
  void on_done(const Result& result) override { end = result; }

  Parts parts;
  std::optional<Result> end;
};

using Lookup = std::function<LookupAnswer(const std::string& host)>;

// Names answered by a function that may block: one thread per question, ended by the destructor.
// Thread: any.
class ScriptedNames final : public NameService {
 public:
  explicit ScriptedNames(Lookup lookup) : lookup_(std::move(lookup)) {}
  ~ScriptedNames() override {
    for (std::thread& thread : threads_) thread.join();
  }

  void ask(const std::string& host, Done done) override {
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([this, host, done = std::move(done)] {
      LookupAnswer found = lookup_(host);
      if (!stopped_) done(std::move(found));
    });
  }
  void stop() override { stopped_ = true; }

 private:
  Lookup lookup_;
  std::mutex mutex_;
  std::atomic<bool> stopped_{false};
  std::vector<std::thread> threads_;
};

// The client side: a loop, a resolver with an injected lookup, a pool. Thread: owner.
class Client {
 public:
  explicit Client(PoolOptions options = {}, Lookup lookup = {})
      : resolver_(resolver_options(std::move(lookup))),
        pool_(context_.get_executor(), resolver_, options) {}
  ~Client() {
    pool_.shutdown();
    resolver_.stop();
  }

  [[nodiscard]] HttpPool& pool() { return pool_; }
  [[nodiscard]] asio::io_context& context() { return context_; }

  [[nodiscard]] static EndpointKey key(std::uint16_t port) {
    EndpointKey key;
    key.tls = false;
    key.allow_private = true;
    key.host = "127.0.0.1";
    key.port = port;
    return key;
  }

  // Runs the loop until `ready` or the patience ends; false: it never was.
  bool run_until(const std::function<bool()>& ready) {
    const TimePoint end = monotonic_now() + kPatience;
    while (!ready()) {
      if (monotonic_now() > end) return false;
      context_.restart();
      context_.run_one_for(std::chrono::milliseconds(5));
    }
    return true;
  }

  void start(TestExchange& exchange, const std::shared_ptr<Endpoint>& endpoint,
             std::vector<std::string> parts, Duration timeout = kPatience) {
    kept_ = std::move(parts);
    kept_.resize(4);
    for (std::size_t i = 0; i < 4; ++i) exchange.parts[i] = asio::buffer(kept_[i]);
    exchange.deadline = monotonic_now() + timeout;
    exchange.delivery =
        Delivery(endpoint->key.tls ? Delivery::Scheme::Https : Delivery::Scheme::Http, {});
    exchange.end.reset();
    pool_.start(endpoint, exchange);
  }

  // One whole exchange with a small request.
  Result exchange(const std::shared_ptr<Endpoint>& endpoint, Duration timeout = kPatience) {
    TestExchange exchange;
    start(exchange, endpoint, {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n", "{}"},
          timeout);
    if (!run_until([&] { return exchange.end.has_value(); })) return Result{};
    return *exchange.end;
  }

 private:
  static ResolverOptions resolver_options(Lookup lookup) {
    ResolverOptions options;
    if (lookup) options.names = std::make_shared<ScriptedNames>(std::move(lookup));
    options.ttl_floor = options.negative = options.stale_max = Duration::zero();
    return options;
  }

  asio::io_context context_{1};
  Resolver resolver_;
  HttpPool pool_;
  std::vector<std::string> kept_;
};

inline const std::string kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

}  // namespace eventrelay::relay::test
