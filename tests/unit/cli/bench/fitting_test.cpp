#include "bench/scenarios/fitting.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace eventrelay::bench {
namespace {

std::string refusal(const std::string& kafka) {
  try {
    require_local_broker(kafka);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return {};
}

TEST(Fitting, LoadGoesToLoopbackAlone) {
  for (const char* kafka :
       {"10.0.0.1:9092", "127.evil.example:9092", "127.0.0.1.example:9092",
        "127.0.0.1:9092,10.0.0.1:9092", "localhost.example:9092", "0.0.0.0:9092", "[::1]:9092"}) {
    EXPECT_EQ(refusal(kafka), std::string("--kafka ") + kafka +
                                  ": load is only ever sent to loopback (127.0.0.0/8)");
  }
}

TEST(Fitting, AnAddressIsAHostAndAPort) {
  for (const char* kafka : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:99999",
                            "127.0.0.1:9092,", "127.0.0.1:9092x"}) {
    EXPECT_EQ(refusal(kafka), std::string("--kafka ") + kafka + ": is not HOST:PORT");
  }
}

TEST(Fitting, ABrokerThatIsAwayIsNamedWithTheWayOut) {
  EXPECT_EQ(
      refusal("127.0.0.1:1"),
      "--kafka 127.0.0.1:1: nobody listens there; `tests/support/kafka_broker --bench` starts "
      "one");
}

TEST(Fitting, MemoryGrowsWithWhatIsAskedFor) {
  BenchOptions options;
  const std::uint64_t least = memory_of(options, 0, 0);
  EXPECT_GT(memory_of(options, 1000, 0), least + 1'000'000);
  options.body_size = 16U << 10U;
  EXPECT_GT(memory_of(options, 0, 100'000), least + (std::uint64_t{1} << 30U));
  options.subscriptions = 100'000;
  EXPECT_GT(memory_of(options, 0, 0), least + (std::uint64_t{1} << 30U));
}

TEST(Fitting, WhatDoesNotFitIsRefusedWithBothFigures) {
  refuse_what_does_not_fit(1U << 30U, 1U << 30U);
  try {
    refuse_what_does_not_fit(std::uint64_t{5} << 30U, std::uint64_t{2} << 30U);
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(),
                 "this shape takes about 5.0 GiB of memory, 2.0 GiB are available: ask for fewer "
                 "subscriptions, instances or records, or for smaller bodies");
  }
  EXPECT_GT(memory_available(), 1U << 20U);
}

TEST(Fitting, MoreDescriptorsThanAreAllowedAreRefused) {
  require_descriptors(10);
  EXPECT_THROW(require_descriptors(std::uint64_t{1} << 40U), std::runtime_error);
}

}  // namespace
}  // namespace eventrelay::bench
