#include "bench/scenarios/page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <stdexcept>

namespace eventrelay::bench {
namespace {

constexpr double kWidth = 720;
constexpr double kHeight = 360;
constexpr double kLeft = 70;
constexpr double kRight = 560;  // behind it the names of the lines
constexpr double kTop = 36;
constexpr double kBottom = 310;
constexpr int kTicks = 5;
constexpr std::array<const char*, 6> kColours{"#2a78d6", "#c2571a", "#0f8a5f",
                                              "#8a4fbf", "#b8336a", "#7a7a30"};

constexpr double kPlainGoal = 1.0;
constexpr double kLeanGoal = 1.2;
constexpr double kRelayPaceGoal = 0.8;
constexpr double kHalfLoadP99Ms = 25;

// From values to places.
struct Axis {
  double low = 0;
  double high = 1;
  bool logarithmic = false;
  [[nodiscard]] double share(double value) const {
    if (logarithmic) return (std::log(value) - std::log(low)) / (std::log(high) - std::log(low));
    return (value - low) / (high - low);
  }
  [[nodiscard]] double at(double share_of) const {
    if (logarithmic) return std::exp(std::log(low) + share_of * (std::log(high) - std::log(low)));
    return low + share_of * (high - low);
  }
};

// The next of 1, 2, 5 and their tens, so that the ticks are numbers one reads.
double round_up(double value) {
  const double ten = std::pow(10, std::floor(std::log10(std::max(value, 1e-9))));
  for (const double step : {1.0, 2.0, 5.0, 10.0}) {
    if (value <= step * ten) return step * ten;
  }
  return 10 * ten;
}

std::string figure(double value) {
  if (value >= 1000) return fmt::format("{:.0f}k", value / 1000);
  return value >= 10 || value == std::floor(value) ? fmt::format("{:.0f}", value)
                                                   : fmt::format("{:.1f}", value);
}

std::vector<double> ticks_of(const Axis& axis, const std::vector<Series>& series) {
  std::vector<double> ticks;
  if (axis.logarithmic) {  // what was measured
    for (const Series& each : series) {
      for (const auto& [x, y] : each.points) ticks.push_back(x);
    }
    std::sort(ticks.begin(), ticks.end());
    ticks.erase(std::unique(ticks.begin(), ticks.end()), ticks.end());
    return ticks;
  }
  for (int i = 0; i <= kTicks; ++i) ticks.push_back(axis.at(double(i) / kTicks));
  return ticks;
}

bool same_but(const Report& report, const std::string& scenario,
              const std::map<std::string, double>& axes) {
  if (report.scenario != scenario) return false;
  return std::all_of(axes.begin(), axes.end(), [&report](const auto& axis) {
    const auto found = report.axes.find(axis.first);
    return found != report.axes.end() && found->second == axis.second;
  });
}

double axis(const Report& report, const std::string& name) {
  const auto found = report.axes.find(name);
  return found == report.axes.end() ? 0 : found->second;
}

// The row of the round whose cost is the median.
const Row* median_row(const Report& report, const std::string& name) {
  std::vector<const Row*> rows;
  for (const Row& row : report.rows) {
    if (row.name == name) rows.push_back(&row);
  }
  if (rows.empty()) return nullptr;
  std::sort(rows.begin(), rows.end(),
            [](const Row* a, const Row* b) { return a->cpu_us() < b->cpu_us(); });
  return rows[(rows.size() - 1) / 2];
}

std::vector<std::string> names_of(const Report& report) {
  std::vector<std::string> names;
  for (const Row& row : report.rows) {
    if (std::find(names.begin(), names.end(), row.name) == names.end()) names.push_back(row.name);
  }
  return names;
}

// `ingest half` is beside `limit half`.
std::string of_same_load(const std::string& base, const std::string& name) {
  return name.ends_with(" half") ? base + " half" : base;
}

std::string ratio_figure(double ratio, const std::string& name, const std::string& base) {
  return ratio > 0 && name != base ? fmt::format("{:.2f}", ratio) : "-";
}

std::string table_row(const Report& report, const std::string& name, bool first) {
  const Row& row = *median_row(report, name);
  const std::string limit = of_same_load("limit", name);
  const std::string lean = of_same_load("lean", name);
  std::string text =
      fmt::format("| {} | {} | {:.2f} | {} | {} | {:.0f} | {} |", first ? report.shape : "", name,
                  row.cpu_us(), ratio_figure(cpu_ratio(report, name, limit), name, limit),
                  ratio_figure(cpu_ratio(report, name, lean), name, lean), row.per_second(),
                  ratio_figure(pace_ratio(report, name, limit), name, limit));
  for (const double share : {0.5, 0.95, 0.99, 0.999}) {
    text += row.latency.count() > 0 ? fmt::format(" {:.2f} |", ms(row.latency.percentile(share)))
                                    : " - |";
  }
  text += fmt::format(" {:.0f} | {} | {} |", mib(row.resident_peak),
                      optional_figure(row.system_calls), optional_figure(row.allocations));
  if (report.scenario == "bench relay") {
    text += fmt::format(" {} | {} |", row.detached ? std::to_string(*row.detached) : "-",
                        row.read_again ? fmt::format("{:.2f}", row.read_per_event()) : "-");
  }
  return text + "\n";
}

std::string table(const std::vector<Report>& reports, const std::string& scenario) {
  const bool relay = scenario == "bench relay";
  std::string text =
      "| shape | what | CPU us | x limit | x lean | events/s | x limit | p50 ms | p95 | p99 | "
      "p99.9 "
      "| RSS MiB | system calls | allocations |";
  text += relay ? " detached | read |\n" : "\n";
  for (int i = 0; i < (relay ? 16 : 14); ++i) text += "|---";
  text += "|\n";
  for (const Report& report : reports) {
    if (report.scenario != scenario) continue;
    bool first = true;
    for (const std::string& name : names_of(report)) {
      text += table_row(report, name, std::exchange(first, false));
    }
  }
  return text;
}

// A goal, and the figure of a report that it bounds; nothing: it is not about that report.
struct Goal {
  std::string words;
  double bound = 0;
  bool at_least = false;  // the figure may not be less, instead of not more
  std::function<std::optional<double>(const Report&)> figure;
};

// In how many shapes a goal is kept, and where it is not.
std::string told(const Goal& goal, const std::vector<Report>& reports) {
  std::string missed_in;
  int kept = 0;
  int all = 0;
  for (const Report& report : reports) {
    const std::optional<double> figure = goal.figure(report);
    if (!figure) continue;
    ++all;
    if (goal.at_least ? *figure >= goal.bound : *figure <= goal.bound) {
      ++kept;
    } else {
      missed_in +=
          fmt::format("{}{} ({:.2f})", missed_in.empty() ? "" : "; ", report.shape, *figure);
    }
  }
  if (all == 0) return {};
  std::string text = fmt::format("- {}: kept in {} of {} shapes", goal.words, kept, all);
  return text + (missed_in.empty() ? ".\n" : ", not in: " + missed_in + ".\n");
}

std::optional<double> above_zero(double figure) {
  return figure > 0 ? std::optional{figure} : std::nullopt;
}

// Of the rows with the median cost.
std::optional<double> p50_ratio(const Report& report, const std::string& name,
                                const std::string& base) {
  const Row* const row = median_row(report, name);
  const Row* const other = median_row(report, base);
  if (row == nullptr || other == nullptr || other->latency.count() == 0) return std::nullopt;
  return ms(row->latency.percentile(0.5)) / ms(other->latency.percentile(0.5));
}

Goal cpu_goal(const std::string& product, const std::string& base, double bound) {
  return {fmt::format("CPU at most {:.1f} x that of `{}`", bound, base), bound, false,
          [product, base](const Report& report) {
            return above_zero(cpu_ratio(report, product, base));
          }};
}

Goal pace_goal(const std::string& product, double bound) {
  return {
      fmt::format("pace at least {:.1f} x that of `limit`", bound), bound, true,
      [product](const Report& report) { return above_zero(pace_ratio(report, product, "limit")); }};
}

// What is asked of ingest besides.
std::vector<Goal> latency_goals() {
  return {{fmt::format("p50 at most {:.1f} x that of `limit`", kPlainGoal), kPlainGoal, false,
           [](const Report& report) { return p50_ratio(report, "ingest", "limit"); }},
          {fmt::format("p99 below {:.0f} ms at half load", kHalfLoadP99Ms), kHalfLoadP99Ms, false,
           [](const Report& report) -> std::optional<double> {
             const Row* const row = median_row(report, "ingest half");
             if (row == nullptr) return std::nullopt;
             return ms(row->latency.percentile(0.99));
           }}};
}

Goal detached_goal() {
  return {"no subscription detached", 0, false, [](const Report& report) -> std::optional<double> {
            const Row* const row = median_row(report, "relay");
            if (row == nullptr || !row->detached) return std::nullopt;
            return static_cast<double>(*row->detached);
          }};
}

std::vector<Goal> goals_of(const std::string& product) {
  std::vector<Goal> goals{cpu_goal(product, "limit", kPlainGoal),
                          cpu_goal(product, "lean", kLeanGoal)};
  if (product == "relay") {
    goals.push_back(pace_goal(product, kRelayPaceGoal));
    goals.push_back(detached_goal());
  }
  if (product == "ingest") {
    goals.push_back(pace_goal(product, kPlainGoal));
    for (Goal& goal : latency_goals()) goals.push_back(std::move(goal));
  }
  return goals;
}

std::string section(const std::vector<Report>& reports, const std::string& product,
                    const std::string& title) {
  const bool any = std::any_of(reports.begin(), reports.end(), [&product](const Report& report) {
    return report.scenario == "bench " + product;
  });
  if (!any) return {};
  std::vector<Report> own;
  std::copy_if(reports.begin(), reports.end(), std::back_inserter(own),
               [&product](const Report& report) { return report.scenario == "bench " + product; });
  std::string text = "\n## " + title + "\n\n" + table(own, "bench " + product) + "\n";
  for (const Goal& goal : goals_of(product)) text += told(goal, own);
  return text;
}

// What runs beside a measurement takes the caches and the cores of all it measures.
std::string busy_words(const PageHead& head) {
  if (head.load < head.cores / 2.0) return {};
  return fmt::format(
      "\n\n**The machine did other things as well: its load was {:.1f} on {} cores before the run. "
      "Microseconds and rates say little then, and ratios are rough; measure again when it is at "
      "rest.**",
      head.load, head.cores);
}

std::string rounds_words(const std::vector<Report>& reports) {
  unsigned rounds = 0;
  for (const Report& report : reports) {
    for (const Row& row : report.rows) rounds = std::max(rounds, row.round);
  }
  if (rounds < 2) return {};
  return fmt::format(
      " They run in turn, {} rounds of each:\n"
      "a row is the round with the median cost, a ratio the median of those of the rounds.",
      rounds);
}

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.flush();
  if (!file) throw std::runtime_error("cannot write " + path.string());
}

}  // namespace

