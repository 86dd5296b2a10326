#include "common/trace/span_queue.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace eventrelay::trace {
namespace {

Span numbered(std::int64_t number) {
  Span span;
  span.begin_ns = number;
  span.name = "a name that is longer than what a text keeps inside itself";
  return span;
}

TEST(SpanQueue, GivesWhatItGotInItsOrder) {
  SpanQueue queue([] {});
  for (int i = 0; i < 5; ++i) queue.put(numbered(i));
  EXPECT_EQ(queue.size(), 5U);
  std::vector<Span> out;
  queue.take(out, 3);
  queue.take(out, 3);  // has three already
  ASSERT_EQ(out.size(), 3U);
  queue.take(out, 10);
  ASSERT_EQ(out.size(), 5U);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(out[static_cast<std::size_t>(i)].begin_ns, i);
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_EQ(queue.ended(), 5U);
  EXPECT_EQ(queue.dropped(), 0U);
}

TEST(SpanQueue, DropsAndCountsWhatFindsNoRoom) {
  SpanQueue queue([] {});
  for (std::size_t i = 0; i < kQueueMax + 7; ++i) queue.put(numbered(static_cast<int>(i)));
  EXPECT_EQ(queue.size(), kQueueMax);
  EXPECT_EQ(queue.dropped(), 7U);
  EXPECT_EQ(queue.ended(), kQueueMax + 7);
  // The newest were dropped, and there is room again once some are taken.
  std::vector<Span> out;
  queue.take(out, 1);
  EXPECT_EQ(out.front().begin_ns, 0);
  queue.put(numbered(-1));
  EXPECT_EQ(queue.dropped(), 7U);
  queue.take(out, kQueueMax + 1);
  EXPECT_EQ(out[kQueueMax - 1].begin_ns, static_cast<std::int64_t>(kQueueMax - 1));
  EXPECT_EQ(out[kQueueMax].begin_ns, -1);
}

TEST(SpanQueue, TellsEachBatchThatWaits) {
  int told = 0;
  SpanQueue queue([&told] { ++told; });
  for (std::size_t i = 0; i + 1 < kBatchMax; ++i) queue.put(numbered(0));
  EXPECT_EQ(told, 0);
  queue.put(numbered(0));
  EXPECT_EQ(told, 1);
  for (std::size_t i = 0; i < kBatchMax; ++i) queue.put(numbered(0));
  EXPECT_EQ(told, 2);
}

TEST(SpanQueue, LosesNothingBetweenTwoThreads) {
  constexpr std::int64_t kSpans = 50'000;
  SpanQueue queue([] {});
  std::thread writer([&queue] {
    for (std::int64_t i = 0; i < kSpans; ++i) {
      while (queue.size() == kQueueMax) std::this_thread::yield();
      queue.put(numbered(i));
    }
  });
  std::int64_t expected = 0;
  while (expected < kSpans) {
    std::vector<Span> out;
    queue.take(out, 100);
    for (const Span& span : out) {
      ASSERT_EQ(span.begin_ns, expected++);
      ASSERT_FALSE(span.name.empty());
    }
  }
  writer.join();
  EXPECT_EQ(queue.dropped(), 0U);
}

}  // namespace
}  // namespace eventrelay::trace
