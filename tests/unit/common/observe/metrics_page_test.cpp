#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "common/observe/metrics.hpp"

namespace eventrelay::metrics {
namespace {

constexpr const char* kPage = EVENTRELAY_SOURCE_DIR "/docs/metrics.md";

std::string table() {
  std::string text = "| metric | kind | label | meaning |\n|---|---|---|---|\n";
  for (const MetricInfo& metric : describe()) {
    std::string label;
    if (!metric.label.empty()) {
      std::string names(metric.label);
      if (const std::size_t comma = names.find(','); comma != std::string::npos) {
        names.replace(comma, 1, "`, `");
      }
      label.append("`").append(names).append("`:");
      for (const std::string_view word : metric.words) label.append(" ").append(word);
    }
    text.append("| `").append(metric.name).append("` | ").append(metric.kind);
    text.append(" | ").append(label).append(" | ").append(metric.sentence).append(" |\n");
  }
  return text;
}

TEST(MetricsPage, ListsEveryMetric) {
  std::ifstream file(kPage);
  std::stringstream content;
  content << file.rdbuf();
  std::string page = content.str();
  const std::size_t marker = page.find("<!-- list:");
  const std::size_t begin = page.find('\n', marker) + 1;
  const std::size_t end = page.find("<!-- end -->", begin);
  ASSERT_NE(marker, std::string::npos) << kPage;
  ASSERT_NE(end, std::string::npos) << kPage;
  if (std::getenv("EVENTRELAY_UPDATE") != nullptr) {
    page.replace(begin, end - begin, table());
    std::ofstream(kPage) << page;
    return;
  }
  EXPECT_EQ(page.substr(begin, end - begin), table());
}

}  // namespace
}  // namespace eventrelay::metrics
