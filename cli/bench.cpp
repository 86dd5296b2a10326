// eventrelay bench: measures scenarios, with the product and its limit programs in turn.
//
// Thread:  main; load and receiver run their own.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bench/scenarios/checkout.hpp"
#include "bench/scenarios/fitting.hpp"
#include "bench/scenarios/page.hpp"
#include "bench/scenarios/shapes.hpp"
#include "bench/scenarios/stage.hpp"
#include "cli/command/command.hpp"
#include "common/base/clock.hpp"
#include "common/observe/log.hpp"

namespace eventrelay::cli {
namespace {

// Flags of one command.
struct BenchFlags {
  bench::BenchOptions options;
  double warm_up = 2;
  double duration = 10;
  std::uint64_t endpoint_delay_ms = 0;
  bool json = false;
  bool short_form = false;
  std::string out;       // of one scenario
  std::string report;    // folder, of all
  std::string only;      // of all: part of the names of its shapes
  std::string revision;  // of compare
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

// Called before a run, for its own load does not count.
bench::PageHead page_head() {
  bench::PageHead head{command_line(),
                       fmt::format("{:%Y-%m-%d}", fmt::gmtime(unix_seconds(wall_now()))),
                       bench::machine_name(), 0, std::thread::hardware_concurrency()};
  std::ifstream("/proc/loadavg") >> head.load;
  return head;
}

// What is written at the end of a run is refused before it: the figures of half an hour would
// be lost.
void require_writable(const std::filesystem::path& file) {
  const bool there = std::filesystem::exists(file);
  const bool written = std::ofstream(file, std::ios::app).good();
  std::error_code ignored;
  if (written && !there) std::filesystem::remove(file, ignored);
  if (!written) throw std::runtime_error("cannot write " + file.string());
}

void require_folder(const std::filesystem::path& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder / "images", failed);
  for (const char* name : {"performance.md", "performance.json", "images/performance-cost.svg"}) {
    require_writable(folder / name);
  }
}

// Options as the scenarios take them, and a broker where none is named.
std::unique_ptr<bench::OwnBroker> prepare(BenchFlags& flags) {
  const auto milliseconds = [](double seconds) {
    return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1e3));
  };
  flags.options.warm_up = milliseconds(flags.warm_up);
  flags.options.duration = milliseconds(flags.duration);
  flags.options.endpoint_delay = std::chrono::milliseconds(flags.endpoint_delay_ms);
  LogConfig quiet;
  quiet.level = LogLevel::Error;  // topics of a run are made, waited for and deleted again
  log::configure(quiet, "eventrelay");
  flags.options.progress = [](const std::string& line) { fmt::print(stderr, "{}\n", line); };
  if (!flags.out.empty()) require_writable(flags.out + ".md");
  if (!flags.report.empty()) require_folder(flags.report);
  if (!flags.options.kafka.empty()) return nullptr;
  (void)bench::required_checkout(bench::kOwnBroker);
  flags.options.progress("starting a broker, since --kafka names none");
  auto broker = std::make_unique<bench::OwnBroker>();
  flags.options.kafka = broker->address();
  return broker;
}

// A broker that was just started still compiles its own code, and takes what is measured its cores.
void warm_broker(const bench::BenchOptions& options, bench::Scenario scenario) {
  options.progress("warming up the broker");
  bench::BenchOptions quiet = options;
  quiet.progress = [](const std::string&) {};
  for (const bench::Shape& shape : bench::warm_up(quiet, scenario)) (void)shape.run(shape.options);
}

// Prints a report, and on stderr what it has missed. The exit code says so as well.
Exit tell(const bench::Report& report, bool json) {
  fmt::print("{}", json ? bench::to_json(report) : bench::to_table(report));
  std::fflush(stdout);
  const std::vector<std::string> missed = bench::missed(report);
  for (const std::string& line : missed) fmt::print(stderr, "eventrelay: {}\n", line);
  return missed.empty() ? Exit::Ok : Exit::Failed;
}

