#include "common/observe/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>
#include <string>

namespace eventrelay::metrics {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The value of the series `series` in `text`, as printed; empty if it is not there.
std::string value_of(const std::string& text, const std::string& series) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(series + ' ', 0) == 0) return line.substr(series.size() + 1);
  }
  return {};
}

TEST(Exporter, SumsCountersOverShards) {
  Exporter exporter;
  exporter.add_slab().ingest_events_total.add(3);
  exporter.add_slab().ingest_events_total.add(4);
  EXPECT_EQ(value_of(exporter.expose(), "eventrelay_ingest_events_total"), "7");
}

TEST(Exporter, PrintsCountsExactly) {
  Exporter exporter;
  exporter.add_slab().ingest_events_total.add(9'007'199'254'740'991U);
  EXPECT_EQ(value_of(exporter.expose(), "eventrelay_ingest_events_total"), "9007199254740991");
}

TEST(Exporter, ShowsEveryLabelValueFromTheStart) {
  Exporter exporter;
  Slab& slab = exporter.add_slab();
  slab.ingest_requests_total.add(Code::k202, 5);
  const std::string text = exporter.expose();
  for (const std::string_view code : kCodeWords) {
    const std::string series =
        "eventrelay_ingest_requests_total{code=\"" + std::string{code} + "\"}";
    EXPECT_EQ(value_of(text, series), code == "202" ? "5" : "0") << code;
  }
  for (const std::string_view outcome : kOutcomeWords) {
    EXPECT_EQ(value_of(text, "eventrelay_relay_deliveries_total{outcome=\"" + std::string{outcome} +
                                 "\"}"),
              "0");
  }
}

TEST(Exporter, SumsAmountsAndTakesTheWorstOfTimes) {
  Exporter exporter;
  Slab& a = exporter.add_slab();
  Slab& b = exporter.add_slab();
  Slab& idle = exporter.add_slab();
  EXPECT_EQ(idle.ingest_inflight_requests.read(), 0);
  a.ingest_inflight_requests.set(2);
  b.ingest_inflight_requests.set(3);
  a.event_loop_lag_seconds.set(0.25);
  b.event_loop_lag_seconds.set(0.5);
  a.relay_oldest_pending_timestamp_seconds.set(2000);
  b.relay_oldest_pending_timestamp_seconds.set(1000);
  a.relay_last_delivery_timestamp_seconds.set(2000);
  b.relay_last_delivery_timestamp_seconds.set(3000);
  const std::string text = exporter.expose();
  EXPECT_EQ(value_of(text, "eventrelay_ingest_inflight_requests"), "5");
  EXPECT_EQ(value_of(text, "eventrelay_event_loop_lag_seconds"), "0.5");
  EXPECT_EQ(value_of(text, "eventrelay_relay_oldest_pending_timestamp_seconds"), "1000");
  EXPECT_EQ(value_of(text, "eventrelay_relay_last_delivery_timestamp_seconds"), "3000");
}

TEST(Exporter, PrintsDurationsInSeconds) {
  Exporter exporter;
  Slab& a = exporter.add_slab();
  Slab& b = exporter.add_slab();
  a.ingest_request_duration_seconds.observe(std::chrono::milliseconds{1});  // on an edge
  b.ingest_request_duration_seconds.observe(std::chrono::microseconds{1001});
  b.ingest_request_duration_seconds.observe(std::chrono::minutes{2});  // beyond the last
  const std::string text = exporter.expose();
  const std::string name = "eventrelay_ingest_request_duration_seconds";
  EXPECT_EQ(value_of(text, name + "_bucket{le=\"0.0005\"}"), "0");
  EXPECT_EQ(value_of(text, name + "_bucket{le=\"0.001\"}"), "1");
  EXPECT_EQ(value_of(text, name + "_bucket{le=\"0.0025\"}"), "2");
  EXPECT_EQ(value_of(text, name + "_bucket{le=\"60\"}"), "2");
  EXPECT_EQ(value_of(text, name + "_bucket{le=\"+Inf\"}"), "3");
  EXPECT_EQ(value_of(text, name + "_count"), "3");
  EXPECT_DOUBLE_EQ(std::stod(value_of(text, name + "_sum")), 120.002001);
}

TEST(Exporter, PrintsSizesInBytes) {
  Exporter exporter;
  exporter.add_slab().ingest_request_body_bytes.observe(std::uint64_t{900});
  const std::string text = exporter.expose();
  const std::string name = "eventrelay_ingest_request_body_bytes";
  EXPECT_EQ(value_of(text, name + "_bucket{le=\"256\"}"), "0");
  EXPECT_EQ(value_of(text, name + "_bucket{le=\"1024\"}"), "1");
  EXPECT_EQ(value_of(text, name + "_sum"), "900");
}

TEST(Exporter, CountsANegativeDurationAsZero) {
  Exporter exporter;
  exporter.add_slab().relay_event_age_seconds.observe(Duration{-5});
  const std::string text = exporter.expose();
  EXPECT_EQ(value_of(text, "eventrelay_relay_event_age_seconds_bucket{le=\"0.0005\"}"), "1");
  EXPECT_EQ(value_of(text, "eventrelay_relay_event_age_seconds_sum"), "0");
}

TEST(Exporter, ShowsOneTierWithWhatIsShared) {
  Exporter exporter;
  exporter.show("relay_");
  (void)exporter.add_slab();
  const std::string text = exporter.expose();
  EXPECT_THAT(text, HasSubstr("# TYPE eventrelay_relay_deliveries_total counter"));
  EXPECT_THAT(text, HasSubstr("# TYPE eventrelay_kafka_rebalances_total counter"));
  EXPECT_THAT(text, Not(HasSubstr("eventrelay_ingest_")));
  exporter.show("ingest_");
  EXPECT_THAT(exporter.expose(), HasSubstr("# TYPE eventrelay_ingest_events_total counter"));
}

// 0 would be a moment 56 years ago in every graph.
TEST(Exporter, PrintsNoSampleForAMomentThatThereIsNoneOf) {
  Exporter exporter;
  Slab& slab = exporter.add_slab();
  exporter.add_gauges([] {
    return std::vector<ScrapedGauge>{
        {"relay_subscription_backlog_events", "x", "subscription", {}}};
  });
  for (const char* name :
       {"relay_oldest_pending_timestamp_seconds", "relay_last_delivery_timestamp_seconds",
        "relay_backlog_oldest_timestamp_seconds", "relay_oldest_detached_timestamp_seconds",
        "relay_subscription_backlog_events"}) {
    EXPECT_THAT(exporter.expose(), Not(HasSubstr(name)));
  }
  EXPECT_EQ(value_of(exporter.expose(), "eventrelay_relay_backlog_events"), "0");
  slab.relay_backlog_oldest_timestamp_seconds.set(1.5);
  EXPECT_EQ(value_of(exporter.expose(), "eventrelay_relay_backlog_oldest_timestamp_seconds"),
            "1.5");
}

TEST(Exporter, PrintsGaugesMadeAtTheScrape) {
  Exporter exporter;
  int scrapes = 0;
  exporter.add_gauges([&scrapes]() {
    ++scrapes;
    return std::vector<ScrapedGauge>{
        {"relay_subscription_oldest_pending_seconds",
         "Oldest pending.",
         "subscription",
         {{"427236/audit", 1.5}, {"b\"\\\n", 1}}},
        {"relay_subscription_oldest_pending_max_seconds", "Of all.", "", {{"", 1.5}}}};
  });
  const std::string text = exporter.expose();
  EXPECT_EQ(scrapes, 1);
  EXPECT_EQ(value_of(text,
                     "eventrelay_relay_subscription_oldest_pending_seconds"
                     "{subscription=\"427236/audit\"}"),
            "1.5");
  EXPECT_THAT(text, HasSubstr(R"({subscription="b\"\\\n"} 1)"));
  EXPECT_EQ(value_of(text, "eventrelay_relay_subscription_oldest_pending_max_seconds"), "1.5");
}

TEST(Exporter, PrintsCountersWithTwoLabelsMadeAtTheScrape) {
  Exporter exporter;
  exporter.add_gauges([] {
    return std::vector<ScrapedGauge>{
        scraped("ingest_signature_key_uses_total", {{"box", 7, "primary"}, {"box", 2, "third"}})};
  });
  const std::string text = exporter.expose();
  const std::string name = "eventrelay_ingest_signature_key_uses_total";
  EXPECT_THAT(text, HasSubstr("# TYPE " + name + " counter"));
  EXPECT_EQ(value_of(text, name + R"({source="box",slot="primary"})"), "7");
  EXPECT_EQ(value_of(text, name + R"({source="box",slot="third"})"), "2");
}

std::size_t series_in(const std::string& text) {
  std::istringstream lines(text);
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line);) count += line.starts_with('#') ? 0U : 1U;
  return count;
}

