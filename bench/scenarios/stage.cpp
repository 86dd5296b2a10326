#include "bench/scenarios/stage.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "bench/load/allocations.hpp"
#include "bench/scenarios/fitting.hpp"
#include "common/base/crypto.hpp"
#include "common/kafka/topics.hpp"
#include "common/registry/settings.hpp"

namespace eventrelay::bench {
namespace {

constexpr Duration kStartLimit = std::chrono::seconds(30);

std::string instance_yaml(unsigned i, const StageOptions& options) {
  std::string yaml =
      fmt::format("  - id: {}\n    name: bench-{}\n    element: box\n    configuration:\n",
                  kFirstInstance + i, i);
  if (options.callback_port == 0)
    return yaml +
           "      event.notification.enabled: true\n"
           "      event.notification.callback.url: https://callback.invalid/\n";
  return yaml + fmt::format(
                    "      event.notification.enabled: true\n"
                    "      event.notification.callback.url: http://127.0.0.1:{}/events\n"
                    "      event.notification.signature.key: {}\n"
                    "    delivery: {{allow_http: true, allow_private_addresses: true}}\n",
                    options.callback_port, kCallbackKey);
}

std::string config_yaml(const StageOptions& options, const std::string& prefix) {
  std::string yaml = fmt::format(
      "version: 1\nkafka:\n  bootstrap.servers: {}\n"
      "topics: {{prefix: \"{}\", partitions: {}, replication_factor: 1}}\n"
      "ingest: {{listen: 127.0.0.1:0, shards: {}, drain_delay: 0s}}\n"
      "relay: {{shards: {}, inflight_max: {}, group: \"{}relay\"}}\n"
      "sources:\n  box: {{keys: [{}]}}\ninstances:\n",
      options.kafka, prefix, options.partitions, options.shards, options.shards, options.inflight,
      prefix, kSourceKey);
  for (unsigned i = 0; i < options.instances; ++i) yaml += instance_yaml(i, options);
  return yaml;
}

// A library too is called as its target is.
std::filesystem::path beside(const std::string& program) {
  if (program == "bench_allocations") return beside(kAllocationsLibrary);
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / program;
}

// What a topic of so many partitions is given so that it keeps about `bytes`.
std::vector<std::pair<std::string, std::string>> keeping(std::size_t bytes, int partitions) {
  constexpr std::size_t kSegmentMin = 4U << 20;
  const std::size_t each = bytes / static_cast<std::size_t>(partitions);
  const std::string segment = std::to_string(std::max(each / 2, kSegmentMin));
  return {{"retention.bytes", segment}, {"segment.bytes", segment}};
}

std::string missing_of(const std::vector<std::string>& programs) {
  std::string missing;
  for (const std::string& program : programs) {
    if (!std::filesystem::exists(beside(program))) missing += " " + program;
  }
  return missing;
}

std::string counter() {
  const auto path = beside(kAllocationsLibrary);
  return std::filesystem::exists(path) ? path.string() : std::string();
}

std::string path_of(const std::string& program, const std::string& folder) {
  return folder.empty() ? beside(program).string() : folder + "/" + program;
}

}  // namespace

std::string body_words(std::size_t size) {
  return size == 0 ? "0.9 kB" : fmt::format("{} bytes", size);
}

void require_programs(const std::vector<std::string>& programs) {
  const std::string missing = missing_of(programs);
  if (missing.empty()) return;
  throw std::runtime_error("not built yet:" + missing + "; `.ci/build release" + missing +
                           "` builds what is missing");
}

std::vector<Contender> contenders(const std::string& product,
                                  const std::vector<std::string>& limits,
                                  const BenchOptions& options) {
  std::vector<Contender> all;
  const std::string missing = missing_of(limits);
  if (options.ratio_max > 0) require_programs(limits);
  if (options.limits && !missing.empty()) {
    options.progress("without the limit programs for comparison; `.ci/build release" + missing +
                     "` builds what is missing");
  }
  if (options.limits && missing.empty()) {
    all.push_back({"limit", Contender::Kind::Plain, {}});
    all.push_back({"lean", Contender::Kind::Lean, {}});
  }
  for (const Build& build : options.builds) {
    const std::string name = build.name.empty() ? product : product + " " + build.name;
    all.push_back({name, Contender::Kind::Product, build.folder});
  }
  return all;
}

void add_ratios(Report& report, const std::string& product, const BenchOptions& options) {
  const auto add = [&report](const std::string& name, const std::string& base, double bound) {
    const double cpu = cpu_ratio(report, name, base);
    if (cpu <= 0) return;
    report.objectives.push_back({"CPU per event, " + name + " / " + base, cpu, bound});
    report.objectives.push_back({"pace, " + name + " / " + base, pace_ratio(report, name, base)});
  };
  for (const Build& build : options.builds) {
    const std::string name = build.name.empty() ? product : product + " " + build.name;
    add(name, "limit", options.ratio_max > 0 ? options.ratio_max : kNoBound);
    add(name, "lean", kNoBound);
    if (!build.name.empty()) add(product, name, kNoBound);
  }
  if (!options.compare.empty()) add(product + " with " + options.compare, product, kNoBound);
  if (options.p99_max_ms > 0 && !report.rows.empty()) {
    const Row& last = report.rows.back();
    const auto p99 = static_cast<double>(last.latency.percentile(0.99).count()) / 1e6;
    report.objectives.push_back({"p99 ms, " + last.name, p99, options.p99_max_ms});
  }
}

Stage::Stage(const StageOptions& options) : options_(options) {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "eventrelay-bench-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    throw std::runtime_error("cannot make a folder like " + pattern);
  }
  folder_ = pattern;
  const std::string prefix =
      fmt::format("bench{}.{}.", ::getpid(), unix_ms(wall_now()) % 1'000'000);
  topic_ = prefix + "events";
  config_ = folder_ + "/eventrelay.yaml";
  std::ofstream(config_) << config_yaml(options_, prefix);
  ConfigInput input;
  input.path = config_;
  const auto settings = load_settings(input);
  kafka_ = settings->config.kafka;
  auto plan = kafka::topic_plan(settings->config);
  if (options_.kept_bytes > 0) {
    for (auto& setting : keeping(options_.kept_bytes, options_.partitions)) {
      plan.front().config.push_back(std::move(setting));
    }
  }
  for (const auto& topic : plan) topics_.push_back(topic.name);
  (void)kafka::ensure_topics(kafka_, plan, kafka::Create::Yes);
}

