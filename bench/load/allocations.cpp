#include "bench/load/allocations.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>

// The C library's own names for what is defined again below.
extern "C" {
void* __libc_malloc(std::size_t size);                           // NOLINT
void* __libc_calloc(std::size_t count, std::size_t size);        // NOLINT
void* __libc_realloc(void* block, std::size_t size);             // NOLINT
void* __libc_memalign(std::size_t alignment, std::size_t size);  // NOLINT
}

namespace eventrelay::bench {
namespace {

using Counter = std::atomic<std::uint64_t>;

std::array<Counter, kAllocationsCells * kAllocationsStep> early;  // until the file is mapped
std::atomic<Counter*> cells{early.data()};
std::atomic<std::size_t> threads{0};
// Of this thread, by place; the model needs no call and so no allocation.
[[gnu::tls_model("initial-exec")]] thread_local std::size_t place = SIZE_MAX;

void count() noexcept {
  if (place == SIZE_MAX) place = threads.fetch_add(1, std::memory_order_relaxed);
  Counter& counter =
      cells.load(std::memory_order_relaxed)[place % kAllocationsCells * kAllocationsStep];
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

[[gnu::constructor]] void map_cells() {
  const char* const path = std::getenv(kAllocationsVariable);
  const int file = path != nullptr ? ::open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) return;
  void* const shared =
      ::mmap(nullptr, kAllocationsBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (shared != MAP_FAILED) cells.store(static_cast<Counter*>(shared));
}

}  // namespace
}  // namespace eventrelay::bench

using eventrelay::bench::count;

extern "C" {

void* malloc(std::size_t size) {
  count();
  return __libc_malloc(size);
}

void* calloc(std::size_t number, std::size_t size) {
  count();
  return __libc_calloc(number, size);
}

void* realloc(void* block, std::size_t size) {
  count();
  return __libc_realloc(block, size);
}

void* memalign(std::size_t alignment, std::size_t size) {
  count();
  return __libc_memalign(alignment, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) {
  count();
  return __libc_memalign(alignment, size);
}

int posix_memalign(void** block, std::size_t alignment, std::size_t size) {
  count();
  void* const made = __libc_memalign(alignment, size);
  if (made == nullptr) return ENOMEM;
  *block = made;
  return 0;
}
}
