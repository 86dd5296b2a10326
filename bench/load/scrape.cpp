#include "bench/load/scrape.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <string>

namespace eventrelay::bench {
namespace {

constexpr std::size_t kAnswerMax = 4U << 20;
constexpr std::string_view kRequest =
    "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";

std::string ask(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval limit{5, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
      ::send(fd, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) > 0) {
    std::array<char, 65536> chunk{};
    while (answer.size() < kAnswerMax) {
      const ssize_t n = ::recv(fd, chunk.data(), chunk.size(), 0);
      if (n <= 0) break;
      answer.append(chunk.data(), static_cast<std::size_t>(n));
    }
  }
  ::close(fd);
  return answer;
}

}  // namespace

std::uint64_t counter_of(std::uint16_t admin_port, std::string_view name) {
  const std::string answer = ask(admin_port);
  if (answer.find(" 200 ") == std::string::npos) {
    throw std::runtime_error("no metrics from 127.0.0.1:" + std::to_string(admin_port));
  }
  double sum = 0;
  std::istringstream lines(answer);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(name, 0) != 0) continue;
    if (line[name.size()] != ' ' && line[name.size()] != '{') continue;
    sum += std::strtod(line.c_str() + line.rfind(' '), nullptr);
  }
  return static_cast<std::uint64_t>(sum);
}

}  // namespace eventrelay::bench
