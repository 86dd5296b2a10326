#include "common/process/core_dump.hpp"

#include <sys/resource.h>

namespace eventrelay {

void forbid_core_dumps() noexcept {
  // Less than a page writes no file, and 1 is the value at which the kernel does not run a pipe
  // either; 0 would.
  const rlimit limit{1, 1};
  (void)::setrlimit(RLIMIT_CORE, &limit);  // lowering a limit can not fail
}

}  // namespace eventrelay
