// A blocking HTTP/1.1 client that sends exactly the bytes it is given.
//
// Thread: one owner.  Bounds: 10 s per read.  Errors: test failures.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace eventrelay::testing {

// Status line, headers and body as received.
struct RawResponse {
  int status = 0;
  std::string head;
  std::string body;

  [[nodiscard]] std::string header(const std::string& name) const {
    const std::size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    const std::size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

// Thread: one owner.  Bounds: one socket.
class HttpProbe {
 public:
  // `address` as in the line `ready`, 127.0.0.1:PORT.
  explicit HttpProbe(const std::string& address) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    timeval limit{10, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&peer), sizeof peer), 0);
  }
  HttpProbe(const HttpProbe&) = delete;
  HttpProbe& operator=(const HttpProbe&) = delete;
  ~HttpProbe() { ::close(socket_); }

  void send(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;  // the answer tells why the peer stopped reading
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  // The next answer; `head_only` for the answer to HEAD. Status 0 if the connection ended first.
  RawResponse read(bool head_only = false) {
    RawResponse response;
    std::size_t head_end = std::string::npos;
    while ((head_end = received_.find("\r\n\r\n")) == std::string::npos) {
      if (!fill()) return response;
    }
    response.head = received_.substr(0, head_end + 2);
    received_.erase(0, head_end + 4);
    response.status = std::stoi(response.head.substr(9, 3));
    const std::string length = response.header("Content-Length");
    const std::size_t size = head_only || length.empty() ? 0 : std::stoul(length);
    while (received_.size() < size) {
      if (!fill()) break;
    }
    response.body = received_.substr(0, size);
    received_.erase(0, size);
    return response;
  }

  RawResponse get(const std::string& path, const std::string& headers = {}) {
    send("GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers + "\r\n");
    return read();
  }
  RawResponse post(const std::string& path, const std::string& headers = {}) {
    send("POST " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" +
         "Content-Length: 0\r\n" + headers + "\r\n");
    return read();
  }

  // True if the peer closes without a further byte.
  bool closed() { return received_.empty() && !fill(); }

 private:
  bool fill() {
    char bytes[4096];
    const ssize_t got = ::recv(socket_, bytes, sizeof bytes, 0);
    EXPECT_FALSE(got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) << "peer says nothing";
    if (got <= 0) return false;
    received_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  int socket_;
  std::string received_;
};

}  // namespace eventrelay::testing