std::string draw(const Plot& plot) {
  Axis across{1e300, -1e300, plot.logarithmic_across};
  Axis up{0, 0, false};
  for (const Series& each : plot.series) {
    for (const auto& [x, y] : each.points) {
      across.low = std::min(across.low, x);
      across.high = std::max(across.high, x);
      up.high = std::max(up.high, y);
    }
  }
  if (!plot.logarithmic_across) across = {0, round_up(across.high), false};
  if (plot.logarithmic_across && across.high <= across.low) across.high = across.low * 10;
  up.high = round_up(up.high);
  const auto x_of = [&](double x) { return kLeft + across.share(x) * (kRight - kLeft); };
  const auto y_of = [&](double y) { return kBottom - up.share(y) * (kBottom - kTop); };
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<title>{}</title>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
      "<text x=\"{}\" y=\"20\" font-size=\"14\" fill=\"#1a1a1a\">{}</text>\n",
      kWidth, kHeight, plot.title, kLeft, plot.title);
  for (const double tick : ticks_of(up, {})) {
    svg += fmt::format(
        "<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#dddddd\"/>"
        "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\" fill=\"#555555\">{}</text>\n",
        kLeft, kRight, y_of(tick), y_of(tick), kLeft - 6, y_of(tick) + 4, figure(tick));
  }
  for (const double tick : ticks_of(across, plot.series)) {
    svg += fmt::format(
        "<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555555\">{}</text>\n",
        x_of(tick), kBottom + 18, figure(tick));
  }
  svg += fmt::format(
      "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"#1a1a1a\">{}</text>\n"
      "<text transform=\"translate(18 {}) rotate(-90)\" text-anchor=\"middle\" "
      "fill=\"#1a1a1a\">{}</text>\n",
      (kLeft + kRight) / 2, kBottom + 38, plot.across, (kTop + kBottom) / 2, plot.up);
  std::size_t line = 0;
  for (const Series& each : plot.series) {
    if (each.points.empty()) continue;
    const char* const colour = kColours[line % kColours.size()];
    std::string points;
    std::string marks;
    for (const auto& [x, y] : each.points) {
      points += fmt::format("{:.1f},{:.1f} ", x_of(x), y_of(y));
      if (each.points.size() > 20) continue;
      marks += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>", x_of(x),
                           y_of(y), colour);
    }
    svg += fmt::format(
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>{}\n"
        "<text x=\"{}\" y=\"{}\" fill=\"{}\">{}</text>\n",
        points, colour, marks, kRight + 14, kTop + 8 + 18 * double(line), colour, each.name);
    ++line;
  }
  return svg + "</svg>\n";
}

