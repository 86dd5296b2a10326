#include "bench/load/generator.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <deque>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace eventrelay::bench {
namespace {

constexpr std::size_t kBacklogMax = 1'000'000;

sockaddr_in target_of(const LoadOptions& options) {
  sockaddr_in target{};
  target.sin_family = AF_INET;
  target.sin_port = htons(options.port);
  if (inet_pton(AF_INET, options.address.c_str(), &target.sin_addr) != 1 ||
      (ntohl(target.sin_addr.s_addr) >> 24U) != 127U) {
    throw std::runtime_error("load target " + options.address +
                             " is not a loopback address (127.0.0.0/8)");
  }
  return target;
}

struct Connection {
  int fd = -1;
  bool busy = false;
  std::string_view unsent;
  TimePoint due{};
  std::array<char, 2048> in{};
  std::size_t in_size = 0;
};

// One run. Thread: the caller's.
class Run {
 public:
  Run(const Requests& requests, const LoadOptions& options)
      : requests_(requests),
        options_(options),
        target_(target_of(options)),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        connections_(options.connections) {}
  ~Run() {
    for (auto& connection : connections_) {
      if (connection.fd >= 0) ::close(connection.fd);
    }
    ::close(epoll_);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  LoadResult go() {
    for (std::size_t i = 0; i < connections_.size(); ++i) open(i);
    start_ = next_due_ = monotonic_now();
    const TimePoint end = start_ + options_.duration;
    measure_from_ = start_ + options_.warm_up;
    if (options_.rate <= 0) {
      for (auto& connection : connections_) send_next(connection, start_);
    } else {
      for (auto& connection : connections_) idle_.push_back(&connection);
    }
    TimePoint now = start_;
    while (now < end && !counted_out()) {
      begin_measuring(now);
      if (options_.rate > 0) send_due(now);
      wait(now);
      now = monotonic_now();
    }
    result_.seconds = std::chrono::duration<double>(now - measure_from_).count();
    result_.late += backlog_.size();
    take_last_answers(now + options_.patience);
    return std::move(result_);
  }

 private:
  bool counted_out() const { return options_.count != 0 && finished_ >= options_.count; }

  // Sends nothing more.
  void take_last_answers(TimePoint until) {
    ending_ = true;
    for (TimePoint now = monotonic_now(); busy_ > 0 && now < until; now = monotonic_now()) {
      wait(now);
    }
  }

  void begin_measuring(TimePoint now) {
    if (measuring_ || now < measure_from_) return;
    measuring_ = true;
    measure_from_ = now;
    if (options_.on_measure) options_.on_measure();
  }

  void open(std::size_t i) {
    Connection& connection = connections_[i];
    connection.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    if (connection.fd < 0 || ::connect(connection.fd, reinterpret_cast<const sockaddr*>(&target_),
                                       sizeof target_) != 0) {
      throw std::runtime_error(std::string("cannot connect to the load target: ") +
                               std::strerror(errno));
    }
    ::setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::fcntl(connection.fd, F_SETFL, O_NONBLOCK);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.u64 = i;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
    connection.busy = false;
    connection.in_size = 0;
    connection.unsent = {};
  }

  void send_next(Connection& connection, TimePoint due) {
    if (ending_ || (options_.count != 0 && started_ >= options_.count)) return;
    connection.busy = true;
    ++busy_;
    connection.due = due;
    if (options_.due != nullptr) options_.due->push_back(due);
    connection.unsent = requests_.at((options_.first + started_++) % requests_.size());
    if (measuring_) ++result_.sent;
    flush(connection);
  }

  void flush(Connection& connection) {
    while (!connection.unsent.empty()) {
      const ssize_t n =
          ::send(connection.fd, connection.unsent.data(), connection.unsent.size(), MSG_NOSIGNAL);
      if (n < 0) return;  // full, or broken: the next read says which
      connection.unsent.remove_prefix(static_cast<std::size_t>(n));
    }
  }

  void send_due(TimePoint now) {
    const Duration step{static_cast<std::int64_t>(1e9 / options_.rate)};
    for (; next_due_ <= now; next_due_ += step) {
      if (backlog_.size() < kBacklogMax) {
        backlog_.push_back(next_due_);
      } else {
        ++result_.late;
      }
    }
    while (!backlog_.empty() && !idle_.empty()) {
      Connection* connection = idle_.front();
      idle_.pop_front();
      const TimePoint due = backlog_.front();
      backlog_.pop_front();
      send_next(*connection, due);
    }
  }

  void wait(TimePoint now) {
    std::array<epoll_event, 512> events{};
    timespec timeout{0, 50'000'000};
    if (options_.rate > 0 && !ending_) {
      timeout.tv_nsec = std::max<std::int64_t>((next_due_ - now).count(), 0);
      if (timeout.tv_nsec > 50'000'000) timeout.tv_nsec = 50'000'000;
    }
    const int n = ::epoll_pwait2(epoll_, events.data(), events.size(), &timeout, nullptr);
    for (int i = 0; i < n; ++i) {
      const auto& event = events[static_cast<std::size_t>(i)];
      const auto index = static_cast<std::size_t>(event.data.u64);
      if ((event.events & EPOLLOUT) != 0) flush(connections_[index]);
      if ((event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) receive(index);
    }
  }

  void receive(std::size_t index) {
    Connection& connection = connections_[index];
    for (;;) {
      const ssize_t n = ::recv(connection.fd, connection.in.data() + connection.in_size,
                               connection.in.size() - connection.in_size, 0);
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) return reopen(index);
      connection.in_size += static_cast<std::size_t>(n);
      const bool all = connection.in_size < connection.in.size();
      if (connection.busy && answered(connection)) return finish(index);
      if (!all) return reopen(index);  // an answer of that size comes from no program of ours
      return;                          // a short read: the socket is empty
    }
  }

  static bool answered(const Connection& connection) {
    const std::string_view in(connection.in.data(), connection.in_size);
    const std::size_t head = in.find("\r\n\r\n");
    if (head == std::string_view::npos) return false;
    std::size_t length = 0;
    const std::size_t field = in.find("Content-Length: ");
    if (field < head) std::from_chars(in.data() + field + 16, in.data() + head, length);
    return in.size() >= head + 4 + length;
  }

  void finish(std::size_t index) {
    Connection& connection = connections_[index];
    const std::string_view in(connection.in.data(), connection.in_size);
    int status = 0;
    std::from_chars(in.data() + 9, in.data() + 12, status);
    const TimePoint now = monotonic_now();
    ++finished_;
    if (options_.accepted != nullptr && status / 100 == 2) ++*options_.accepted;
    if (measuring_) {
      ++result_.by_status[status];
      if (status / 100 == 2) {
        ++result_.accepted;
        result_.latency.record(now - connection.due);
      }
    }
    const bool close = in.find("Connection: close") != std::string_view::npos;
    connection.in_size = 0;
    connection.busy = false;
    --busy_;
    if (close) return reopen(index);
    next(connection, now);
  }

  void next(Connection& connection, TimePoint now) {
    if (options_.rate <= 0) return send_next(connection, now);
    idle_.push_back(&connection);
    if (!backlog_.empty() && !ending_) send_due(now);
  }

  void reopen(std::size_t index) {
    Connection& connection = connections_[index];
    ::close(connection.fd);
    const bool was_idle = options_.rate > 0 && !connection.busy && in_idle(connection);
    if (connection.busy) {
      ++result_.broken;
      ++finished_;
      --busy_;
    }
    open(index);
    if (!was_idle) next(connection, monotonic_now());
  }

  bool in_idle(const Connection& connection) const {
    for (const Connection* idle : idle_) {
      if (idle == &connection) return true;
    }
    return false;
  }

  const Requests& requests_;
  const LoadOptions& options_;
  sockaddr_in target_;
  int epoll_;
  std::vector<Connection> connections_;
  std::deque<Connection*> idle_;
  std::deque<TimePoint> backlog_;
  TimePoint start_{};
  TimePoint measure_from_{};
  TimePoint next_due_{};
  bool measuring_ = false;
  bool ending_ = false;
  std::size_t busy_ = 0;  // connections with a request under way
  std::uint64_t started_ = 0;
  std::uint64_t finished_ = 0;
  LoadResult result_;
};

}  // namespace

LoadResult run_load(const Requests& requests, const LoadOptions& options) {
  return Run(requests, options).go();
}

}  // namespace eventrelay::bench
