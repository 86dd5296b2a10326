#include "common/process/cgroup.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <string_view>

namespace eventrelay {

namespace {

constexpr int kLevelsMax = 64;
// Kernels write "no limit" of v1 as the largest page-aligned number.
constexpr std::uint64_t kNoLimit = std::uint64_t{1} << 60U;

std::optional<std::string> first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!file || !std::getline(file, line)) return std::nullopt;
  return line;
}

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  return value;
}

template <class T>
void tighten(std::optional<T>& limit, T value) {
  limit = limit ? std::min(*limit, value) : value;
}

void tighten_cores(CgroupLimits& limits, std::optional<std::int64_t> quota,
                   std::optional<std::int64_t> period) {
  if (!quota || !period || *quota <= 0 || *period <= 0) return;  // "max", or -1 in v1
  tighten(limits.cores, static_cast<double>(*quota) / static_cast<double>(*period));
}

void tighten_memory(CgroupLimits& limits, const std::optional<std::string>& line) {
  const auto bytes = line ? number(*line) : std::nullopt;
  if (!bytes || *bytes <= 0 || static_cast<std::uint64_t>(*bytes) >= kNoLimit) return;
  tighten(limits.memory, static_cast<std::uint64_t>(*bytes));
}

void read_v2(const std::string& folder, CgroupLimits& limits) {
  if (const auto line = first_line(folder + "/cpu.max")) {
    const std::size_t blank = std::min(line->find(' '), line->size());
    tighten_cores(limits, number(line->substr(0, blank)),
                  number(line->substr(std::min(blank + 1, line->size()))));
  }
  tighten_memory(limits, first_line(folder + "/memory.max"));
}

void read_v1_cpu(const std::string& folder, CgroupLimits& limits) {
  const auto quota = first_line(folder + "/cpu.cfs_quota_us");
  const auto period = first_line(folder + "/cpu.cfs_period_us");
  if (quota && period) tighten_cores(limits, number(*quota), number(*period));
}

void read_v1_memory(const std::string& folder, CgroupLimits& limits) {
  tighten_memory(limits, first_line(folder + "/memory.limit_in_bytes"));
}

// The group itself and all above it: each may be the tightest. A container often sees its own
// group as the root, whatever /proc/self/cgroup calls it.
template <class Read>
void each_level(const std::string& mount, std::string path, CgroupLimits& limits, Read read) {
  for (int level = 0; level < kLevelsMax; ++level) {
    if (path == "/") path.clear();
    read(mount + path, limits);
    if (path.empty()) return;
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
}

bool names(std::string_view list, std::string_view controller) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (list.substr(0, comma) == controller) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

}  // namespace

CgroupLimits cgroup_limits(const std::string& root) {
  CgroupLimits limits;
  const std::string mounts = root + "/sys/fs/cgroup";
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    // hierarchy:controllers:path
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      each_level(mounts, path, limits, read_v2);
      each_level(mounts + "/unified", path, limits, read_v2);  // beside v1
    }
    if (names(controllers, "cpu")) {
      each_level(mounts + "/" + controllers, path, limits, read_v1_cpu);
      each_level(mounts + "/cpu", path, limits, read_v1_cpu);
    }
    if (names(controllers, "memory")) each_level(mounts + "/memory", path, limits, read_v1_memory);
  }
  return limits;
}

unsigned usable_cores(unsigned in_mask, const CgroupLimits& limits) noexcept {
  const unsigned cores = std::max(in_mask, 1U);
  if (!limits.cores || *limits.cores >= static_cast<double>(cores)) return cores;
  return std::max(1U, static_cast<unsigned>(std::ceil(*limits.cores)));
}

}  // namespace eventrelay
