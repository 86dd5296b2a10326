#include "common/base/allocator.hpp"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

namespace eventrelay {

void deepen_malloc_caches(char** argv) noexcept {
  static constexpr const char* kName = "GLIBC_TUNABLES";
  if (std::getenv(kName) != nullptr) return;
  std::array<char, 4096> program{};
  // Started by its path, so that the process keeps its name.
  const auto length = ::readlink("/proc/self/exe", program.data(), program.size() - 1);
  if (length <= 0) return;
  std::array<char, 64> value{};
  std::snprintf(value.data(), value.size(), "glibc.malloc.tcache_count=%d", kCachedBlocks);
  if (::setenv(kName, value.data(), 0) != 0) return;
  ::execv(program.data(), argv);
  ::unsetenv(kName);
}

}  // namespace eventrelay
