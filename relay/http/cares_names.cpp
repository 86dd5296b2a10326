#include "relay/http/cares_names.hpp"

#include <ares.h>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/basic_endpoint.hpp>
#include <cstring>
#include <list>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

#include "common/base/start_error.hpp"

namespace eventrelay::relay {

namespace {

constexpr int kFirstTimeoutMs = 2500;  // of one try; c-ares doubles it with each round
constexpr int kTries = 3;
// Bytes of an answer by UDP that no path cuts into pieces, as name servers agreed on in 2020. What
// is longer is taken as far as it goes: asked for again by TCP where nobody listens, c-ares would
// end the questions of all other names to that server, too.
constexpr int kAnswerBytes = 1232;
constexpr int kFlags = ARES_FLAG_EDNS | ARES_FLAG_IGNTC;
constexpr Duration kSecondFamily = std::chrono::milliseconds(50);  // RFC 8305 3, resolution delay
constexpr Duration kPollMax = std::chrono::seconds(60);
constexpr const char* kResolvConf = "/etc/resolv.conf";

struct Question {
  std::string host;
  NameService::Done done;
};

// One name under way: two answers, of which one with addresses is enough.
struct Pending {
  NameService::Done done;
  LookupAnswer found;
  int open = 2;       // families that have not answered
  bool told = false;  // `done` has run
  TimePoint tell_at = TimePoint::max();
  std::array<int, 2> status{ARES_SUCCESS, ARES_SUCCESS};
};

// What the C callback of one family needs to find its name.
struct Family {
  std::list<Pending>* names;
  std::list<Pending>::iterator name;
  std::size_t index;
};

// "There is no such name" is an answer; everything else may be different in a minute.
bool is_lasting(int status) noexcept {
  return status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_EBADNAME;
}

void note_ttl(LookupAnswer& found, int given) {
  const Duration ttl = std::chrono::seconds(std::max(0, given));
  found.ttl = std::min(found.ttl.value_or(ttl), ttl);
}

void append(LookupAnswer& found, const ares_addrinfo& result) {
  for (const ares_addrinfo_cname* each = result.cnames; each != nullptr; each = each->next) {
    note_ttl(found, each->ttl);
  }
  for (const ares_addrinfo_node* each = result.nodes; each != nullptr; each = each->ai_next) {
    Tcp::endpoint endpoint;
    if (each->ai_addrlen > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), each->ai_addr, each->ai_addrlen);
    endpoint.resize(each->ai_addrlen);
    note_ttl(found, each->ai_ttl);
    found.addresses.push_back(endpoint.address());
  }
}

// Both families have failed: the one that says more.
void explain(Pending& name) {
  const auto [first, second] = name.status;
  name.found.passing = !is_lasting(first) || !is_lasting(second);
  const int told = is_lasting(first) ? second : first;
  name.found.reason = ares_strerror(told);
}

void tell(Pending& name) {
  if (std::exchange(name.told, true)) return;
  if (name.found.addresses.empty()) explain(name);
  name.done(std::move(name.found));
}

void on_family(void* context, int status, int, ares_addrinfo* result) {
  const std::unique_ptr<Family> family(static_cast<Family*>(context));
  Pending& name = *family->name;
  name.status[family->index] = status;
  if (result != nullptr) {
    if (!name.told) append(name.found, *result);
    ares_freeaddrinfo(result);
  }
  if (--name.open == 0) {
    // A channel that is closed has no answer for anybody.
    if (status != ARES_EDESTRUCTION) tell(name);
    family->names->erase(family->name);
  } else if (!name.found.addresses.empty()) {
    name.tell_at = monotonic_now() + kSecondFamily;
  }
}

timespec changed_at(const char* file) {
  struct stat seen {};
  return ::stat(file, &seen) == 0 ? seen.st_mtim : timespec{};
}

}  // namespace

// Thread: run() is the thread; `mutex_` guards what other threads touch.
class CaresNames::Loop {
 public:
  explicit Loop(std::string servers) : servers_(std::move(servers)) {
    static const int ready = ares_library_init(ARES_LIB_INIT_ALL);
    if (ready != ARES_SUCCESS) throw StartError(std::string("c-ares: ") + ares_strerror(ready));
    wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_ < 0) throw StartError("no descriptor left for name lookups");
    try {
      open();
    } catch (...) {
      ::close(wake_);
      throw;
    }
    thread_ = std::thread([this] { run(); });
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop() {
    stop();
    ::close(wake_);
  }

