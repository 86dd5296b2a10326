#include "bench/load/histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace eventrelay::bench {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;

TEST(Histogram, IsZeroWhenNothingWasRecorded) {
  EXPECT_EQ(Histogram().percentile(0.99), Duration{0});
}

TEST(Histogram, KeepsSmallValuesExactly) {
  Histogram histogram;
  for (int i = 1; i <= 50; ++i) histogram.record(nanoseconds(i));
  EXPECT_EQ(histogram.percentile(0.5), nanoseconds(25));
  EXPECT_EQ(histogram.percentile(1.0), nanoseconds(50));
}

TEST(Histogram, IsWithinTwoPercentOfTheSortedSamples) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> distribution(13, 2);  // around 0.4 ms, up to seconds
  std::vector<Duration> samples;
  Histogram histogram;
  for (int i = 0; i < 100'000; ++i) {
    const Duration sample{static_cast<std::int64_t>(distribution(random))};
    samples.push_back(sample);
    histogram.record(sample);
  }
  std::sort(samples.begin(), samples.end());
  for (const double share : {0.1, 0.5, 0.9, 0.99, 0.999}) {
    const auto rank = static_cast<std::size_t>(share * 100'000) - 1;
    const auto exact = static_cast<double>(samples[rank].count());
    EXPECT_NEAR(static_cast<double>(histogram.percentile(share).count()), exact, exact * 0.02)
        << share;
  }
  EXPECT_EQ(histogram.max(), samples.back());
}

TEST(Histogram, MergesAsIfRecordedInOne) {
  Histogram one;
  Histogram two;
  Histogram both;
  for (int i = 1; i < 1000; ++i) {
    (i % 3 == 0 ? one : two).record(microseconds(i * i));
    both.record(microseconds(i * i));
  }
  one.merge(two);
  EXPECT_EQ(one.count(), both.count());
  EXPECT_EQ(one.percentile(0.77), both.percentile(0.77));
}

TEST(Histogram, AddsWhatALateAnswerKeptFromBeingSent) {
  Histogram histogram;
  for (int i = 0; i < 99; ++i) histogram.record(microseconds(100));
  histogram.record(microseconds(1050));
  const Histogram corrected = histogram.corrected(microseconds(100));
  // 950, 850, ... 150 would have been waited for as well.
  EXPECT_EQ(corrected.count(), 109U);
  EXPECT_GT(corrected.percentile(0.93), microseconds(200));
  EXPECT_LT(histogram.percentile(0.93), microseconds(110));
  EXPECT_EQ(corrected.max(), histogram.max());
  EXPECT_EQ(histogram.corrected(Duration::zero()).count(), 100U);
}

TEST(Histogram, ClampsWhatIsOutside) {
  Histogram histogram;
  histogram.record(nanoseconds(-5));
  histogram.record(std::chrono::hours(24 * 365));
  EXPECT_EQ(histogram.count(), 2U);
  EXPECT_EQ(histogram.percentile(0.5), nanoseconds(0));
}

}  // namespace
}  // namespace eventrelay::bench