// A scrape has at most 1,000 series, whatever its owners say and however many there are of
// everything.
TEST(Exporter, StaysWithinAThousandSeries) {
  std::vector<ScrapedGauge> too_many;
  for (const MetricInfo& metric : describe()) {
    const std::string name(metric.name.substr(std::string_view("eventrelay_").size()));
    if (metric.series <= 1 || metric.words.size() != 1) continue;
    ScrapedGauge& gauge = too_many.emplace_back(scraped(name, {}));
    for (int i = 0; i < 5000; ++i) gauge.samples.push_back({std::to_string(i), 1.0, "primary"});
  }
  ASSERT_GE(too_many.size(), 6U);
  for (const char* tier : {"ingest_", "relay_"}) {
    Exporter exporter;
    exporter.show(tier);
    for (int shard = 0; shard < 64; ++shard) {
      Slab& slab = exporter.add_slab();
      slab.relay_oldest_pending_timestamp_seconds.set(1);
      slab.relay_oldest_unread_timestamp_seconds.set(1);
    }
    exporter.add_gauges([&too_many] { return too_many; });
    const std::size_t series = series_in(exporter.expose());
    EXPECT_GT(series, 500U) << tier;
    EXPECT_LE(series, 1000U) << tier;
  }
}

TEST(Exporter, PrintsTheProcessAndTheBuild) {
  const std::string text = Exporter{}.expose();
  for (const char* name : {"process_cpu_seconds_total", "process_resident_memory_bytes",
                           "process_virtual_memory_bytes", "process_open_fds", "process_max_fds",
                           "process_threads", "process_start_time_seconds"}) {
    ASSERT_FALSE(value_of(text, name).empty()) << name;
    EXPECT_GE(std::stod(value_of(text, name)), 0) << name;
  }
  EXPECT_GE(std::stod(value_of(text, "process_resident_memory_bytes")), 1 << 20);
  EXPECT_GE(std::stod(value_of(text, "process_open_fds")), 3);
  EXPECT_GE(std::stod(value_of(text, "process_threads")), 1);
  // After 2020 and not in the future by more than the clock's own jumps.
  EXPECT_GT(std::stod(value_of(text, "process_start_time_seconds")), 1.5e9);
  EXPECT_THAT(text,
              HasSubstr("eventrelay_build_info{version=\"" EVENTRELAY_VERSION "\",commit=\""));
}

