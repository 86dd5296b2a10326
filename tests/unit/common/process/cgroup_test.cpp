#include "common/process/cgroup.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace eventrelay {
namespace {

namespace fs = std::filesystem;

// A machine's files below a folder of its own.
class CgroupTest : public ::testing::Test {
 protected:
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text << '\n';
  }
  std::string root_ = ::testing::TempDir() + "cgroup_test_" + std::to_string(::getpid());
};

TEST_F(CgroupTest, NothingIsNoLimit) {
  const CgroupLimits limits = cgroup_limits(root_);
  EXPECT_FALSE(limits.cores);
  EXPECT_FALSE(limits.memory);
  EXPECT_EQ(usable_cores(8, limits), 8U);
  EXPECT_EQ(usable_cores(0, limits), 1U);
}

TEST_F(CgroupTest, ReadsTheUnifiedHierarchy) {
  write("/proc/self/cgroup", "0::/a.slice/b.scope");
  write("/sys/fs/cgroup/a.slice/b.scope/cpu.max", "150000 100000");
  write("/sys/fs/cgroup/a.slice/b.scope/memory.max", "268435456");
  const CgroupLimits limits = cgroup_limits(root_);
  EXPECT_DOUBLE_EQ(limits.cores.value(), 1.5);
  EXPECT_EQ(limits.memory.value(), 268435456U);
  EXPECT_EQ(usable_cores(8, limits), 2U);
  EXPECT_EQ(usable_cores(1, limits), 1U);
}

TEST_F(CgroupTest, TheTightestGroupAboveCounts) {
  write("/proc/self/cgroup", "0::/a.slice/b.scope");
  write("/sys/fs/cgroup/a.slice/b.scope/cpu.max", "max 100000");
  write("/sys/fs/cgroup/a.slice/b.scope/memory.max", "max");
  write("/sys/fs/cgroup/a.slice/cpu.max", "50000 100000");
  write("/sys/fs/cgroup/a.slice/memory.max", "1000");
  const CgroupLimits limits = cgroup_limits(root_);
  EXPECT_DOUBLE_EQ(limits.cores.value(), 0.5);
  EXPECT_EQ(limits.memory.value(), 1000U);
  EXPECT_EQ(usable_cores(8, limits), 1U);
}

TEST_F(CgroupTest, AContainerSeesItsGroupAsTheRoot) {
  write("/proc/self/cgroup", "0::/kubepods/pod1/abc");  // of the machine, not to be found here
  write("/sys/fs/cgroup/cpu.max", "200000 100000");
  EXPECT_EQ(usable_cores(8, cgroup_limits(root_)), 2U);
}

TEST_F(CgroupTest, ReadsTheHierarchiesOfV1) {
  write("/proc/self/cgroup", "7:cpu,cpuacct:/docker/x\n3:memory:/docker/x\n1:name=systemd:/x");
  write("/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "250000");
  write("/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us", "100000");
  write("/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "500");
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
  CgroupLimits limits = cgroup_limits(root_);
  EXPECT_EQ(usable_cores(8, limits), 3U);
  EXPECT_EQ(limits.memory.value(), 500U);
  write("/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "-1");
  EXPECT_FALSE(cgroup_limits(root_).cores);
}

TEST_F(CgroupTest, PassesOverWhatItCanNotRead) {
  write("/proc/self/cgroup", "nonsense\n0::/\n");
  for (const char* text : {"", "max", "x 100000", "100000", "100000 0", "-1 100000", "0 100000"}) {
    write("/sys/fs/cgroup/cpu.max", text);
    write("/sys/fs/cgroup/memory.max", "x");
    const CgroupLimits limits = cgroup_limits(root_);
    EXPECT_FALSE(limits.cores) << text;
    EXPECT_FALSE(limits.memory) << text;
  }
}

}  // namespace
}  // namespace eventrelay
