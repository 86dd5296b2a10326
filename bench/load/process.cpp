#include "bench/load/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "bench/load/allocations.hpp"
#include "bench/load/memory_watch.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX declares it nowhere

namespace eventrelay::bench {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(10);
constexpr std::size_t kOutputShown = 600;

std::string slurp(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// A file of zeroes that the process under test maps as well.
const std::atomic<std::uint64_t>* share_cells(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0 || ::ftruncate(file, kAllocationsBytes) != 0) {
    throw std::runtime_error("cannot write " + path);
  }
  void* const cells = ::mmap(nullptr, kAllocationsBytes, PROT_READ, MAP_SHARED, file, 0);
  ::close(file);
  if (cells == MAP_FAILED) throw std::runtime_error("cannot map " + path);
  return static_cast<const std::atomic<std::uint64_t>*>(cells);
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments, std::string log,
                 const std::string& counter)
    : name_(arguments.at(0)), log_(std::move(log)) {
  std::vector<std::string> settings;
  if (!counter.empty()) {
    const std::string shared = log_ + ".allocations";
    allocations_ = share_cells(shared);
    settings = {"LD_PRELOAD=" + counter, kAllocationsVariable + ("=" + shared)};
  }
  std::vector<char*> variables;
  for (char** each = environ; *each != nullptr; ++each) variables.push_back(*each);
  for (auto& setting : settings) variables.push_back(setting.data());
  variables.push_back(nullptr);
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  start(argv.data(), variables.data());
}

// Between fork and exec only what the standard allows in a process of several threads is called.
void Process::start(char* const* argv, char* const* variables) {
  // What exec says comes through a pipe that a program which was started closes.
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("cannot start " + name_);
  const pid_t bench = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {
    // It ends with the bench, however that ends.
    const int file = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file >= 0 && ::dup2(file, 1) == 1 && ::dup2(1, 2) == 2 &&
        ::prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && ::getppid() == bench) {
      ::execvpe(argv[0], argv, variables);
    }
    (void)!::write(ends[1], "!", 1);
    ::_exit(127);
  }
  ::close(ends[1]);
  char failed = 0;
  const bool started = pid_ > 0 && ::read(ends[0], &failed, 1) == 0;
  ::close(ends[0]);
  if (started) return;
  if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
  throw std::runtime_error("cannot start " + name_);
}

Process::~Process() {
  if (pid_ > 0) end();
  if (allocations_ != nullptr) {
    ::munmap(const_cast<std::atomic<std::uint64_t>*>(allocations_), kAllocationsBytes);
  }
}

std::string Process::output() const {
  const std::string text = slurp(log_);
  return text.substr(text.size() > kOutputShown ? text.size() - kOutputShown : 0);
}

std::string Process::wait_for(const std::string& word, Duration limit) {
  const TimePoint deadline = monotonic_now() + limit;
  for (;;) {
    std::istringstream lines(slurp(log_));
    for (std::string line; std::getline(lines, line);) {
      if (line.find(word) != std::string::npos) return line;
    }
    int status = 0;
    const bool ended = ::waitpid(pid_, &status, WNOHANG) == pid_;
    if (ended || monotonic_now() > deadline) {
      if (ended) pid_ = -1;
      throw std::runtime_error(name_ + (ended ? " ended" : " did not get ready") + ": " + output());
    }
    std::this_thread::sleep_for(kPoll);
  }
}

Usage Process::usage() const {
  Usage usage;
  clockid_t clock{};
  timespec used{};
  if (::clock_getcpuclockid(pid_, &clock) == 0 && ::clock_gettime(clock, &used) == 0) {
    usage.cpu_seconds = static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
  }
  usage.resident = resident_of(pid_);
  if (allocations_ != nullptr) {
    usage.allocations = 0;
    for (std::size_t i = 0; i < kAllocationsCells; ++i) {
      *usage.allocations += allocations_[i * kAllocationsStep].load(std::memory_order_relaxed);
    }
  }
  return usage;
}

int Process::wait_end(Duration limit) {
  const TimePoint deadline = monotonic_now() + limit;
  int status = 0;
  while (::waitpid(pid_, &status, WNOHANG) == 0) {
    if (monotonic_now() > deadline) throw std::runtime_error(name_ + " did not end: " + output());
    std::this_thread::sleep_for(kPoll);
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int Process::end(Duration limit) {
  if (pid_ <= 0) return -1;
  ::kill(pid_, SIGTERM);
  const TimePoint deadline = monotonic_now() + limit;
  int status = 0;
  while (::waitpid(pid_, &status, WNOHANG) == 0) {
    if (monotonic_now() > deadline) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, &status, 0);
      break;
    }
    std::this_thread::sleep_for(kPoll);
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace eventrelay::bench
