// What one failed allocation costs: at each place in turn, one client and nothing else.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "tests/component/ingest/rig.hpp"

namespace {

// Allocations of this thread until one fails; negative: none does.
thread_local long allocations_left = -1;

void* allocate(std::size_t size) {
  if (allocations_left >= 0 && allocations_left-- == 0) throw std::bad_alloc();
  if (void* const bytes = std::malloc(size == 0 ? 1 : size)) return bytes;
  throw std::bad_alloc();
}

}  // namespace

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void* operator new(std::size_t size) {
  return allocate(size);
}
void* operator new[](std::size_t size) {
  return allocate(size);
}
void operator delete(void* bytes) noexcept {
  std::free(bytes);
}
void operator delete[](void* bytes) noexcept {
  std::free(bytes);
}
void operator delete(void* bytes, std::size_t) noexcept {
  std::free(bytes);
}
void operator delete[](void* bytes, std::size_t) noexcept {
  std::free(bytes);
}
#endif

namespace eventrelay::ingest::test {
namespace {

// One client with one event; 0 if its connection ends without an answer.
int one_event(Rig& rig, const std::string& id) {
  try {
    Client client = rig.client();
    client.send(BoxEvent{.id = id}.request());
    const auto answer = client.answer();
    return answer ? answer->status : 0;
  } catch (const std::exception&) {
    return 0;  // reset
  }
}

class IngestMemory : public ::testing::TestWithParam<Wire> {};

TEST_P(IngestMemory, AFailedAllocationCostsOneClientAtMost) {
  Rig rig({.wire = GetParam()});
  ASSERT_EQ(one_event(rig, "before"), 202);
  int lost = 0;
  for (long nth = 0; nth < 60; ++nth) {
    rig.on_shard([nth] { allocations_left = nth; });
    if (one_event(rig, "hit-" + std::to_string(nth)) != 202) ++lost;
    rig.on_shard([] { allocations_left = -1; });
    ASSERT_EQ(one_event(rig, "next-" + std::to_string(nth)), 202) << nth;
  }
  EXPECT_GT(lost, 0);  // else nothing was hit and nothing shown
  EXPECT_TRUE(eventually([&] { return rig.shard().figures().connections == 0; }));
  EXPECT_EQ(rig.shard().figures().inflight, 0U);
}

INSTANTIATE_TEST_SUITE_P(Wires, IngestMemory, ::testing::Values(Wire::Plain, Wire::Tls));

}  // namespace
}  // namespace eventrelay::ingest::test
