#include "bench/load/sink.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <deque>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/base/clock.hpp"

namespace eventrelay::bench {
namespace {

constexpr std::size_t kRequestMax = 64U << 10;
constexpr std::size_t kConnectionsMax = 4096;
constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

// The size of the first whole request in `in`, or 0.
std::size_t whole_request(std::string_view in) {
  const std::size_t head = in.find("\r\n\r\n");
  if (head == std::string_view::npos) return 0;
  std::size_t length = 0;
  const std::size_t field = in.find("Content-Length: ");
  if (field < head) std::from_chars(in.data() + field + 16, in.data() + head, length);
  const std::size_t size = head + 4 + length;
  return in.size() >= size ? size : 0;
}

bool is_signed(std::string_view request) {
  return request.find("-Signature: ") != std::string_view::npos ||
         request.find("webhook-signature: ") != std::string_view::npos;
}

}  // namespace

// The index in `"id":"<16 hex>-bench"`, as box_body() wrote it; the low 32 bits count the requests.
std::size_t event_index(std::string_view request) {
  const std::size_t mark = request.find("-bench\"");
  std::uint64_t id = 0;
  if (mark == std::string_view::npos || mark < 16) return SIZE_MAX;
  std::from_chars(request.data() + mark - 16, request.data() + mark, id, 16);
  return static_cast<std::size_t>(id & 0xffff'ffffU);
}

// The epoll loop. Thread: the sink's own, but for end().
class Sink::Loop {
 public:
  Loop(std::uint16_t port, Sink& sink) : sink_(sink) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener_, 4096) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("the sink cannot listen on 127.0.0.1:" + std::to_string(port));
    }
    sink_.port_ = ntohs(address.sin_port);
    watch(listener_, EPOLLIN);
    watch(end_, EPOLLIN);
  }
  ~Loop() {
    for (auto& [fd, connection] : connections_) ::close(fd);
    ::close(listener_);
    ::close(end_);
    ::close(epoll_);
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void end() const {
    const std::uint64_t one = 1;
    if (::write(end_, &one, sizeof one) < 0) ::abort();
  }

  void run() {
    std::array<epoll_event, 512> events{};
    for (;;) {
      const int n = ::epoll_wait(epoll_, events.data(), events.size(), until_due());
      answer_due();
      for (int i = 0; i < n; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == end_) return;
        if (fd == listener_) {
          accept_all();
        } else {
          receive(fd);
        }
      }
    }
  }

 private:
  struct Connection {
    std::uint64_t number = 0;  // tells it from a later one with the same descriptor
    std::string in;
  };
  struct Due {
    TimePoint at;
    int fd;
    std::uint64_t connection;
  };

  // Milliseconds until the next answer is due; -1: none is.
  [[nodiscard]] int until_due() const {
    if (due_.empty()) return -1;
    const Duration left = std::max(due_.front().at - monotonic_now(), Duration{});
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
  }

  void answer_due() {
    if (due_.empty()) return;
    const TimePoint now = monotonic_now();
    for (; !due_.empty() && due_.front().at <= now; due_.pop_front()) {
      const auto known = connections_.find(due_.front().fd);
      if (known == connections_.end() || known->second.number != due_.front().connection) continue;
      send_answer(known->first);
    }
  }

  void watch(int fd, std::uint32_t what) const {
    epoll_event event{};
    event.events = what;
    event.data.fd = fd;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  void accept_all() {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd < 0) return;
      if (connections_.size() >= kConnectionsMax) {
        ::close(fd);
        continue;
      }
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      connections_[fd].number = ++accepted_;
      watch(fd, EPOLLIN);
    }
  }

  void receive(int fd) {
    std::array<char, 16384> chunk{};
    Connection& connection = connections_[fd];
    std::string& in = connection.in;
    const ssize_t n = ::recv(fd, chunk.data(), chunk.size(), 0);
    if (n <= 0 || in.size() + static_cast<std::size_t>(n) > kRequestMax) {
      ::close(fd);
      connections_.erase(fd);
      return;
    }
    const std::string_view read(chunk.data(), static_cast<std::size_t>(n));
    if (in.empty() && whole_request(read) == read.size()) return answer(fd, connection, read);
    in += read;
    while (const std::size_t size = whole_request(in)) {
      answer(fd, connection, std::string_view(in).substr(0, size));
      in.erase(0, size);
    }
  }

  void answer(int fd, const Connection& connection, std::string_view request) {
    if (!is_signed(request)) sink_.unsigned_.fetch_add(1, std::memory_order_relaxed);
    sink_.requests_.fetch_add(1, std::memory_order_relaxed);
    if (sink_.arrivals_ != nullptr) note_arrival(event_index(request));
    if (sink_.delay_ == Duration{}) return send_answer(fd);
    due_.push_back({monotonic_now() + sink_.delay_, fd, connection.number});
  }

  static void send_answer(int fd) {
    if (::send(fd, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL) < 0) return;  // the peer is gone
  }

  void note_arrival(std::size_t index) const {
    if (index >= sink_.arrivals_->size()) return;
    auto& cell = (*sink_.arrivals_)[index];
    if (cell.load(std::memory_order_relaxed) != 0) return;
    cell.store(monotonic_now().time_since_epoch().count(), std::memory_order_relaxed);
  }

  Sink& sink_;
  int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  int end_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int listener_ = -1;
  std::unordered_map<int, Connection> connections_;
  std::uint64_t accepted_ = 0;
  std::deque<Due> due_;  // answers, in the order of their time
};

Sink::Sink(std::uint16_t port, Arrivals* arrivals, Duration delay)
    : arrivals_(arrivals), delay_(delay), loop_(std::make_unique<Loop>(port, *this)) {
  thread_ = std::thread([this] { loop_->run(); });
}

Sink::~Sink() {
  loop_->end();
  thread_.join();
}

}  // namespace eventrelay::bench