Plot cost_by_subscriptions(const std::vector<Report>& reports) {
  Plot plot{"CPU per delivery against subscriptions",
            "subscriptions, all of them behind",
            "us of CPU per delivery",
            true,
            {{"relay", {}}, {"limit", {}}, {"lean", {}}}};
  double backlog = 0;
  for (const Report& report : reports) {
    if (report.scenario == "bench relay") backlog = std::max(backlog, axis(report, "backlog"));
  }
  for (const Report& report : reports) {
    if (!same_but(
            report, "bench relay",
            {{"inflight", 64}, {"backlog", backlog}, {"endpoint_delay_ms", 0}, {"body_size", 0}})) {
      continue;
    }
    for (Series& each : plot.series) {
      const Row* const row = median_row(report, each.name);
      if (row != nullptr) each.points.emplace_back(axis(report, "subscriptions"), row->cpu_us());
    }
  }
  return plot;
}

Plot latency_by_rate(const std::vector<Report>& reports) {
  Plot plot{"Ingest: rate against latency, a point for each number of connections",
            "events/s",
            "p50 in ms",
            false,
            {{"ingest", {}}, {"limit", {}}, {"lean", {}}}};
  for (const Report& report : reports) {
    if (!same_but(report, "bench ingest", {{"instances", 100}, {"body_size", 0}})) continue;
    for (Series& each : plot.series) {
      const Row* const row = median_row(report, each.name);
      if (row == nullptr) continue;
      each.points.emplace_back(row->per_second(), ms(row->latency.percentile(0.5)));
    }
  }
  return plot;
}

