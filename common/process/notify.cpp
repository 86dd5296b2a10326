#include "common/process/notify.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace eventrelay {

namespace {

std::uint64_t environment_number(const char* name) noexcept {
  const char* const text = std::getenv(name);
  std::uint64_t value = 0;
  if (text != nullptr) std::from_chars(text, text + std::strlen(text), value);
  return value;
}

}  // namespace

Notify::Notify() {
  const char* const path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  path_ = path;
  if (path_.size() >= sizeof(sockaddr_un::sun_path)) return;
  if (path_.front() == '@') path_.front() = '\0';
  socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const std::uint64_t watchdog = environment_number("WATCHDOG_USEC");
  const std::uint64_t pid = environment_number("WATCHDOG_PID");
  const bool ours = pid == 0 || pid == static_cast<std::uint64_t>(::getpid());
  if (watchdog > 0 && ours) {
    interval_ = std::chrono::microseconds{static_cast<std::int64_t>(watchdog / 2)};
  }
}

Notify::~Notify() {
  if (socket_ >= 0) ::close(socket_);
}

void Notify::reloading() {
  // The manager tells by the time that this reload is not an older one.
  const auto usec =
      std::chrono::duration_cast<std::chrono::microseconds>(monotonic_now().time_since_epoch())
          .count();
  tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(usec));
}

void Notify::tell(std::string_view state) const noexcept {
  if (socket_ < 0) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size() +
                                           (path_.front() == '\0' ? 0 : 1));
  [[maybe_unused]] const auto sent = ::sendto(socket_, state.data(), state.size(), MSG_NOSIGNAL,
                                              reinterpret_cast<const sockaddr*>(&address), size);
}

}  // namespace eventrelay
