#include "cli/admin/status_view.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace eventrelay::cli {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr WallTime kNow{milliseconds{1'800'000'000'000}};

std::string lines_of(const char* text) {
  return status_lines(boost::json::parse(text).as_object(), kNow);
}

TEST(StatusView, ShowsBacklogsWithAgeAndDistance) {
  const std::string lines =
      lines_of(R"({"backlog":{"detached":1,"paused":0,"blocked":1,"oldest":[)"
               R"({"subscription":"427236","state":"detached","reason":"queue_full","partition":3,)"
               R"("from":120,"cursor":150,"distance":4000,"under_way":2,"since_ms":1799992500000},)"
               R"({"subscription":"7/audit","object":"9","state":"blocked","reason":"http_5xx",)"
               R"("partition":1,"from":5,"cursor":5,"end":9,"distance":4,"since_ms":1799999999000,)"
               R"("due_ms":1800000005000,"attempt":2}]}})");
  EXPECT_EQ(lines,
            "  backlog: detached 1 paused 0 blocked 1\n"
            "    427236 detached for 2h 5m (queue_full), 4000 behind in partition 3, from 120 at "
            "150\n"
            "    7/audit blocked object 9 for 1.0s (http_5xx), 4 behind in partition 1, from 5 at "
            "5 to 9, attempt 2, due in 5.0s\n");
}

TEST(StatusView, NamesOnlyPartitionsThatAreHeldOrStopped) {
  const std::string lines = lines_of(
      R"({"partitions":[{"partition":0,"unfinished":0},)"
      R"({"partition":1,"unfinished":8,"held_back":"write","reason":"retry.5s: no leader"},)"
      R"({"partition":2,"unfinished":1,"stopped":"record has an er-v other than 1"}]})");
  EXPECT_EQ(lines,
            "  partitions: 3, 2 held or stopped\n"
            "    partition 1 held: write, retry.5s: no leader, 8 unfinished\n"
            "    partition 2 stopped: record has an er-v other than 1, 1 unfinished\n");
}

TEST(StatusView, ShowsWhoFails) {
  EXPECT_THAT(lines_of(R"({"failing":[{"subscription":"7","outcome":"timeout","waiting":3,)"
                       R"("failures":9,"oldest_pending_ms":1799999940000}]})"),
              HasSubstr("    7 timeout, 3 waiting, 9 failures, oldest 1m 0s\n"));
  EXPECT_THAT(lines_of(R"({"failing":[{"subscription":"7","outcome":"tls","waiting":3,)"
                       R"("failures":9,"oldest_pending_ms":1799999940000,)"
                       R"("next_attempt_ms":1800000030000,"reason":"certificate has expired"}]})"),
              HasSubstr("oldest 1m 0s, next attempt in 30.0s (certificate has expired)\n"));
}

TEST(StatusView, PrintsWhatItDoesNotKnowAsItComes) {
  EXPECT_EQ(lines_of(R"({"shards":2,"new":{"a":1},"list":[{"b":2}]})"),
            "  shards: 2\n  new:\n    a: 1\n  list:\n    -\n      b: 2\n");
}

TEST(StatusView, SumsDeadLettersAndParkedEvents) {
  EXPECT_EQ(given_up_line("# TYPE eventrelay_relay_dead_letters_total counter\n"
                          "eventrelay_relay_dead_letters_total{reason=\"gone\"} 2\n"
                          "eventrelay_relay_dead_letters_total{reason=\"timeout\"} 3\n"
                          "eventrelay_relay_parked_total 40\n"),
            "  since start: 40 parked, 5 dead letters\n");
  EXPECT_EQ(given_up_line("eventrelay_ingest_events_total 4\n"), "");
}

}  // namespace
}  // namespace eventrelay::cli
