#include "bench/load/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX declares it nowhere

namespace eventrelay::bench {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(10);

std::string slurp(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments, std::string log)
    : name_(arguments.at(0)), log_(std::move(log)) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions{};
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  const int error = posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("cannot start " + name_);
}

Process::~Process() {
  if (pid_ > 0) end();
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
      const std::string text = slurp(log_);
      throw std::runtime_error(name_ + (ended ? " ended" : " did not get ready") + ": " +
                               text.substr(text.size() > 600 ? text.size() - 600 : 0));
    }
    std::this_thread::sleep_for(kPoll);
  }
}

Usage Process::usage() const {
  Usage usage;
  const std::string stat = slurp("/proc/" + std::to_string(pid_) + "/stat");
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  usage.cpu_seconds = (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  std::istringstream pages(slurp("/proc/" + std::to_string(pid_) + "/statm"));
  std::size_t size = 0;
  std::size_t resident = 0;
  pages >> size >> resident;
  usage.resident = resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return usage;
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
