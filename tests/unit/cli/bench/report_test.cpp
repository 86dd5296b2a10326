#include "bench/scenarios/report.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <string>
#include <vector>

namespace eventrelay::bench {
namespace {

Row row(const std::string& name, unsigned round, double cpu_us) {
  Row made;
  made.name = name;
  made.round = round;
  made.events = 1000;
  made.seconds = 1;
  made.cpu_seconds = cpu_us * 1e-3;
  made.latency.record(std::chrono::milliseconds(3));
  return made;
}

Report report() {
  Report made{"bench ingest", {}, {}, "2 cores"};
  made.rows = {row("limit", 1, 20),  row("ingest", 1, 18), row("limit", 2, 30),
               row("ingest", 2, 24), row("limit", 3, 10),  row("ingest", 3, 11)};
  made.objectives = {{"ratio", 0.9, 1.0}, {"p99", 30, 25}};
  return made;
}

TEST(Report, TakesTheMedianOfTheRatiosWithinRounds) {
  EXPECT_DOUBLE_EQ(cpu_ratio(report(), "ingest", "limit"), 0.9);
}

TEST(Report, SaysWhichObjectiveIsMissed) {
  const std::string table = to_table(report());
  EXPECT_NE(table.find("ratio 0.900 (at most 1.000): met"), std::string::npos) << table;
  EXPECT_NE(table.find("p99 30.000 (at most 25.000): MISSED"), std::string::npos) << table;
}

TEST(Report, PrintsJsonThatParses) {
  const auto json = boost::json::parse(to_json(report()));
  EXPECT_EQ(json.at("rows").as_array().size(), 6U);
  EXPECT_DOUBLE_EQ(json.at("rows").at(0).at("cpu_us_per_event").as_double(), 20.0);
  EXPECT_FALSE(json.at("objectives").at(1).at("met").as_bool());
}

TEST(Report, NamesWhatIsMissedAndNothingElse) {
  Report made = report();
  made.objectives.push_back({"pace", 0.1});  // told, not asked for
  const std::vector<std::string> lines = missed(made);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines.front(), "p99 30.000 (at most 25.000): MISSED");
}

TEST(Report, ShowsWhatWasNotCountedAsADash) {
  Report made = report();
  made.rows[1].detached = 2;
  made.rows[1].read_again = 500;
  made.rows[1].system_calls = 2.06;
  made.rows[1].allocations = 7;
  made.rows[0].latency = {};
  const std::string page = to_markdown(made);
  EXPECT_NE(page.find("| ingest | 18.00 | 1000 | 3.00 | 3.00 | 3.00 | 3.00 | 0 | 2.1 | 7.0 | 2 | "
                      "1.50 |"),
            std::string::npos)
      << page;
  EXPECT_NE(page.find("| limit | 20.00 | 1000 | - | - | - | - | 0 | - | - | - | - |"),
            std::string::npos)
      << page;
  const auto json = boost::json::parse(to_json(made)).at("rows");
  EXPECT_FALSE(json.at(0).as_object().contains("system_calls_per_event"));
  EXPECT_DOUBLE_EQ(json.at(1).at("system_calls_per_event").as_double(), 2.06);
  EXPECT_DOUBLE_EQ(json.at(1).at("read_per_event").as_double(), 1.5);
}

TEST(Report, DrawsOneLinePerTimedRow) {
  const std::string svg = to_svg(report());
  std::size_t lines = 0;
  for (std::size_t at = svg.find("<polyline"); at != std::string::npos;
       at = svg.find("<polyline", at + 1)) {
    ++lines;
  }
  EXPECT_EQ(lines, 6U);
  EXPECT_EQ(svg.substr(svg.size() - 7), "</svg>\n");
}

}  // namespace
}  // namespace eventrelay::bench
