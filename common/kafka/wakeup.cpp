#include "common/kafka/wakeup.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "common/base/start_error.hpp"

namespace eventrelay::kafka {

Wakeup::Wakeup(Executor executor) : read_end_(executor) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    throw StartError(std::string{"kafka: no pipe: "} + std::strerror(errno));
  }
  write_end_ = ends[1];
  read_end_.assign(ends[0]);
}

Wakeup::~Wakeup() {
  close();
}

void Wakeup::close() {
  ErrorCode ignored;
  read_end_.close(ignored);
  if (write_end_ >= 0) ::close(std::exchange(write_end_, -1));
}

}  // namespace eventrelay::kafka
