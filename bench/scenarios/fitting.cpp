#include "bench/scenarios/fitting.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <stdexcept>
#include <string_view>

#include "bench/load/requests.hpp"

namespace eventrelay::bench {
namespace {

constexpr std::uint64_t kProgramBytes = 256U << 20;  // two of ours without instances, and the load
constexpr std::uint64_t kInstance = 16U << 10;       // here and in the program under test
constexpr std::uint64_t kHead = 700;                 // of a request, or of a record
constexpr std::uint64_t kLogs = 2;                   // a record lies here and in the broker's log
constexpr std::uint64_t kPerArrival = 16;            // when it was due and when it came
constexpr std::uint64_t kExampleBody = 900;
constexpr std::uint64_t kOtherDescriptors = 64;
constexpr std::chrono::milliseconds kAnswerLimit{1000};

struct Address {
  std::uint32_t host = 0;  // 127.0.0.0/8
  std::uint16_t port = 0;
};

[[noreturn]] void refuse(const std::string& kafka, std::string_view why) {
  throw std::runtime_error(fmt::format("--kafka {}: {}", kafka, why));
}

Address address_of(const std::string& kafka, std::string_view each) {
  const std::size_t colon = each.rfind(':');
  if (colon == std::string_view::npos) refuse(kafka, "is not HOST:PORT");
  const std::string_view port = each.substr(colon + 1);
  std::string host(each.substr(0, colon));
  if (host == "localhost") host = "127.0.0.1";
  Address address;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc{} || end != port.data() + port.size() || address.port == 0) {
    refuse(kafka, "is not HOST:PORT");
  }
  in_addr parsed{};
  if (::inet_pton(AF_INET, host.c_str(), &parsed) != 1 ||
      (ntohl(parsed.s_addr) >> 24U) != IN_LOOPBACKNET) {
    refuse(kafka, "load is only ever sent to loopback (127.0.0.0/8)");
  }
  address.host = parsed.s_addr;
  return address;
}

bool listens(const Address& address) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in target{};
  target.sin_family = AF_INET;
  target.sin_port = htons(address.port);
  target.sin_addr.s_addr = address.host;
  (void)::connect(fd, reinterpret_cast<const sockaddr*>(&target), sizeof target);
  pollfd ready{fd, POLLOUT, 0};
  int error = 1;
  socklen_t size = sizeof error;
  if (::poll(&ready, 1, static_cast<int>(kAnswerLimit.count())) == 1) {
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  }
  ::close(fd);
  return error == 0;
}

double gib(std::uint64_t bytes) {
  return static_cast<double>(bytes) / (1U << 30U);
}

}  // namespace

std::uint64_t memory_of(const BenchOptions& options, std::uint64_t requests,
                        std::uint64_t records) {
  const std::uint64_t body = options.body_size > 0 ? options.body_size : kExampleBody;
  const std::uint64_t instances = std::max(options.instances, options.subscriptions);
  return kProgramBytes + instances * kInstance + requests * (body + kHead) +
         records * (kLogs * (body + kHead) + kPerArrival);
}

std::uint64_t memory_available() {
  std::ifstream info("/proc/meminfo");
  for (std::string name; info >> name;) {
    std::uint64_t kib = 0;
    if (name == "MemAvailable:" && info >> kib) return kib << 10U;
  }
  return UINT64_MAX;
}

void refuse_what_does_not_fit(std::uint64_t needed, std::uint64_t available) {
  if (needed <= available) return;
  throw std::runtime_error(fmt::format(
      "this shape takes about {:.1f} GiB of memory, {:.1f} GiB are available: ask for fewer "
      "subscriptions, instances or records, or for smaller bodies",
      gib(needed), gib(available)));
}

void require_local_broker(const std::string& kafka) {
  bool any = false;
  for (std::size_t at = 0; at <= kafka.size();) {
    const std::size_t end = std::min(kafka.find(',', at), kafka.size());
    const Address address = address_of(kafka, std::string_view(kafka).substr(at, end - at));
    any = any || listens(address);
    at = end + 1;
  }
  if (!any) refuse(kafka, "nobody listens there; `tests/support/kafka_broker --bench` starts one");
}

void require_descriptors(std::uint64_t needed) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  needed += kOtherDescriptors;
  if (needed > limit.rlim_max) {
    throw std::runtime_error(fmt::format(
        "this shape takes {} descriptors in one process, at most {} are allowed (ulimit -Hn)",
        needed, limit.rlim_max));
  }
  if (limit.rlim_cur >= needed) return;
  limit.rlim_cur = needed;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace eventrelay::bench
