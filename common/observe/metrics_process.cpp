#include "common/observe/metrics_process.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

namespace eventrelay::metrics {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily single(const char* name, const char* help, MetricType type, double value) {
  ClientMetric metric;
  (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  family.metric.push_back(std::move(metric));
  return family;
}

std::string read_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The fields of /proc/self/stat that follow the program's name, the only field that may hold
// spaces. Field 3 (state) is number 0. See proc(5).
std::vector<double> stat_fields() {
  const std::string line = read_line("/proc/self/stat");
  std::vector<double> fields;
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return fields;
  std::string_view rest = std::string_view{line}.substr(name_end + 1);
  while (!rest.empty()) {
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    const std::string_view word = rest.substr(0, rest.find(' '));
    double value = 0;
    std::from_chars(word.data(), word.data() + word.size(), value);
    fields.push_back(value);
    rest.remove_prefix(word.size());
  }
  return fields;
}

// Unix time of the last boot.
std::optional<double> boot_time() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("btime ", 0) == 0) return std::stod(line.substr(6));
  }
  return std::nullopt;
}

// Descriptors in use, without the one that reads the folder.
std::optional<double> open_descriptors() {
  std::error_code error;
  double count = 0;
  for (std::filesystem::directory_iterator it("/proc/self/fd", error), end; !error && it != end;
       it.increment(error)) {
    ++count;
  }
  if (error || count < 1) return std::nullopt;
  return count - 1;
}

}  // namespace

std::vector<MetricFamily> process_families() {
  constexpr std::size_t kUserTicks = 11;
  constexpr std::size_t kSystemTicks = 12;
  constexpr std::size_t kThreads = 17;
  constexpr std::size_t kStartTicks = 19;
  constexpr std::size_t kVirtualBytes = 20;
  constexpr std::size_t kResidentPages = 21;

  std::vector<MetricFamily> families;
  const auto add = [&families](const char* name, const char* help, MetricType type, double value) {
    families.push_back(single(name, help, type, value));
  };
  const std::vector<double> stat = stat_fields();
  if (stat.size() > kResidentPages) {
    const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
    add("process_cpu_seconds_total", "User and system CPU time spent.", MetricType::Counter,
        (stat[kUserTicks] + stat[kSystemTicks]) / ticks);
    add("process_resident_memory_bytes", "Resident memory size.", MetricType::Gauge,
        stat[kResidentPages] * static_cast<double>(sysconf(_SC_PAGESIZE)));
    add("process_virtual_memory_bytes", "Virtual memory size.", MetricType::Gauge,
        stat[kVirtualBytes]);
    add("process_threads", "Threads of the process.", MetricType::Gauge, stat[kThreads]);
    if (const auto boot = boot_time()) {
      add("process_start_time_seconds", "Unix time at which the process started.",
          MetricType::Gauge, *boot + stat[kStartTicks] / ticks);
    }
  }
  if (const auto open = open_descriptors()) {
    add("process_open_fds", "Open file descriptors.", MetricType::Gauge, *open);
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    add("process_max_fds", "Most file descriptors the process may open.", MetricType::Gauge,
        static_cast<double>(limit.rlim_cur));
  }
  return families;
}

}  // namespace eventrelay::metrics