TEST(MetricsList, NamesEachMetricOnceAndInForm) {
  std::set<std::string_view> names;
  for (const MetricInfo& metric : describe()) {
    EXPECT_TRUE(names.insert(metric.name).second) << metric.name;
    EXPECT_EQ(metric.kind == "counter", metric.name.ends_with("_total")) << metric.name;
    EXPECT_TRUE(metric.sentence.ends_with('.')) << metric.name;
    EXPECT_EQ(metric.label.empty(), metric.words.empty()) << metric.name;
    EXPECT_GE(metric.series, metric.kind == "histogram" ? 8U : 1U) << metric.name;
  }
  EXPECT_GE(names.size(), 30U);
}

TEST(MetricsList, HasAWordForEveryEnumerator) {
  EXPECT_EQ(static_cast<std::size_t>(RetryStage::k12Up) + 1, kRetryStageWords.size());
  EXPECT_EQ(static_cast<std::size_t>(Code::k503) + 1, kCodeWords.size());
  EXPECT_EQ(static_cast<std::size_t>(Reject::Timeout) + 1, kRejectWords.size());
  EXPECT_EQ(static_cast<std::size_t>(Outcome::UnknownInstance) + 1, kOutcomeWords.size());
  EXPECT_EQ(static_cast<std::size_t>(ProduceFailure::TooLarge) + 1, kProduceFailureWords.size());
  EXPECT_EQ(static_cast<std::size_t>(Level::Error) + 1, kLevelWords.size());
}

}  // namespace
}  // namespace eventrelay::metrics
