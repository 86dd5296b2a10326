// A child process whose stderr and stdout are read together.
//
// Thread: one owner.  Bounds: 20 s per wait; the child never outlives the object.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace eventrelay::testing {

// Thread: one owner.  Bounds: one process, one pipe.
class Child {
 public:
  Child(const std::string& program, std::vector<std::string> arguments,
        const std::vector<std::string>& environment = {}) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    arguments.insert(arguments.begin(), program);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::dup2(ends[1], STDERR_FILENO);
      ::unsetenv("EVENTRELAY_CONFIG");
      for (const std::string& pair : environment) {
        const std::size_t equals = pair.find('=');
        ::setenv(pair.substr(0, equals).c_str(), pair.c_str() + equals + 1, 1);
      }
      ::execv(program.c_str(), argv.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    out_ = ends[0];
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(out_);
  }

  void signal(int number) const { ::kill(pid_, number); }
  [[nodiscard]] const std::string& output() const { return text_; }

  // Reads until `word` has been written; false at the end of output or after 20 s.
  bool says(const std::string& word) {
    while (text_.find(word) == std::string::npos) {
      if (!fill()) return false;
    }
    return true;
  }

  // Exit code; -1 and a failure if it does not end, 128 + n if signal n ended it.
  int wait() {
    while (fill()) {
    }
    pollfd ended{static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)), POLLIN, 0};
    const bool in_time = ::poll(&ended, 1, limit_ms()) == 1;
    ::close(ended.fd);
    if (!in_time) {
      ADD_FAILURE() << "does not end: " << text_;
      return -1;
    }
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  static constexpr int limit_ms() noexcept { return 20'000; }

  bool fill() {
    pollfd ready{out_, POLLIN, 0};
    if (::poll(&ready, 1, limit_ms()) <= 0) return false;
    char bytes[4096];
    const ssize_t got = ::read(out_, bytes, sizeof bytes);
    if (got <= 0) return false;
    text_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  pid_t pid_ = -1;
  int out_ = -1;
  std::string text_;
};

}  // namespace eventrelay::testing
