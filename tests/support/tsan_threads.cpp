// The client library starts its threads by C11's calls, which the thread sanitizer does not know: a
// thread it has not seen begin ends the process at its first call. Linked into programs of the
// `tsan` preset, this leads them through the calls it does know.
#include <pthread.h>
#include <threads.h>

#include <memory>

namespace {

// What a new thread runs.
struct Start {
  thrd_start_t run;
  void* argument;
};

void* begin(void* raw) {
  const std::unique_ptr<Start> start(static_cast<Start*>(raw));
  return reinterpret_cast<void*>(static_cast<long>(start->run(start->argument)));
}

}  // namespace

extern "C" int thrd_create(thrd_t* thread, thrd_start_t run, void* argument) {
  auto start = std::make_unique<Start>(Start{run, argument});
  if (pthread_create(thread, nullptr, begin, start.get()) != 0) return thrd_error;
  (void)start.release();  // the thread's now
  return thrd_success;
}

extern "C" int thrd_join(thrd_t thread, int* result) {
  void* returned = nullptr;
  if (pthread_join(thread, &returned) != 0) return thrd_error;
  if (result != nullptr) *result = static_cast<int>(reinterpret_cast<long>(returned));
  return thrd_success;
}