Plot memory_over_time(const std::vector<Report>& reports) {
  Plot plot{"Resident memory while a backlog is delivered: subscriptions x in flight",
            "seconds from the first delivery",
            "MiB",
            false,
            {}};
  for (const Report& report : reports) {
    if (report.scenario != "bench relay" || axis(report, "backlog") == 0) continue;
    const double subscriptions = axis(report, "subscriptions");
    const double inflight = axis(report, "inflight");
    const bool shown = axis(report, "body_size") == 0 && axis(report, "endpoint_delay_ms") == 0 &&
                       (inflight >= 1024 || subscriptions == 1 || subscriptions == 100);
    if (!shown) continue;
    for (const char* name : {"relay", "limit"}) {
      const Row* const row = median_row(report, name);
      if (row == nullptr || (row->name == "limit" && (subscriptions != 100 || inflight != 64))) {
        continue;
      }
      Series series{fmt::format("{}, {:.0f} x {:.0f}", name, subscriptions, inflight), {}};
      for (const MemoryPoint& point : row->memory) {
        series.points.emplace_back(point.seconds, mib(point.resident));
      }
      plot.series.push_back(std::move(series));
    }
  }
  return plot;
}

std::string to_page(const std::vector<Report>& reports, const PageHead& head) {
  std::string text = fmt::format(
      "# Performance\n\n"
      "Measured by `{}` on {}, {}; version {}.\n"
      "It writes this page, its plots and [performance.json](performance.json) anew.{}\n\n"
      "The shipped programs are loaded as processes over loopback, against a real Kafka whose log\n"
      "lies in memory if it fits: a disk that takes less than is sent makes the last one wait for\n"
      "all before. Beside them run the smallest programs that keep the same promise\n"
      "([bench/limits](../bench/limits/README.md)): `limit` with Beast's ordinary message types,\n"
      "`lean` without what a promise does not need. Where the time goes is told\n"
      "[here](../ARCHITECTURE.md#what-an-event-costs).{}\n\n"
      "| column | what it is |\n|---|---|\n"
      "| CPU us | user and system time of the named program, all its threads, per event |\n"
      "| x limit, x lean | divided by that of the limit program in the same round |\n"
      "| p50 to p99.9 | from the moment an event was due, so that waiting counts (coordinated "
      "omission): by the clock in an open loop (`half`: at half the rate of the first program); in "
      "a "
      "closed loop with the samples added that a late answer kept from being sent; with a backlog "
      "all is due at the first delivery |\n"
      "| RSS MiB | the most resident memory while it ran |\n"
      "| system calls | per event, counted by the kernel in a span of its own, since counting "
      "costs |\n"
      "| allocations | per event: calls of malloc and its kin, counted by a preloaded library |\n"
      "| detached, read | subscriptions that left the live path; records read per delivered one "
      "|\n",
      head.command, head.machine, head.date, EVENTRELAY_VERSION, busy_words(head),
      rounds_words(reports));
  text += section(reports, "relay", "Relay");
  text += "\n![CPU per delivery against subscriptions](images/performance-cost.svg)\n";
  text += "\n![Resident memory over time](images/performance-memory.svg)\n";
  text += section(reports, "ingest", "Ingest");
  text += "\n![Rate against latency of ingest](images/performance-latency.svg)\n";
  text += section(reports, "e2e", "From request to callback");
  if (!head.failed.empty()) text += "\n## Not measured\n\n";
  for (const std::string& line : head.failed) text += "- " + line + "\n";
  return text;
}

std::string to_json(const std::vector<Report>& reports, const PageHead& head) {
  std::string json =
      fmt::format(R"({{"command":"{}","date":"{}","machine":"{}","load":{:.2f},"runs":[)",
                  head.command, head.date, head.machine, head.load);
  for (const Report& report : reports) {
    std::string run = to_json(report);
    run.pop_back();
    json += (&report == reports.data() ? "\n" : ",\n") + run;
  }
  return json + "\n]}\n";
}

void write_page(const std::vector<Report>& reports, const PageHead& head,
                const std::string& folder) {
  const std::filesystem::path to(folder);
  std::filesystem::create_directories(to / "images");
  write_file(to / "performance.md", to_page(reports, head));
  write_file(to / "performance.json", to_json(reports, head));
  write_file(to / "images/performance-cost.svg", draw(cost_by_subscriptions(reports)));
  write_file(to / "images/performance-latency.svg", draw(latency_by_rate(reports)));
  write_file(to / "images/performance-memory.svg", draw(memory_over_time(reports)));
}

}  // namespace eventrelay::bench
