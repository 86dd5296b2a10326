#include "bench/scenarios/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <thread>

namespace eventrelay::bench {
namespace {

double ms(Duration duration) {
  return static_cast<double>(duration.count()) / 1e6;
}
double mib(std::size_t bytes) {
  return static_cast<double>(bytes) / (1U << 20);
}

std::string relay_json(const Row& row) {
  std::string json;
  if (row.resident_peak > 0) {
    json += fmt::format(R"(,"resident_peak_mib":{:.1f})", mib(row.resident_peak));
  }
  if (row.detached) json += fmt::format(R"(,"detached":{})", *row.detached);
  if (row.read_again) json += fmt::format(R"(,"read_again":{})", *row.read_again);
  return json;
}

std::string row_json(const Row& row) {
  return fmt::format(
      R"({{"name":"{}","round":{},"events":{},"failed":{},"seconds":{:.3f},"per_second":{:.1f},)"
      R"("cpu_us_per_event":{:.3f},"resident_start_mib":{:.1f},"resident_end_mib":{:.1f},)"
      R"("p50_ms":{:.3f},"p99_ms":{:.3f},"p999_ms":{:.3f},"max_ms":{:.3f}{}}})",
      row.name, row.round, row.events, row.failed, row.seconds, row.per_second(), row.cpu_us(),
      mib(row.resident_start), mib(row.resident_end), ms(row.latency.percentile(0.5)),
      ms(row.latency.percentile(0.99)), ms(row.latency.percentile(0.999)), ms(row.latency.max()),
      relay_json(row));
}

std::string backlog_columns(const Row& row) {
  if (row.resident_peak == 0) return {};
  std::string text = fmt::format(" {:>6.0f} peak", mib(row.resident_peak));
  if (row.detached) text += fmt::format(", {} detached", *row.detached);
  if (row.read_again) {
    text += fmt::format(", {:.2f} read again per delivery", row.read_again_per_event());
  }
  return text;
}

constexpr std::array<double, 9> kShares{0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999};

}  // namespace

double cpu_ratio(const Report& report, const std::string& name, const std::string& base) {
  std::vector<double> ratios;
  for (const Row& row : report.rows) {
    for (const Row& other : report.rows) {
      if (row.name == name && other.name == base && row.round == other.round &&
          other.cpu_us() > 0) {
        ratios.push_back(row.cpu_us() / other.cpu_us());
      }
    }
  }
  if (ratios.empty()) return 0;
  std::sort(ratios.begin(), ratios.end());
  const std::size_t half = ratios.size() / 2;
  return ratios.size() % 2 == 1 ? ratios[half] : (ratios[half - 1] + ratios[half]) / 2;
}

std::string machine_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) == 0) {
      return fmt::format("{} cores, {}", std::thread::hardware_concurrency(),
                         line.substr(line.find(':') + 2));
    }
  }
  return fmt::format("{} cores", std::thread::hardware_concurrency());
}

std::string to_table(const Report& report) {
  std::string table = fmt::format("{} on {}\n", report.scenario, report.machine);
  table += fmt::format("{:<14}{:>6}{:>11}{:>8}{:>11}{:>10}{:>9}{:>9}{:>9}{:>12}\n", "what", "round",
                       "events", "failed", "events/s", "cpu us", "p50 ms", "p99 ms", "p999 ms",
                       "RSS MiB");
  for (const Row& row : report.rows) {
    table += fmt::format(
        "{:<14}{:>6}{:>11}{:>8}{:>11.0f}{:>10.2f}{:>9.2f}{:>9.2f}{:>9.2f}{:>6.0f}>{:<5.0f}{}\n",
        row.name, row.round, row.events, row.failed, row.per_second(), row.cpu_us(),
        ms(row.latency.percentile(0.5)), ms(row.latency.percentile(0.99)),
        ms(row.latency.percentile(0.999)), mib(row.resident_start), mib(row.resident_end),
        backlog_columns(row));
  }
  for (const Objective& objective : report.objectives) {
    table += fmt::format("{} {:.3f} (at most {:.3f}): {}\n", objective.name, objective.figure,
                         objective.bound, objective.met() ? "met" : "MISSED");
  }
  return table;
}

