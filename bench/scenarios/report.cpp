#include "bench/scenarios/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <thread>

namespace eventrelay::bench {
namespace {

double percentile_ms(const Row& row, double share) {
  return ms(row.latency.percentile(share));
}

std::string memory_json(const Row& row) {
  std::string json;
  for (const MemoryPoint& point : row.memory) {
    json += fmt::format("{}[{:.2f},{:.1f}]", json.empty() ? "" : ",", point.seconds,
                        mib(point.resident));
  }
  return "[" + json + "]";
}

std::string row_json(const Row& row) {
  std::string json = fmt::format(
      R"({{"name":"{}","round":{},"events":{},"failed":{},"seconds":{:.3f},"per_second":{:.1f},)"
      R"("cpu_us_per_event":{:.3f},"resident_start_mib":{:.1f},"resident_peak_mib":{:.1f},)"
      R"("resident_end_mib":{:.1f})",
      row.name, row.round, row.events, row.failed, row.seconds, row.per_second(), row.cpu_us(),
      mib(row.resident_start), mib(row.resident_peak), mib(row.resident_end));
  if (row.latency.count() > 0) {
    json += fmt::format(
        R"(,"p50_ms":{:.3f},"p95_ms":{:.3f},"p99_ms":{:.3f},"p999_ms":{:.3f},"max_ms":{:.3f})",
        percentile_ms(row, 0.5), percentile_ms(row, 0.95), percentile_ms(row, 0.99),
        percentile_ms(row, 0.999), ms(row.latency.max()));
  }
  if (row.system_calls)
    json += fmt::format(R"(,"system_calls_per_event":{:.2f})", *row.system_calls);
  if (row.allocations) json += fmt::format(R"(,"allocations_per_event":{:.2f})", *row.allocations);
  if (row.detached) json += fmt::format(R"(,"detached":{})", *row.detached);
  if (row.read_again) {
    json += fmt::format(R"(,"read_again":{},"read_per_event":{:.3f})", *row.read_again,
                        row.read_per_event());
  }
  return json + fmt::format(R"(,"memory_mib":{}}})", memory_json(row));
}

// `-` where nothing was timed.
std::string latency_figure(const Row& row, double share) {
  return row.latency.count() > 0 ? fmt::format("{:.2f}", percentile_ms(row, share)) : "-";
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// Median over rounds of `figure` of one program divided by that of the other in the same round.
double ratio(const Report& report, const std::string& name, const std::string& base,
             double (Row::*figure)() const) {
  std::vector<double> ratios;
  for (const Row& row : report.rows) {
    for (const Row& other : report.rows) {
      if (row.name == name && other.name == base && row.round == other.round &&
          (other.*figure)() > 0) {
        ratios.push_back((row.*figure)() / (other.*figure)());
      }
    }
  }
  return median(std::move(ratios));
}

std::string objective_line(const Objective& objective) {
  std::string line = fmt::format("{} {:.3f}", objective.name, objective.figure);
  if (objective.bound < kNoBound) {
    line +=
        fmt::format(" (at most {:.3f}): {}", objective.bound, objective.met() ? "met" : "MISSED");
  }
  return line;
}

constexpr std::array<double, 9> kShares{0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999};

}  // namespace

std::string optional_figure(const std::optional<double>& figure) {
  return figure ? fmt::format("{:.1f}", *figure) : "-";
}

double cpu_ratio(const Report& report, const std::string& name, const std::string& base) {
  return ratio(report, name, base, &Row::cpu_us);
}

double pace_ratio(const Report& report, const std::string& name, const std::string& base) {
  return ratio(report, name, base, &Row::per_second);
}

std::vector<std::string> missed(const Report& report) {
  std::vector<std::string> lines;
  for (const Objective& objective : report.objectives) {
    if (!objective.met()) lines.push_back(objective_line(objective));
  }
  return lines;
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
  if (!report.shape.empty()) table += report.shape + "\n";
  std::size_t wide = 12;
  for (const Row& row : report.rows) wide = std::max(wide, row.name.size() + 2);
  table += fmt::format("{:<{}}{:>5}{:>9}{:>7}{:>10}{:>8}", "what", wide, "round", "events",
                       "failed", "events/s", "cpu us");
  for (const char* head : {"p50 ms", "p95 ms", "p99 ms", "p999 ms"}) {
    table += fmt::format("{:>9}", head);
  }
  table +=
      fmt::format("{:>9}{:>8}{:>8}{:>9}{:>6}\n", "RSS MiB", "syscall", "alloc", "detached", "read");
  for (const Row& row : report.rows) {
    table += fmt::format("{:<{}}{:>5}{:>9}{:>7}{:>10.0f}{:>8.2f}", row.name, wide, row.round,
                         row.events, row.failed, row.per_second(), row.cpu_us());
    for (const double share : {0.5, 0.95, 0.99, 0.999}) {
      table += fmt::format("{:>9}", latency_figure(row, share));
    }
    table += fmt::format("{:>9.0f}{:>8}{:>8}{:>9}{:>6}\n", mib(row.resident_peak),
                         optional_figure(row.system_calls), optional_figure(row.allocations),
                         row.detached ? std::to_string(*row.detached) : "-",
                         row.read_again ? fmt::format("{:.2f}", row.read_per_event()) : "-");
  }
  for (const Objective& objective : report.objectives) table += objective_line(objective) + "\n";
  return table;
}

std::string to_json(const Report& report) {
  std::string json = fmt::format(R"({{"scenario":"{}","version":"{}","machine":"{}","shape":{{)",
                                 report.scenario, EVENTRELAY_VERSION, report.machine);
  for (const auto& [name, value] : report.axes) {
    json += fmt::format(R"({}"{}":{})", json.back() == '{' ? "" : ",", name, value);
  }
  json += R"(},"rows":[)";
  for (const Row& row : report.rows)
    json += (&row == report.rows.data() ? "" : ",") + row_json(row);
  json += R"(],"objectives":[)";
  for (const Objective& o : report.objectives) {
    const std::string bound = o.bound < kNoBound ? fmt::format("{:.4f}", o.bound) : "null";
    json +=
        fmt::format(R"({}{{"name":"{}","figure":{:.4f},"bound":{},"met":{}}})",
                    &o == report.objectives.data() ? "" : ",", o.name, o.figure, bound, o.met());
  }
  return json + "]}\n";
}

std::string to_markdown(const Report& report) {
  std::string text =
      "| what | CPU us per event | events/s | p50 ms | p95 | p99 | p99.9 | RSS MiB | system calls "
      "| allocations | detached | read per event |\n";
  for (int i = 0; i < 12; ++i) text += "|---";
  text += "|\n";
  for (const Row& row : report.rows) {
    text += fmt::format("| {} | {:.2f} | {:.0f} |", row.name, row.cpu_us(), row.per_second());
    for (const double share : {0.5, 0.95, 0.99, 0.999})
      text += " " + latency_figure(row, share) + " |";
    text += fmt::format(" {:.0f} | {} | {} | {} | {} |\n", mib(row.resident_peak),
                        optional_figure(row.system_calls), optional_figure(row.allocations),
                        row.detached ? std::to_string(*row.detached) : "-",
                        row.read_again ? fmt::format("{:.2f}", row.read_per_event()) : "-");
  }
  for (const Objective& objective : report.objectives) {
    text += fmt::format("{}{} {:.2f}", &objective == report.objectives.data() ? "\n" : "; ",
                        objective.name, objective.figure);
  }
  return text + (report.objectives.empty() ? "" : ".\n");
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