  void ask(Question question) {
    {
      const std::lock_guard lock(mutex_);
      if (stopped_) return;
      asked_.push_back(std::move(question));
    }
    wake();
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(stopped_, true)) return;
    }
    wake();
    thread_.join();
  }

 private:
  void wake() const {
    const std::uint64_t one = 1;
    (void)!::write(wake_, &one, sizeof one);
  }

  static void on_socket(void* self, ares_socket_t socket, int readable, int writable) {
    auto& sockets = static_cast<Loop*>(self)->sockets_;
    const auto events = (readable != 0 ? POLLIN : 0) | (writable != 0 ? POLLOUT : 0);
    if (events == 0) {
      sockets.erase(socket);
    } else {
      sockets[socket] = static_cast<short>(events);
    }
  }

  // Reads /etc/resolv.conf.
  void open() {
    conf_ = changed_at(kResolvConf);
    ares_options options{};
    options.flags = kFlags;
    options.ednspsz = kAnswerBytes;
    options.timeout = kFirstTimeoutMs;
    options.tries = kTries;
    options.sock_state_cb = on_socket;
    options.sock_state_cb_data = this;
    int mask = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
               ARES_OPT_SOCK_STATE_CB;
#ifdef ARES_OPT_UDP_MAX_QUERIES
    // From 1.20 on. An answer that can not be read ends all questions of its socket.
    options.udp_max_queries = 1;
    mask |= ARES_OPT_UDP_MAX_QUERIES;
#endif
    int status = ares_init_options(&channel_, &options, mask);
    if (status == ARES_SUCCESS && !servers_.empty()) {
      status = ares_set_servers_ports_csv(channel_, servers_.c_str());
    }
    if (status != ARES_SUCCESS) {
      throw StartError(std::string("name lookups can not begin: ") + ares_strerror(status));
    }
  }

  // The name servers may have changed, as after a network came up.
  void follow_resolv_conf() {
    if (!names_.empty()) return;
    const timespec now = changed_at(kResolvConf);
    if (now.tv_sec == conf_.tv_sec && now.tv_nsec == conf_.tv_nsec) return;
    conf_ = now;
    ares_channel before = std::exchange(channel_, nullptr);
    try {
      open();
      ares_destroy(before);
    } catch (const StartError&) {
      channel_ = before;  // half written, or gone: the old servers go on
    }
  }

  void begin(Question question) {
    names_.emplace_back();
    const auto name = std::prev(names_.end());
    name->done = std::move(question.done);
    constexpr std::array families{AF_INET6, AF_INET};
    for (std::size_t i = 0; i < families.size(); ++i) {
      ares_addrinfo_hints hints{};
      hints.ai_family = families[i];
      hints.ai_socktype = SOCK_STREAM;
      auto* const family = new Family{&names_, name, i};
      ares_getaddrinfo(channel_, question.host.c_str(), nullptr, &hints, on_family, family);
    }
  }

  [[nodiscard]] int wait_ms() const {
    Duration wait = kPollMax;
    const TimePoint now = monotonic_now();
    for (const Pending& name : names_) {
      if (!name.told && name.tell_at != TimePoint::max()) {
        wait = std::min(wait, std::max(Duration::zero(), name.tell_at - now));
      }
    }
    timeval limit{};
    const timeval* const next = ares_timeout(channel_, nullptr, &limit);
    if (next != nullptr) {
      wait = std::min<Duration>(
          wait, std::chrono::seconds(next->tv_sec) + std::chrono::microseconds(next->tv_usec));
    }
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(wait).count());
  }

  // False: stop.
  bool take_questions() {
    std::uint64_t ignored = 0;
    (void)!::read(wake_, &ignored, sizeof ignored);
    std::vector<Question> taken;
    {
      const std::lock_guard lock(mutex_);
      if (stopped_) return false;
      taken.swap(asked_);
    }
    if (!taken.empty()) follow_resolv_conf();
    for (Question& question : taken) begin(std::move(question));
    return true;
  }

  void run() {
    std::vector<pollfd> ready;
    while (take_questions()) {
      ready.assign(1, pollfd{wake_, POLLIN, 0});
      for (const auto& [socket, events] : sockets_) ready.push_back(pollfd{socket, events, 0});
      ::poll(ready.data(), ready.size(), wait_ms());
      for (std::size_t i = 1; i < ready.size(); ++i) {
        const short events = ready[i].revents;
        if (events == 0) continue;
        const bool readable = (events & (POLLIN | POLLERR | POLLHUP)) != 0;
        ares_process_fd(channel_, readable ? ready[i].fd : ARES_SOCKET_BAD,
                        (events & POLLOUT) != 0 ? ready[i].fd : ARES_SOCKET_BAD);
      }
      ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // what has timed out
      const TimePoint now = monotonic_now();
      for (Pending& name : names_) {
        if (name.tell_at <= now) tell(name);
      }
    }
    for (Pending& name : names_) name.told = true;
    ares_destroy(channel_);
  }

  const std::string servers_;
  ares_channel channel_ = nullptr;
  int wake_ = -1;
  timespec conf_{};
  std::unordered_map<ares_socket_t, short> sockets_;
  std::list<Pending> names_;

  std::mutex mutex_;
  std::vector<Question> asked_;
  bool stopped_ = false;
  std::thread thread_;
};

CaresNames::CaresNames(const std::string& servers) : loop_(std::make_unique<Loop>(servers)) {}

CaresNames::~CaresNames() = default;

void CaresNames::ask(const std::string& host, Done done) {
  loop_->ask(Question{host, std::move(done)});
}

void CaresNames::stop() {
  loop_->stop();
}

}  // namespace eventrelay::relay
