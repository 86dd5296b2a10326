// Counts by instance and minute: what is noted is what is read again.
#include "common/observe/event_sums.hpp"

#include <gtest/gtest.h>

namespace eventrelay::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr WallTime kBegin{seconds{1'800'000'000}};  // a whole minute

const EventSum* row_of(const std::vector<EventSum>& rows, std::uint64_t instance,
                       std::int64_t minute) {
  for (const EventSum& each : rows) {
    if (each.instance == instance && each.minute == minute) return &each;
  }
  return nullptr;
}

TEST(EventSums, ReadsAgainWhatWasNoted) {
  EventSums sums;
  EXPECT_TRUE(sums.empty());
  sums.note_received(InstanceId{7}, kBegin + seconds(3));
  sums.note_received(InstanceId{8}, kBegin + seconds(3));
  sums.note_received(InstanceId{7}, kBegin + seconds(3));
  sums.note_delivered(InstanceId{7}, kBegin + seconds(4), milliseconds(12));
  sums.note_failed(InstanceId{7}, kBegin + seconds(63));
  const std::vector<EventSum> rows = read_event_sums(sums.print(kSumRowsMax));
  ASSERT_EQ(rows.size(), 3U);
  constexpr std::int64_t kMinute = 30'000'000;
  const EventSum* const first = row_of(rows, 7, kMinute);
  ASSERT_NE(first, nullptr);
  ASSERT_EQ(first->seconds.size(), 2U);
  EXPECT_EQ(first->seconds[0].second, 3U);
  EXPECT_EQ(first->seconds[0].counts.events, 2U);
  EXPECT_EQ(first->seconds[1].counts.delivered, 1U);
  EXPECT_EQ(first->latency[4], 1U);  // less than 16 ms
  const EventSum* const next = row_of(rows, 7, kMinute + 1);
  ASSERT_NE(next, nullptr);
  EXPECT_EQ(next->seconds[0].counts.failed, 1U);
  ASSERT_NE(row_of(rows, 8, kMinute), nullptr);
  sums.forget(kSumRowsMax);
  EXPECT_TRUE(sums.empty());
}

TEST(EventSums, IsFullWhenItsRowsAre) {
  EventSums sums;
  for (std::uint64_t i = 1; i < kSumRowsMax; ++i) sums.note_received(InstanceId{i}, kBegin);
  EXPECT_FALSE(sums.full());
  sums.note_received(InstanceId{kSumRowsMax}, kBegin);
  EXPECT_TRUE(sums.full());
  // In pieces, each row once.
  std::size_t rows = 0;
  while (!sums.empty()) {
    rows += read_event_sums(sums.print(1000)).size();
    sums.forget(1000);
  }
  EXPECT_EQ(rows, kSumRowsMax);
}

// More of one row than fits where most have all of theirs.
TEST(EventSums, CountsManySecondsAndLatenciesOfOneInstance) {
  EventSums sums;
  constexpr std::uint32_t kSeconds = 60;
  for (std::uint32_t round = 0; round < 2; ++round) {
    for (std::uint32_t second = 0; second < kSeconds; ++second) {
      sums.note_received(InstanceId{7}, kBegin + seconds(second));
      sums.note_delivered(InstanceId{7}, kBegin + seconds(second), milliseconds(1 << second % 4));
    }
  }
  const std::vector<EventSum> rows = read_event_sums(sums.print(kSumRowsMax));
  ASSERT_EQ(rows.size(), 1U);
  ASSERT_EQ(rows[0].seconds.size(), kSeconds);
  for (const EventSum::Second& each : rows[0].seconds) {
    EXPECT_EQ(each.counts.events, 2U) << each.second;
    EXPECT_EQ(each.counts.delivered, 2U) << each.second;
  }
  for (std::size_t bucket = 1; bucket <= 4; ++bucket) {
    EXPECT_EQ(rows[0].latency[bucket], 30U) << bucket;
  }
}

TEST(EventSums, CountsOnInTheRowsThatStay) {
  EventSums sums;
  constexpr std::uint64_t kMany = 3000;
  for (std::uint64_t i = 1; i <= kMany; ++i) sums.note_received(InstanceId{i}, kBegin);
  EXPECT_EQ(read_event_sums(sums.print(1000)).size(), 1000U);
  sums.forget(1000);
  for (std::uint64_t i = 1; i <= kMany; ++i) sums.note_failed(InstanceId{i}, kBegin);
  const std::vector<EventSum> rows = read_event_sums(sums.print(kSumRowsMax));
  EXPECT_EQ(rows.size(), kMany);
  std::uint64_t received = 0;
  for (const EventSum& row : rows) {
    ASSERT_EQ(row.seconds.size(), 1U);
    received += row.seconds[0].counts.events;
    EXPECT_EQ(row.seconds[0].counts.failed, 1U);
  }
  EXPECT_EQ(received, kMany - 1000);
}

TEST(EventSums, LatencyGoesByPowersOfTwo) {
  EXPECT_EQ(latency_bucket(milliseconds(-5)), 0U);
  EXPECT_EQ(latency_bucket(milliseconds(0)), 0U);
  EXPECT_EQ(latency_bucket(milliseconds(1)), 1U);
  EXPECT_EQ(latency_bucket(milliseconds(16)), 5U);
  EXPECT_EQ(latency_bucket(milliseconds(15)), 4U);
  EXPECT_EQ(latency_bucket(std::chrono::hours(9000)), kLatencyBuckets - 1);
}

TEST(EventSums, ReadsNothingFromWhatIsNotOurs) {
  for (const char* const value :
       {"", "x", "[]", "{}", R"({"v":2,"rows":[]})", R"({"v":1,"rows":3})",
        R"({"v":1,"rows":[[1,2,[[60,1,1,1]],[]]]})", R"({"v":1,"rows":[[1,2,[],[[24,1]]]]})",
        R"({"v":1,"rows":[[1,-2,[],[]]]})", R"({"v":1,"rows":[[1,2,[[0,1,1]],[]]]})"}) {
    EXPECT_TRUE(read_event_sums(value).empty()) << value;
  }
}

}  // namespace
}  // namespace eventrelay::test