// A backlog is delivered as fast as it goes.
void require_live(const bench::BenchOptions& options) {
  if (options.rate <= 0 || options.records == 0) return;
  throw std::runtime_error(
      fmt::format("--rate {:g} is for records that come while the relay runs, and --backlog {} "
                  "waits before: give --backlog 0 as well, or no --rate",
                  options.rate, options.records));
}

Exit run_scenario(BenchFlags& flags, bench::Scenario scenario) {
  if (scenario == bench::bench_relay) require_live(flags.options);
  const auto broker = prepare(flags);
  if (broker != nullptr) flags.options.ready = [&] { warm_broker(flags.options, scenario); };
  bench::Report report = scenario(flags.options);
  const bench::PageHead head = page_head();
  report.command = head.command;
  if (!flags.out.empty()) {
    std::ofstream(flags.out + ".json") << bench::to_json(report);
    std::ofstream(flags.out + ".svg") << bench::to_svg(report);
    std::ofstream(flags.out + ".md")
        << fmt::format("`{}`, {}, {}.\n\n", head.command, head.machine, head.date)
        << bench::to_markdown(report);
    fmt::print(stderr, "written: {0}.json {0}.md {0}.svg\n", flags.out);
  }
  return tell(report, flags.json);
}

std::vector<bench::Shape> shapes_of(const BenchFlags& flags) {
  auto shapes =
      flags.short_form ? bench::short_shapes(flags.options) : bench::all_shapes(flags.options);
  std::erase_if(shapes, [&flags](const bench::Shape& shape) {
    return shape.name.find(flags.only) == std::string::npos;
  });
  if (shapes.empty()) {
    throw std::runtime_error(
        "--only " + flags.only +
        ": no shape has that in its name; names begin with relay, ingest, e2e");
  }
  return shapes;
}

// Of single rounds one in three is off by a sixth; the page shows the median.
constexpr unsigned kRoundsOfAll = 3;

Exit run_all(BenchFlags& flags) {
  bench::require_programs({"eventrelay-ingest", "eventrelay-relay", "answer_loop", "ingest_limit",
                           "ingest_lean", "relay_limit", "relay_lean", "bench_allocations"});
  bench::PageHead head = page_head();
  const auto broker = prepare(flags);
  bench::require_local_broker(flags.options.kafka);
  const auto shapes = shapes_of(flags);
  if (broker != nullptr && !flags.short_form) warm_broker(flags.options, nullptr);
  std::vector<bench::Report> reports;
  Exit exit = Exit::Ok;
  const TimePoint start = monotonic_now();
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const std::string words = bench::progress_words(shapes, i, monotonic_now() - start);
    fmt::print(stderr, "{}\n", words);
    // One shape that fails costs its own figures, not those of the others. Before there are any,
    // nothing is lost, and the reason is likely that of all.
    try {
      reports.push_back(shapes[i].run(shapes[i].options));
    } catch (const std::exception& error) {
      if (reports.empty()) throw;
      head.failed.push_back(shapes[i].name + ": " + error.what());
      fmt::print(stderr, "eventrelay: {}\n", head.failed.back());
      exit = Exit::Failed;
      continue;
    }
    if (flags.json) continue;
    if (tell(reports.back(), false) != Exit::Ok) exit = Exit::Failed;
  }
  if (flags.json) fmt::print("{}", bench::to_json(reports, head));
  if (!flags.report.empty()) {
    bench::write_page(reports, head, flags.report);
    fmt::print(stderr, "written: {0}/performance.md, {0}/performance.json and three plots\n",
               flags.report);
  }
  return exit;
}

