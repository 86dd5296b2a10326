// eventrelay bench: measures a scenario, with the product and its limit program in turn.
//
// Thread:  main; load and receiver run their own.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>

#include "bench/scenarios/scenarios.hpp"
#include "cli/command/command.hpp"
#include "common/base/clock.hpp"

namespace eventrelay::cli {
namespace {

using Scenario = bench::Report (*)(const bench::BenchOptions&);

// Flags of one scenario.
struct BenchFlags {
  bench::BenchOptions options;
  double warm_up = 2;
  double duration = 10;
  unsigned endpoint_delay_ms = 0;
  bool json = false;
  std::string out;
};

// As the user gave it, the program's folder left out.
std::string command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string text;
  for (std::string word; std::getline(file, word, '\0');) {
    text += text.empty() ? word.substr(word.rfind('/') + 1) : " " + word;
  }
  return text;
}

std::string today() {
  return fmt::format("{:%Y-%m-%d}", fmt::gmtime(unix_seconds(wall_now())));
}

Exit run_scenario(BenchFlags& flags, Scenario scenario) {
  flags.options.warm_up = std::chrono::milliseconds(static_cast<std::int64_t>(flags.warm_up * 1e3));
  flags.options.duration =
      std::chrono::milliseconds(static_cast<std::int64_t>(flags.duration * 1e3));
  flags.options.endpoint_delay = std::chrono::milliseconds(flags.endpoint_delay_ms);
  flags.options.progress = [](const std::string& line) { fmt::print(stderr, "{}\n", line); };
  bench::Report report = scenario(flags.options);
  report.command = command_line();
  if (flags.json) {
    fmt::print("{}", bench::to_json(report));
  } else {
    fmt::print("{}", bench::to_table(report));
  }
  if (!flags.out.empty()) {
    std::ofstream(flags.out + ".json") << bench::to_json(report);
    std::ofstream(flags.out + ".svg") << bench::to_svg(report);
    std::ofstream(flags.out + ".md") << bench::to_markdown(report, today());
    fmt::print(stderr, "written: {0}.json {0}.md {0}.svg\n", flags.out);
  }
  for (const auto& objective : report.objectives) {
    if (!objective.met()) return Exit::Failed;
  }
  return Exit::Ok;
}

std::shared_ptr<BenchFlags> add_scenario(CLI::App& command, Run& run, Scenario scenario,
                                         unsigned connections) {
  auto flags = std::make_shared<BenchFlags>();
  flags->options.connections = connections;
  command
      .add_option("--kafka", flags->options.kafka,
                  "HOST:PORT of a real broker on loopback; topics get a prefix of their own")
      ->required();
  command.add_option("--connections", flags->options.connections, "Connections at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command.add_option("--rate", flags->options.rate, "Open loop at this many requests/s")
      ->check(CLI::Range(0.0, 200'000.0));
  command.add_option("--duration", flags->duration, "Seconds measured")
      ->check(CLI::Range(1.0, 600.0))
      ->capture_default_str();
  command.add_option("--warm-up", flags->warm_up, "Seconds before that")
      ->check(CLI::Range(0.0, 60.0))
      ->capture_default_str();
  command.add_option("--rounds", flags->options.rounds, "Product and limit in turn, that often")
      ->check(CLI::Range(1, 20))
      ->capture_default_str();
  command.add_option("--partitions", flags->options.partitions, "Partitions of the topic")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command.add_option("--shards", flags->options.shards, "Shards of the product")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command.add_option("--max-ratio", flags->options.ratio_max,
                     "Objective: CPU per event at most this times the limit's");
  command.add_option("--max-p99", flags->options.p99_max_ms, "Objective: p99 in ms");
  command.add_option("--out", flags->out, "Also write FILE with .json, .md and .svg");
  command.add_flag("--json", flags->json, "JSON instead of the table");
  command.callback([flags, scenario, &run] {
    run = [flags, scenario] { return run_scenario(*flags, scenario); };
  });
  return flags;
}

void add_relay_only(CLI::App& command, BenchFlags& flags) {
  command
      .add_option("--subscriptions", flags.options.subscriptions,
                  "Subscriptions that the records are for, in turn")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command
      .add_option("--inflight", flags.options.inflight,
                  "Requests in flight at once, of the product; 0 = as many as connections")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  command
      .add_option("--endpoint-delay", flags.endpoint_delay_ms,
                  "Milliseconds before the endpoint answers")
      ->check(CLI::Range(0, 60'000))
      ->capture_default_str();
  command
      .add_option("--backlog,--records", flags.options.records,
                  "Records waiting before the relay starts")
      ->check(CLI::Range(1'000, 5'000'000))
      ->capture_default_str();
  command.add_option("--compare", flags.options.compare,
                     "KEY=VALUE of one more run per round, beside the one without it");
}

}  // namespace

void add_bench(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "bench", "Load tests against a real broker; exit 1 if a stated objective is missed");
  command->require_subcommand(1);
  add_scenario(*command->add_subcommand("ingest", "CPU, rate and latency of ingest"), run,
               bench::bench_ingest, 256);
  CLI::App* relay = command->add_subcommand("relay", "CPU and rate of the relay, backlog waiting");
  add_relay_only(*relay, *add_scenario(*relay, run, bench::bench_relay, 64));
  add_scenario(*command->add_subcommand("e2e", "Latency from request in to callback out"), run,
               bench::bench_e2e, 64);
}

}  // namespace eventrelay::cli
