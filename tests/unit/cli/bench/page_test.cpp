#include "bench/scenarios/page.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <string>
#include <vector>

#include "bench/scenarios/shapes.hpp"

namespace eventrelay::bench {
namespace {

Row row(const std::string& name, double cpu_us) {
  Row made;
  made.name = name;
  made.round = 1;
  made.events = 1000;
  made.seconds = 1;
  made.cpu_seconds = cpu_us * 1e-3;
  made.latency.record(std::chrono::milliseconds(3));
  made.memory = {{0, 1U << 20U}, {1, 3U << 20U}};
  return made;
}

Report relay(double subscriptions, double limit, double lean, double cpu) {
  Report report{
      "bench relay", {row("limit", limit), row("lean", lean), row("relay", cpu)}, {}, "m"};
  report.shape = std::to_string(int(subscriptions)) + " subscriptions";
  report.axes = {{"subscriptions", subscriptions},
                 {"inflight", 64},
                 {"backlog", 200'000},
                 {"endpoint_delay_ms", 0},
                 {"body_size", 0}};
  return report;
}

std::vector<Report> reports() {
  return {relay(1, 20, 16, 18.4), relay(100, 20, 16, 24)};
}

const PageHead kHead{"eventrelay bench all --report docs", "2016-07-11", "2 cores"};

TEST(Page, SaysWhereItWasMeasuredAndWithWhat) {
  const std::string page = to_page(reports(), kHead);
  EXPECT_NE(page.find("Measured by `eventrelay bench all --report docs` on 2 cores, 2016-07-11"),
            std::string::npos);
}

TEST(Page, SaysHowManyRoundsAFigureIsTheMedianOf) {
  std::vector<Report> all = reports();
  EXPECT_EQ(to_page(all, kHead).find("rounds of each"), std::string::npos);
  for (const unsigned round : {2U, 3U}) {
    Row more = all.front().rows.back();
    more.round = round;
    all.front().rows.push_back(more);
  }
  EXPECT_NE(to_page(all, kHead).find("3 rounds of each"), std::string::npos);
}

TEST(Page, SaysThatTheMachineWasBusy) {
  PageHead head = kHead;
  head.cores = 2;
  head.load = 0.5;
  EXPECT_EQ(to_page(reports(), head).find("did other things"), std::string::npos);
  head.load = 7.8;
  EXPECT_NE(to_page(reports(), head).find("its load was 7.8 on 2 cores before the run"),
            std::string::npos);
}

TEST(Page, PutsTheRatioToBothLimitsBesideTheFigure) {
  const std::string page = to_page(reports(), kHead);
  EXPECT_NE(page.find("|  | relay | 18.40 | 0.92 | 1.15 | 1000 | 1.00 | 3.00 |"), std::string::npos)
      << page;
  EXPECT_NE(page.find("| 1 subscriptions | limit | 20.00 | - | 1.25 |"), std::string::npos) << page;
}

TEST(Page, NamesTheShapesInWhichAGoalIsMissed) {
  const std::string page = to_page(reports(), kHead);
  EXPECT_NE(page.find("at most 1.0 x that of `limit`: kept in 1 of 2 shapes, not in: 100 "
                      "subscriptions (1.20)."),
            std::string::npos)
      << page;
  EXPECT_NE(page.find("at most 1.2 x that of `lean`: kept in 1 of 2 shapes, not in: 100 "
                      "subscriptions (1.50)."),
            std::string::npos)
      << page;
}

TEST(Page, SaysOfEachGoalOfIngestWhetherItIsKept) {
  Report report{
      "bench ingest", {row("limit", 20), row("ingest", 18), row("ingest half", 30)}, {}, "m"};
  report.shape = "256 connections";
  report.rows[1].seconds = 2;  // half the pace
  report.rows[1].latency.record(std::chrono::milliseconds(9));
  report.rows[1].latency.record(std::chrono::milliseconds(9));
  report.rows[2].latency.record(std::chrono::milliseconds(40));
  const std::string page = to_page({report}, kHead);
  EXPECT_NE(page.find("pace at least 1.0 x that of `limit`: kept in 0 of 1 shapes, not in: 256 "
                      "connections (0.50)."),
            std::string::npos)
      << page;
  EXPECT_NE(page.find("p50 at most 1.0 x that of `limit`: kept in 0 of 1"), std::string::npos)
      << page;
  EXPECT_NE(page.find("p99 below 25 ms at half load: kept in 0 of 1"), std::string::npos) << page;
}

TEST(Page, SaysWhereARelayIsSlowerAndWhatWasDetached) {
  std::vector<Report> all = reports();
  all[0].rows[2].seconds = 2;
  all[1].rows[2].detached = 3;
  const std::string page = to_page(all, kHead);
  EXPECT_NE(page.find("pace at least 0.8 x that of `limit`: kept in 1 of 2 shapes, not in: 1 "
                      "subscriptions (0.50)."),
            std::string::npos)
      << page;
  EXPECT_NE(page.find("no subscription detached: kept in 0 of 1 shapes, not in: 100 subscriptions "
                      "(3.00)."),
            std::string::npos)
      << page;
}

TEST(Page, NamesShapesThatGaveNoFigures) {
  PageHead head = kHead;
  EXPECT_EQ(to_page(reports(), head).find("Not measured"), std::string::npos);
  head.failed = {"relay, 12 subscriptions: stopped"};
  EXPECT_NE(
      to_page(reports(), head).find("## Not measured\n\n- relay, 12 subscriptions: stopped\n"),
      std::string::npos);
}

TEST(Page, IsJsonToo) {
  const auto json = boost::json::parse(to_json(reports(), kHead));
  EXPECT_EQ(json.at("date").as_string(), "2016-07-11");
  EXPECT_EQ(json.at("runs").as_array().size(), 2U);
  EXPECT_EQ(json.at("runs").at(1).at("shape").at("subscriptions").to_number<int>(), 100);
}

TEST(Page, DrawsCostAgainstSubscriptionsWithAPointPerShape) {
  const Plot plot = cost_by_subscriptions(reports());
  ASSERT_EQ(plot.series.size(), 3U);
  EXPECT_EQ(plot.series.front().name, "relay");
  ASSERT_EQ(plot.series.front().points.size(), 2U);
  EXPECT_DOUBLE_EQ(plot.series.front().points[0].first, 1);
  EXPECT_DOUBLE_EQ(plot.series.front().points[0].second, 18.4);
  EXPECT_DOUBLE_EQ(plot.series.front().points[1].first, 100);
  EXPECT_DOUBLE_EQ(plot.series.front().points[1].second, 24);
  const std::string svg = draw(plot);
  EXPECT_NE(svg.find(">relay</text>"), std::string::npos);
  EXPECT_EQ(svg.substr(svg.size() - 7), "</svg>\n");
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

TEST(Page, LeavesOtherShapesOutOfThatPlot) {
  std::vector<Report> all = reports();
  all.push_back(relay(100, 20, 16, 99));
  all.back().axes["inflight"] = 1024;
  EXPECT_EQ(cost_by_subscriptions(all).series.front().points.size(), 2U);
}

TEST(Page, DrawsMemoryOverTime) {
  const Plot plot = memory_over_time(reports());
  ASSERT_EQ(plot.series.size(), 3U);  // the relay with 1 and 100, the limit with 100
  EXPECT_DOUBLE_EQ(plot.series.front().points.back().second, 3.0);
}

TEST(Page, IsDrawnFromNothingWithoutAFault) {
  EXPECT_EQ(draw(latency_by_rate({})).find("nan"), std::string::npos);
  EXPECT_EQ(draw(cost_by_subscriptions({})).find("inf"), std::string::npos);
}

TEST(Shapes, AreEveryOneThatIsAskedFor) {
  const auto shapes = all_shapes({});
  const auto any = [&shapes](auto pick) {
    for (const Shape& shape : shapes) {
      if (pick(shape.options, shape.run)) return true;
    }
    return false;
  };
  for (const unsigned n : {1U, 12U, 50U, 100U, 1000U, 100'000U}) {
    EXPECT_TRUE(any([n](const BenchOptions& o, Scenario run) {
      return run == bench_relay && o.subscriptions == n && o.records == 200'000;
    })) << n;
  }
  for (const unsigned n : {64U, 256U, 1024U}) {
    EXPECT_TRUE(any([n](const BenchOptions& o, Scenario run) {
      return run == bench_relay && o.inflight == n;
    })) << n;
  }
  for (const unsigned n : {1U, 16U, 64U, 256U, 1000U}) {
    EXPECT_TRUE(any([n](const BenchOptions& o, Scenario run) {
      return run == bench_ingest && o.connections == n;
    })) << n;
  }
  for (const int n : {0, 20, 200}) {
    EXPECT_TRUE(any([n](const BenchOptions& o, Scenario) {
      return o.endpoint_delay == std::chrono::milliseconds(n);
    })) << n;
  }
  for (const std::size_t n : {256U, 0U, 16U << 10U}) {
    EXPECT_TRUE(any([n](const BenchOptions& o, Scenario) { return o.body_size == n; })) << n;
  }
  EXPECT_TRUE(any(
      [](const BenchOptions& o, Scenario run) { return run == bench_relay && o.records == 0; }));
  EXPECT_LT(short_shapes({}).size(), 6U);
  for (const unsigned n : {1U, 100'000U}) {
    EXPECT_TRUE(any([n](const BenchOptions& o, Scenario run) {
      return run == bench_ingest && o.instances == n;
    })) << n;
  }
}

TEST(Shapes, TellHowLongTheRestWillTake) {
  std::vector<Shape> shapes(3);
  shapes[0].seconds = shapes[1].seconds = shapes[2].seconds = 120;
  shapes[0].name = "first";
  shapes[2].name = "last";
  EXPECT_EQ(progress_words(shapes, 0, Duration::zero()),
            "shape 1 of 3, 0 min so far, about 6 min left: first");
  EXPECT_EQ(progress_words(shapes, 2, std::chrono::seconds(480)),
            "shape 3 of 3, 8 min so far, about 4 min left: last");
}

TEST(Shapes, ABrokerIsWarmedUpByTheProductAlone) {
  BenchOptions base;
  base.endpoint_delay = std::chrono::seconds(1);
  base.compare = "detach.after=9";
  const std::vector<Shape> both = warm_up(base, nullptr);
  ASSERT_EQ(both.size(), 2U);
  for (const Shape& shape : both) {
    EXPECT_FALSE(shape.options.limits);
    EXPECT_TRUE(shape.options.compare.empty());
    EXPECT_EQ(shape.options.endpoint_delay, Duration::zero());
  }
  for (const Scenario scenario : {bench_relay, bench_ingest}) {
    const std::vector<Shape> one = warm_up(base, scenario);
    ASSERT_EQ(one.size(), 1U);
    EXPECT_EQ(one.front().run, scenario);
  }
}

TEST(Shapes, TakeHalfAnHourInThreeRounds) {
  BenchOptions base;
  base.rounds = 3;
  double seconds = 0;
  for (const Shape& shape : all_shapes(base)) {
    EXPECT_FALSE(shape.name.empty());
    EXPECT_GT(shape.seconds, 0);
    seconds += shape.seconds;
  }
  EXPECT_LT(seconds, 35 * 60);
  base.rounds = 1;
  EXPECT_LT(all_shapes(base).front().seconds, all_shapes({}).front().seconds);
}

}  // namespace
}  // namespace eventrelay::bench