// This build and that of another revision in turn, in the shape that is asked for.
Exit run_compare(BenchFlags& flags) {
  (void)bench::required_checkout("bench compare");
  bench::require_programs({"eventrelay-ingest", "eventrelay-relay"});
  const auto broker = prepare(flags);
  bench::require_local_broker(flags.options.kafka);  // a build takes minutes
  const bench::Revision revision(flags.revision, flags.options.progress);
  flags.options.limits = false;
  flags.options.builds = {revision.build(), {}};
  if (broker != nullptr) warm_broker(flags.options, nullptr);
  Exit exit = Exit::Ok;
  for (const bench::Scenario scenario : {bench::bench_ingest, bench::bench_relay}) {
    if (tell(scenario(flags.options), flags.json) != Exit::Ok) exit = Exit::Failed;
  }
  return exit;
}

// CLI::Range lets `nan` pass, since it is neither below nor above.
const CLI::Validator kNumber(
    [](const std::string& text) {
      const double value = std::strtod(text.c_str(), nullptr);
      return std::isfinite(value) ? std::string() : "Value " + text + " is not a number";
    },
    "");

const CLI::Validator kBodySize(
    [](const std::string& text) {
      const auto bytes = std::strtoull(text.c_str(), nullptr, 10);
      if (bytes == 0 || (bytes >= 256 && bytes <= 48U << 10U)) return std::string();
      return "Value " + text + " is neither 0 nor 256 to 48 KiB";
    },
    "");

const CLI::Validator kKeyValue(
    [](const std::string& text) {
      const std::size_t equals = text.find('=');
      const bool both = equals != 0 && equals != std::string::npos;
      return both ? std::string() : "Value " + text + " is not KEY=VALUE";
    },
    "");

void add_common(CLI::App& command, BenchFlags& flags) {
  command.add_option("--kafka", flags.options.kafka,
                     "HOST:PORT of a real broker on loopback; topics get a prefix of their own. "
                     "In a checkout, none: one is started");
  command.add_option("--rounds", flags.options.rounds, "All in turn, that often")
      ->check(CLI::Range(1, 20))
      ->capture_default_str();
  command.add_option("--partitions", flags.options.partitions, "Partitions of the topic")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command.add_option("--shards", flags.options.shards, "Shards of the product")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command.add_flag("--json", flags.json, "JSON instead of tables");
}

