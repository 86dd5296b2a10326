#include "bench/load/system_calls.hpp"

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <string>

namespace eventrelay::bench {
namespace {

// The number of the tracepoint that each system call passes; 0: it can not be read.
std::uint64_t tracepoint() {
  for (const char* where : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
    std::ifstream file(std::string(where) + "/events/raw_syscalls/sys_enter/id");
    std::uint64_t number = 0;
    if (file >> number) return number;
  }
  return 0;
}

}  // namespace

SystemCalls::SystemCalls(pid_t process) {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_TRACEPOINT;
  attributes.config = tracepoint();
  attributes.inherit = 1;
  if (attributes.config == 0) return;
  std::error_code gone;
  const std::string threads = "/proc/" + std::to_string(process) + "/task";
  for (const auto& thread : std::filesystem::directory_iterator(threads, gone)) {
    const std::string name = thread.path().filename().string();
    pid_t number = 0;
    std::from_chars(name.data(), name.data() + name.size(), number);
    const long counter =
        ::syscall(SYS_perf_event_open, &attributes, number, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (counter >= 0) counters_.push_back(static_cast<int>(counter));
  }
}

SystemCalls::~SystemCalls() {
  for (const int counter : counters_) ::close(counter);
}

std::optional<std::uint64_t> SystemCalls::count() const {
  if (counters_.empty()) return std::nullopt;
  std::uint64_t sum = 0;
  for (const int counter : counters_) {
    std::uint64_t calls = 0;
    if (::read(counter, &calls, sizeof calls) == sizeof calls) sum += calls;
  }
  return sum;
}

}  // namespace eventrelay::bench
