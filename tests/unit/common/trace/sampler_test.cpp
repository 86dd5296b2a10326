#include "common/trace/sampler.hpp"

#include <gtest/gtest.h>

#include "common/base/random.hpp"

namespace eventrelay::trace {
namespace {

// A trace whose last eight bytes are `last`; the first eight never count.
TraceId trace_ending(std::uint64_t last) {
  return trace_seed({~last, last, 0}).trace;
}

TEST(Sampler, AlwaysOnAndOffAskNothing) {
  for (const std::uint64_t last : {std::uint64_t{0}, std::uint64_t{1}, UINT64_MAX}) {
    EXPECT_TRUE(Sampler::always_on().samples(trace_ending(last)));
    EXPECT_FALSE(Sampler::always_off().samples(trace_ending(last)));
    EXPECT_TRUE(Sampler::ratio(1).samples(trace_ending(last)));
    EXPECT_FALSE(Sampler::ratio(0).samples(trace_ending(last)));
  }
}

TEST(Sampler, RatioCutsTheNumbersOf63Bits) {
  const Sampler half = Sampler::ratio(0.5);
  EXPECT_TRUE(half.samples(trace_ending(0)));
  EXPECT_TRUE(half.samples(trace_ending((std::uint64_t{1} << 63U) - 1)));
  EXPECT_FALSE(half.samples(trace_ending(std::uint64_t{1} << 63U)));
  EXPECT_FALSE(half.samples(trace_ending(UINT64_MAX)));
}

TEST(Sampler, WhatASmallerShareTakesALargerTakesToo) {
  Random random(7);
  int small = 0;
  int large = 0;
  constexpr int kTraces = 20'000;
  for (int i = 0; i < kTraces; ++i) {
    const TraceId trace = trace_ending(random.next());
    const bool in_small = Sampler::ratio(0.1).samples(trace);
    const bool in_large = Sampler::ratio(0.4).samples(trace);
    EXPECT_TRUE(in_large || !in_small);
    small += in_small ? 1 : 0;
    large += in_large ? 1 : 0;
  }
  EXPECT_NEAR(small, kTraces / 10, kTraces / 100);
  EXPECT_NEAR(large, kTraces * 4 / 10, kTraces / 100);
}

}  // namespace
}  // namespace eventrelay::trace
