#include "tests/component/ingest/client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <ctime>
#include <stdexcept>
#include <system_error>

#include "common/base/crypto.hpp"

namespace eventrelay::ingest::test {

struct Client::State {
  int socket = -1;
  SSL_CTX* context = nullptr;
  SSL* tls = nullptr;
  std::string received;

  ~State() {
    if (tls != nullptr) {
      SSL_shutdown(tls);
      SSL_free(tls);
    }
    if (context != nullptr) SSL_CTX_free(context);
    if (socket >= 0) ::close(socket);
  }
};

namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

void start_tls(SSL_CTX*& context, SSL*& tls, int socket) {
  context = SSL_CTX_new(TLS_client_method());
  tls = SSL_new(context);
  SSL_set_fd(tls, socket);
  if (SSL_connect(tls) != 1) throw std::runtime_error("TLS handshake failed");
}

// RFC 3339 as Box writes it.
[[nodiscard]] std::string stamp_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S+00:00", &parts);
  return text.data();
}

}  // namespace

Client::Client(std::uint16_t port, Wire wire) : state_(std::make_unique<State>()) {
  state_->socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (state_->socket < 0) fail("socket");
  const timeval patience{.tv_sec = kClientPatience.count(), .tv_usec = 0};
  ::setsockopt(state_->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(state_->socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(state_->socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail("connect");
  }
  if (wire == Wire::Tls) start_tls(state_->context, state_->tls, state_->socket);
}

Client::Client(Client&&) noexcept = default;
Client::~Client() = default;

void Client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = state_->tls != nullptr
                          ? SSL_write(state_->tls, bytes.data(), static_cast<int>(bytes.size()))
                          : ::send(state_->socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) fail("send");
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

bool Client::try_send(std::string_view bytes) {
  return ::send(state_->socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
}

std::size_t Client::receive() {
  std::array<char, 16384> chunk;
  const auto got = state_->tls != nullptr
                       ? SSL_read(state_->tls, chunk.data(), static_cast<int>(chunk.size()))
                       : ::recv(state_->socket, chunk.data(), chunk.size(), 0);
  if (got < 0 && state_->tls == nullptr) fail("recv");
  if (got <= 0) return 0;
  state_->received.append(chunk.data(), static_cast<std::size_t>(got));
  return static_cast<std::size_t>(got);
}

std::optional<Answer> Client::answer() {
  std::string& text = state_->received;
  std::size_t end = 0;
  while ((end = text.find("\r\n\r\n")) == std::string::npos) {
    if (receive() != 0) continue;
    if (text.empty()) return std::nullopt;
    throw std::runtime_error("the answer ends within its head: " + text);
  }
  Answer answer;
  answer.status = std::stoi(text.substr(9, 3));
  for (std::size_t at = text.find("\r\n") + 2; at < end + 2;) {
    const std::size_t line = text.find("\r\n", at);
    const std::size_t colon = text.find(':', at);
    std::string name = text.substr(at, colon - at);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    answer.fields[name] = text.substr(colon + 2, line - colon - 2);
    at = line + 2;
  }
  text.erase(0, end + 4);
  if (answer.status == 100) return answer;
  const std::size_t length = std::stoul(answer.fields.at("content-length"));
  while (text.size() < length) {
    if (receive() == 0) throw std::runtime_error("the answer ends within its body");
  }
  answer.body = text.substr(0, length);
  text.erase(0, length);
  return answer;
}

bool Client::closed() {
  return state_->received.empty() && receive() == 0;
}

bool Client::readable(std::chrono::milliseconds limit) {
  if (!state_->received.empty()) return true;
  pollfd poll{.fd = state_->socket, .events = POLLIN, .revents = 0};
  return ::poll(&poll, 1, static_cast<int>(limit.count())) > 0;
}

void Client::shut_writing() {
  ::shutdown(state_->socket, SHUT_WR);
}

std::string BoxEvent::body() const {
  return R"({"type":"webhook_event","id":")" + id +
         R"(","created_at":"2026-03-01T10:10:32-07:00","trigger":"FILE.UPLOADED",)"
         R"("webhook":{"id":"1616161","type":"webhook"},)"
         R"("created_by":{"type":"user","id":"226067247","name":"Ada","login":"a@b.c"},)"
         R"("source":{"id":"73835521473","type":"file","name":"a.png","description":")" +
         std::string(filler, 'x') + R"("},"additional_info":[]})";
}

std::string BoxEvent::head(std::string_view body, std::string_view framing) const {
  const std::string at = stamp_now();
  crypto::Hmac mac(crypto::Digest::Sha256, key);
  mac.start();
  mac.update(body);
  mac.update(at);
  const std::string signature = crypto::base64(mac.finish().view());
  return "POST " + target +
         " HTTP/1.1\r\nHost: relay.example\r\nContent-Type: application/json\r\n"
         "BOX-DELIVERY-ID: 673a081b-bb4b-4d45-b4f1-4131a29c1d07\r\n"
         "BOX-DELIVERY-TIMESTAMP: " +
         at + "\r\nBOX-SIGNATURE-VERSION: 1\r\nBOX-SIGNATURE-ALGORITHM: HmacSHA256\r\n" +
         "BOX-SIGNATURE-PRIMARY: " + signature + "\r\n" + extra + std::string(framing) + "\r\n\r\n";
}

std::string BoxEvent::request() const {
  const std::string bytes = body();
  return head(bytes, "Content-Length: " + std::to_string(bytes.size())) + bytes;
}

}  // namespace eventrelay::ingest::test
