#include "common/base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace eventrelay {

void assert_failed(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "eventrelay: assertion failed: %s (%s:%d)\n", expression, file, line);
  std::abort();
}

}  // namespace eventrelay
