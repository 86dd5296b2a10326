// A program under test: started, watched through /proc, ended by its own pid.
//
// Thread:  the one that starts it lives as long as the program: the kernel ends both together.
// Bounds:  one child; its output goes to a file.
// Errors:  std::runtime_error naming the program and the end of its output.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.hpp"

namespace eventrelay::bench {

// What a process has taken up to one moment.
struct Usage {
  double cpu_seconds = 0;                    // user and system
  std::size_t resident = 0;                  // bytes
  std::optional<std::uint64_t> allocations;  // none: not counted, see Process
};

// A child process. Thread: one owner.  Bounds: ended, at the latest, by the destructor.
class Process {
 public:
  // Starts `arguments[0]`; its stdout and stderr go to `log`. Its allocations are counted by
  // `counter`, a library that is loaded before its own; none is: they are not counted.
  Process(const std::vector<std::string>& arguments, std::string log,
          const std::string& counter = {});
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  // Waits until a line of the log holds `word`; returns that line.
  [[nodiscard]] std::string wait_for(const std::string& word, Duration limit);
  [[nodiscard]] Usage usage() const;
  // Waits until it ends by itself; returns the exit status. Throws when it takes longer.
  int wait_end(Duration limit);
  // The end of its output.
  [[nodiscard]] std::string output() const;
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  // SIGTERM, then SIGKILL after `limit`; returns the exit status, -1 when it was killed.
  int end(Duration limit = std::chrono::seconds(10));

 private:
  void start(char* const* argv, char* const* variables);

  std::string name_;
  std::string log_;
  pid_t pid_ = -1;
  const std::atomic<std::uint64_t>* allocations_ = nullptr;  // shared with it
};

}  // namespace eventrelay::bench