Stage::~Stage() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
  try {
    kafka::delete_topics(kafka_, topics_);
  } catch (const std::exception& error) {
    fmt::print(stderr, "topics of this run stay: {}\n", error.what());
  }
}

Process Stage::start(const std::string& program, const std::string& folder,
                     std::vector<std::string> overrides) {
  std::vector<std::string> arguments{path_of(program, folder), "-c", config_, "--set",
                                     "admin.listen=127.0.0.1:0"};
  for (auto& override_ : overrides) {
    arguments.emplace_back("--set");
    arguments.push_back(std::move(override_));
  }
  return {arguments, fmt::format("{}/{}-{}.log", folder_, program, started_++), counter()};
}

Process Stage::start_limit(const std::string& program, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), path_of(program, {}));
  return {arguments, fmt::format("{}/{}-{}.log", folder_, program, started_++), counter()};
}

namespace {

// The port behind `mark` in a line of a log. Nothing: it is not there.
std::optional<std::uint16_t> port_behind(const std::string& line, std::string_view mark) {
  const std::size_t at = line.find(mark);
  if (at == std::string::npos) return std::nullopt;
  std::uint16_t port = 0;
  const char* const begin = line.data() + at + mark.size();
  if (std::from_chars(begin, line.data() + line.size(), port).ec != std::errc{}) return {};
  return port;
}

}  // namespace

std::uint16_t Stage::admin_port_of(Process& process) {
  constexpr std::string_view kMark = "\"admin\":\"127.0.0.1:";
  const std::string line = process.wait_for(std::string(kMark), kStartLimit);
  const auto port = port_behind(line, kMark);
  if (!port) throw std::runtime_error("no admin address in: " + line);
  return *port;
}

std::uint16_t Stage::port_of(Process& process) {
  const std::string line = process.wait_for("ready", kStartLimit);
  std::size_t at = line.find("\"listen\":\"127.0.0.1:");
  at = at == std::string::npos ? line.find("ready ") + 6 : at + 20;
  std::uint16_t port = 0;
  std::from_chars(line.data() + at, line.data() + line.size(), port);
  return port;
}

std::vector<std::string> Stage::event_paths() const {
  std::vector<std::string> paths;
  for (unsigned i = 0; i < options_.instances; ++i) {
    paths.push_back("/elements/api-v2/events/box/" +
                    crypto::base64(std::to_string(kFirstInstance + i)));
  }
  return paths;
}

}  // namespace eventrelay::bench
