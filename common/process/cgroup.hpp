// What the control group of this process may use: cores and memory, by cgroup v2 or v1.
//
// Why:     a container sees all cores of its machine; more shards than its quota only take turns,
//          and memory beyond its limit ends the process.
// Thread:  any; reads a few small files.  Bounds: kLevelsMax groups above the own one are read.
// Errors:  none: what can not be read sets no limit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace eventrelay {

// Bounds: absent = no limit.
struct CgroupLimits {
  std::optional<double> cores;          // quota / period of the tightest group
  std::optional<std::uint64_t> memory;  // bytes, of the tightest group
};

// `root` stands for / in a test.
[[nodiscard]] CgroupLimits cgroup_limits(const std::string& root = "");

// Cores to run shards on: those of the affinity mask, at most the quota rounded up, at least one.
[[nodiscard]] unsigned usable_cores(unsigned in_mask, const CgroupLimits& limits) noexcept;

}  // namespace eventrelay