void add_timed(CLI::App& command, BenchFlags& flags) {
  command
      .add_option(
          "--connections", flags.options.connections,
          "Connections at once; relay: of the limit programs, 0 = as many as its subscriptions use")
      ->check(CLI::Range(flags.options.connections == 0 ? 0 : 1, 4096))
      ->capture_default_str();
  command
      .add_option("--rate", flags.options.rate,
                  "Open loop at this many events/s; relay: with --backlog 0")
      ->check(CLI::Range(0.0, 200'000.0))
      ->check(kNumber);
  command.add_option("--duration", flags.duration, "Seconds measured")
      ->check(CLI::Range(1.0, 600.0))
      ->check(kNumber)
      ->capture_default_str();
  command.add_option("--warm-up", flags.warm_up, "Seconds before that")
      ->check(CLI::Range(0.0, 60.0))
      ->check(kNumber)
      ->capture_default_str();
  command
      .add_option("--body-size", flags.options.body_size,
                  "Bytes of a body, 256 to 48 KiB; 0: the provider's example, about 0.9 kB")
      ->transform(CLI::AsSizeValue(false))
      ->check(kBodySize);
}

void add_objectives(CLI::App& command, BenchFlags& flags) {
  command
      .add_option("--max-ratio", flags.options.ratio_max,
                  "Objective: CPU per event at most this times the limit's")
      ->check(CLI::PositiveNumber)
      ->check(kNumber);
  command.add_option("--max-p99", flags.options.p99_max_ms, "Objective: p99 in ms")
      ->check(CLI::PositiveNumber)
      ->check(kNumber);
  command.add_option("--out", flags.out, "Also write FILE with .json, .md and .svg");
}

void add_of_relay(CLI::App& command, BenchFlags& flags) {
  command
      .add_option("--subscriptions", flags.options.subscriptions,
                  "Subscriptions that the records are for, in turn")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command
      .add_option("--inflight", flags.options.inflight,
                  "Requests in flight at once, of the product")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command
      .add_option("--endpoint-delay", flags.endpoint_delay_ms,
                  "Before the endpoint answers, e.g. 20ms; a number is milliseconds")
      ->transform(
          CLI::AsNumberWithUnit(std::map<std::string, std::uint64_t>{{"ms", 1}, {"s", 1000}}))
      ->check(CLI::Range(0, 60'000));
  command
      .add_option("--backlog,--records", flags.options.records,
                  "Records waiting before the relay starts; 0: they come at --rate while it runs")
      ->check(CLI::Range(0, 5'000'000))
      ->capture_default_str();
}

void add_instances(CLI::App& command, BenchFlags& flags) {
  command
      .add_option("--instances", flags.options.instances,
                  "Instances that the requests are for, in turn")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
}

using Flags = std::shared_ptr<BenchFlags>;

Flags add_scenario(CLI::App& command, Run& run, bench::Scenario scenario, unsigned connections) {
  auto flags = std::make_shared<BenchFlags>();
  flags->options.connections = connections;
  add_common(command, *flags);
  add_timed(command, *flags);
  add_objectives(command, *flags);
  command.callback([flags, scenario, &run] {
    run = [flags, scenario] { return run_scenario(*flags, scenario); };
  });
  return flags;
}

void add_all(CLI::App& command, Run& run) {
  auto flags = std::make_shared<BenchFlags>();
  flags->options.rounds = kRoundsOfAll;
  add_common(command, *flags);
  command.add_flag("--short", flags->short_form,
                   "Four shapes in one round, about two minutes; all take half an hour");
  command.add_option("--only", flags->only, "Only shapes with this in their name, e.g. ingest");
  command.add_option("--report", flags->report,
                     "Write performance.md, performance.json and images/ into this folder");
  command.callback([flags, &command, &run] {
    if (flags->short_form && command.count("--rounds") == 0) flags->options.rounds = 1;
    run = [flags] { return run_all(*flags); };
  });
}

void add_compare(CLI::App& command, Run& run) {
  auto flags = std::make_shared<BenchFlags>();
  flags->options.rounds = 4;
  flags->duration = 5;
  flags->options.records = 200'000;
  command.add_option("revision", flags->revision, "Anything git knows as a commit")->required();
  add_common(command, *flags);
  add_timed(command, *flags);
  add_of_relay(command, *flags);
  add_instances(command, *flags);
  command.callback([flags, &run] { run = [flags] { return run_compare(*flags); }; });
}

}  // namespace

void add_bench(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "bench", "Load tests against a real broker; exit 1 if a stated objective is missed");
  command->require_subcommand(1);
  CLI::App* ingest = command->add_subcommand("ingest", "CPU, rate and latency of ingest");
  add_instances(*ingest, *add_scenario(*ingest, run, bench::bench_ingest, 256));
  CLI::App* relay = command->add_subcommand("relay", "CPU and rate of the relay, backlog waiting");
  CLI::App* e2e = command->add_subcommand("e2e", "Latency from request in to callback out");
  const Flags flags = add_scenario(*relay, run, bench::bench_relay, 0);
  add_of_relay(*relay, *flags);
  relay
      ->add_option("--compare", flags->options.compare,
                   "KEY=VALUE of one more run per round, beside the one without it")
      ->check(kKeyValue);
  add_instances(*e2e, *add_scenario(*e2e, run, bench::bench_e2e, 64));
  add_all(*command->add_subcommand("all", "Every scenario in many shapes; writes the page"), run);
  add_compare(*command->add_subcommand("compare", "This build beside that of another git revision"),
              run);
}

}  // namespace eventrelay::cli
