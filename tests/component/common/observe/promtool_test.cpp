#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "common/observe/metrics.hpp"

namespace eventrelay::metrics {
namespace {

// What Prometheus' own checker says to `text`: its output and its exit code.
std::pair<std::string, int> check(const std::string& text) {
  const std::string path = ::testing::TempDir() + "metrics_" + std::to_string(::getpid()) + ".txt";
  std::ofstream(path) << text;
  const std::string command =
      EVENTRELAY_SOURCE_DIR "/.ci/promtool check metrics <" + path + " 2>&1";
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  std::string said;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) said += static_cast<char>(c);
  const int status = ::pclose(pipe);
  ::unlink(path.c_str());
  return {said, WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

TEST(Promtool, FindsNothingInWhatAServiceExposes) {
  for (const char* tier : {"ingest_", "relay_"}) {
    Exporter exporter;
    exporter.show(tier);
    for (int shard = 0; shard < 2; ++shard) {
      Slab& slab = exporter.add_slab();
      slab.ingest_requests_total.add(Code::k202, 12'345);
      slab.ingest_request_duration_seconds.observe(std::chrono::milliseconds{3});
      slab.relay_event_age_seconds.observe(std::chrono::seconds{90});
      slab.relay_oldest_pending_timestamp_seconds.set(1.7e9);
    }
    exporter.add_gauges([] {
      std::vector<ScrapedGauge> all;
      for (const MetricInfo& metric : describe()) {
        const bool made_at_the_scrape = metric.words.size() == 1;
        const std::string name(metric.name.substr(std::string_view("eventrelay_").size()));
        if (made_at_the_scrape) all.push_back(scraped(name, {{"1/a", 2, "x"}, {"2", 1, "x"}}));
      }
      return all;
    });
    const auto [said, code] = check(exporter.expose());
    EXPECT_EQ(code, 0) << tier << '\n' << said;
    EXPECT_EQ(said, "") << tier;
  }
}

// A checker that accepts everything would pass the test above: this one must be refused.
TEST(Promtool, FindsFaultsThatAreThere) {
  EXPECT_EQ(check("# HELP a_seconds x\n# TYPE a_seconds counter\na_seconds 1\n").second, 3);
  EXPECT_EQ(check("not metrics at all {\n").second, 1);
}

}  // namespace
}  // namespace eventrelay::metrics