std::string to_json(const Report& report) {
  std::string json = fmt::format(R"({{"scenario":"{}","version":"{}","machine":"{}","rows":[)",
                                 report.scenario, EVENTRELAY_VERSION, report.machine);
  for (const Row& row : report.rows)
    json += (&row == report.rows.data() ? "" : ",") + row_json(row);
  json += R"(],"objectives":[)";
  for (const Objective& o : report.objectives) {
    json +=
        fmt::format(R"({}{{"name":"{}","figure":{:.4f},"bound":{:.4f},"met":{}}})",
                    &o == report.objectives.data() ? "" : ",", o.name, o.figure, o.bound, o.met());
  }
  return json + "]}\n";
}

std::string to_markdown(const Report& report, const std::string& date) {
  std::string text =
      fmt::format("`{}`, {}, {}.\n\n", report.command.empty() ? report.scenario : report.command,
                  report.machine, date);
  text +=
      "| what | round | CPU us per event | events/s | seconds | RSS MiB at most | detached | read "
      "again per event |\n|---|---|---|---|---|---|---|---|\n";
  for (const Row& row : report.rows) {
    const std::size_t most = std::max({row.resident_peak, row.resident_start, row.resident_end});
    const std::string detached = row.detached ? std::to_string(*row.detached) : "-";
    const std::string again =
        row.read_again ? fmt::format("{:.2f}", row.read_again_per_event()) : "-";
    text += fmt::format("| {} | {} | {:.2f} | {:.0f} | {:.1f} | {:.0f} | {} | {} |\n", row.name,
                        row.round, row.cpu_us(), row.per_second(), row.seconds, mib(most), detached,
                        again);
  }
  for (const Objective& objective : report.objectives) {
    text += fmt::format("\n{}: {:.2f}.\n", objective.name, objective.figure);
  }
  return text;
}

std::string to_svg(const Report& report) {
  constexpr double kWidth = 640;
  constexpr double kHeight = 360;
  constexpr double kLeft = 60;
  constexpr double kBottom = 320;
  double top = 1;
  for (const Row& row : report.rows) top = std::max(top, ms(row.latency.percentile(0.9999)));
  std::string svg = fmt::format(
      R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" font-family="sans-serif" font-size="11">)"
      "\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
      R"(<text x="{}" y="18">{}: latency in ms by percentile, to {:.1f} ms</text>)"
      "\n",
      kWidth, kHeight, kLeft, report.scenario, top);
  const double step = (kWidth - kLeft - 90) / static_cast<double>(kShares.size() - 1);
  const auto y_of = [&](double value) { return kBottom - value / top * (kBottom - 30); };
  for (std::size_t i = 0; i < kShares.size(); ++i) {
    svg += fmt::format("<text x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"middle\">{}</text>\n",
                       kLeft + step * double(i), kBottom + 16, kShares[i] * 100);
  }
  std::size_t line = 0;
  for (const Row& row : report.rows) {
    if (row.latency.count() == 0) continue;
    std::string points;
    for (std::size_t i = 0; i < kShares.size(); ++i) {
      points += fmt::format("{:.1f},{:.1f} ", kLeft + step * double(i),
                            y_of(ms(row.latency.percentile(kShares[i]))));
    }
    const auto hue = (line++ * 67) % 360;
    svg += fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"hsl({},70%,40%)\"/>\n",
                       points, hue);
    svg += fmt::format("<text x=\"{:.0f}\" y=\"{:.0f}\" fill=\"hsl({},70%,40%)\">{} {}</text>\n",
                       kWidth - 85, 40 + 14 * double(line), hue, row.name, row.round);
  }
  return svg + "</svg>\n";
}

}  // namespace eventrelay::bench
