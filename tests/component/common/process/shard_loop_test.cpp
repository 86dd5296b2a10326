#include "common/process/shard_loop.hpp"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>

#include <boost/asio/post.hpp>
#include <future>
#include <new>
#include <string>

namespace eventrelay {
namespace {

// Runs `work` after everything posted before it.
template <class Work>
auto after_all(ShardLoop& loop, Work work) {
  std::promise<decltype(work())> result;
  loop.post([&] { result.set_value(work()); });
  return result.get_future().get();
}

TEST(ShardLoop, RunsPostedWorkInOrderOnItsOwnThread) {
  metrics::Slab slab;
  ShardLoop loop(0, slab);
  loop.start();
  std::string order;
  std::thread::id thread;
  loop.post([&] { order += 'a'; });
  loop.post([&] { order += 'b'; });
  loop.call([&] {
    order += 'c';
    thread = std::this_thread::get_id();
  });
  EXPECT_EQ(order, "abc");
  EXPECT_NE(thread, std::this_thread::get_id());
}

TEST(ShardLoop, GoesOnAfterAThrowAndCountsIt) {
  metrics::Slab slab;
  ShardLoop loop(0, slab);
  loop.start();
  loop.post([] { throw std::runtime_error("one"); });
  loop.post([] { throw 2; });
  EXPECT_EQ(after_all(loop, [] { return 7; }), 7);
  EXPECT_EQ(slab.event_loop_exceptions_total.read(), 2U);
}

TEST(ShardLoop, LetsItsOwnerBeginAnewAfterAThrow) {
  metrics::Slab slab;
  ShardLoop loop(0, slab);
  int recovered = 0;
  loop.set_on_exception([&] {
    if (++recovered == 2) throw std::bad_alloc();  // there is no memory for that either
  });
  loop.start();
  for (int i = 0; i < 3; ++i) loop.post([] { throw std::bad_alloc(); });
  EXPECT_EQ(after_all(loop, [&] { return recovered; }), 3);
}

TEST(ShardLoop, TellsHowLongItHasNotComeRound) {
  using std::chrono::milliseconds;
  metrics::Slab slab;
  ShardLoop loop(0, slab);
  EXPECT_EQ(loop.silent_for(), Duration::zero());
  loop.start();
  std::promise<void> release;
  loop.post([&] { release.get_future().wait(); });
  const TimePoint end = monotonic_now() + std::chrono::seconds{10};
  while (loop.silent_for() < milliseconds{500} && monotonic_now() < end) std::this_thread::yield();
  EXPECT_GE(loop.silent_for(), milliseconds{500});
  release.set_value();
  while (loop.silent_for() > milliseconds{300} && monotonic_now() < end) std::this_thread::yield();
  EXPECT_LE(loop.silent_for(), milliseconds{300});
}

TEST(ShardLoop, HandsAThrowOfACallToItsCaller) {
  metrics::Slab slab;
  ShardLoop loop(0, slab);
  loop.start();
  EXPECT_THROW(loop.call([] { throw std::runtime_error("told"); }), std::runtime_error);
  EXPECT_EQ(slab.event_loop_exceptions_total.read(), 0U);
}

TEST(ShardLoop, RunsACallOnTheCallerWhenItDoesNotRun) {
  metrics::Slab slab;
  ShardLoop loop(0, slab);
  int ran = 0;
  loop.call([&] { ++ran; });
  EXPECT_EQ(ran, 1);
  loop.start();
  loop.stop();
  loop.call([&] { ++ran; });
  EXPECT_EQ(ran, 2);
  loop.call([&] { ++ran; });
  EXPECT_EQ(ran, 3);
}

TEST(ShardLoop, MeasuresHowLateItsTimersRun) {
  metrics::Slab slab;
  ShardLoop loop(0, slab);
  loop.start();
  // Keeps the loop busy past the next look of the lag timer.
  loop.call([] {
    const TimePoint end = monotonic_now() + std::chrono::milliseconds{300};
    while (monotonic_now() < end) {
    }
  });
  const TimePoint limit = monotonic_now() + std::chrono::seconds{5};
  while (slab.event_loop_lag_seconds.read() < 0.15 && monotonic_now() < limit) {
    std::this_thread::yield();
  }
  EXPECT_GE(slab.event_loop_lag_seconds.read(), 0.15);
}

TEST(ShardLoop, NamesAndBindsItsThread) {
  metrics::Slab slab;
  cpu_set_t available;
  ASSERT_EQ(sched_getaffinity(0, sizeof available, &available), 0);
  ShardLoop bound(1, slab, Placement::PerCore);
  bound.start();
  char name[16] = {};
  cpu_set_t set;
  bound.call([&] {
    pthread_getname_np(pthread_self(), name, sizeof name);
    sched_getaffinity(0, sizeof set, &set);
  });
  EXPECT_STREQ(name, "shard-1");
  EXPECT_EQ(CPU_COUNT(&set), 1);
  CPU_AND(&set, &set, &available);
  EXPECT_EQ(CPU_COUNT(&set), 1);
  metrics::Slab other;
  ShardLoop free(0, other);
  free.start();
  free.call([&] { sched_getaffinity(0, sizeof set, &set); });
  EXPECT_TRUE(CPU_EQUAL(&set, &available));
}

TEST(ShardCount, IsOnePerCoreUnlessConfigured) {
  cpu_set_t available;
  ASSERT_EQ(sched_getaffinity(0, sizeof available, &available), 0);
  const auto cores = static_cast<unsigned>(CPU_COUNT(&available));
  EXPECT_EQ(shard_count(0), std::min(cores, 256U));
  EXPECT_EQ(shard_count(3), 3U);
  EXPECT_EQ(shard_count(1000), 256U);
  EXPECT_EQ(placement_of(cores), Placement::PerCore);
  if (cores > 1) {
    EXPECT_EQ(placement_of(1), Placement::Free);
  }
}

}  // namespace
}  // namespace eventrelay
