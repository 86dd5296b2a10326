#include "common/process/notify.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

namespace eventrelay {
namespace {

// The service manager's end of the socket.
class NotifyTest : public ::testing::Test {
 protected:
  NotifyTest() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {}
  ~NotifyTest() override {
    ::close(socket_);
    if (path_.front() == '/') ::unlink(path_.c_str());
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }

  void listen(const std::string& path) {
    path_ = path;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    if (path.front() == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() +
                                             (path.front() == '@' ? 0 : 1));
    ASSERT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&address), size), 0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }

  std::string said() const {
    std::string text(4096, '\0');
    const ssize_t size = ::recv(socket_, text.data(), text.size(), 0);
    text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return text;
  }

  int socket_;
  std::string path_ = "@none";
};

TEST_F(NotifyTest, TellsHowTheServiceStands) {
  for (const std::string& path : {::testing::TempDir() + "notify_" + std::to_string(::getpid()),
                                  "@eventrelay-notify-" + std::to_string(::getpid())}) {
    ::close(socket_);
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    listen(path);
    Notify notify;
    notify.ready();
    EXPECT_EQ(said(), "READY=1");
    notify.reloading();
    EXPECT_THAT(said(), ::testing::MatchesRegex("RELOADING=1\nMONOTONIC_USEC=[0-9]+"));
    notify.stopping();
    EXPECT_EQ(said(), "STOPPING=1");
    notify.alive();
    EXPECT_EQ(said(), "WATCHDOG=1");
    if (path.front() == '/') ::unlink(path.c_str());
  }
  path_ = "@gone";
}

TEST_F(NotifyTest, FeedsTheWatchdogTwiceInItsTime) {
  listen("@eventrelay-watchdog-" + std::to_string(::getpid()));
  ::setenv("WATCHDOG_USEC", "3000000", 1);
  EXPECT_EQ(Notify().watchdog_interval(), std::chrono::milliseconds{1500});
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  EXPECT_EQ(Notify().watchdog_interval(), std::chrono::milliseconds{1500});
  ::setenv("WATCHDOG_PID", "1", 1);  // meant for another process
  EXPECT_FALSE(Notify().watchdog_interval());
}

TEST_F(NotifyTest, SaysNothingWhereNobodyListens) {
  Notify().ready();
  ::setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
  Notify().ready();
  ::setenv("NOTIFY_SOCKET", ("/" + std::string(300, 'x')).c_str(), 1);
  Notify().ready();
  EXPECT_FALSE(Notify().watchdog_interval());
}

}  // namespace
}  // namespace eventrelay
