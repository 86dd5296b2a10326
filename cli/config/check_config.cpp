// eventrelay check-config: reads a configuration as the services do and prints what is wrong.
//
// Thread:  main.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "cli/command/command.hpp"
#include "cli/command/config_flags.hpp"
#include "common/kafka/rights.hpp"
#include "common/kafka/topic_limits.hpp"
#include "common/kafka/topics.hpp"
#include "common/trace/tracing.hpp"
#include "ingest/service.hpp"
#include "relay/service.hpp"

namespace eventrelay::cli {
namespace {

constexpr std::size_t kShownMax = 20;

// What the client library would not find when it is asked to speak TLS.
std::vector<std::string> kafka_files(const KafkaConfig& kafka) {
  std::vector<std::string> problems;
  const auto protocol = kafka.properties.find("security.protocol");
  if (protocol == kafka.properties.end() || protocol->second.find("ssl") == std::string::npos) {
    return problems;
  }
  for (const char* const key : {"ssl.ca.location", "ssl.certificate.location", "ssl.key.location",
                                "ssl.keystore.location", "ssl.crl.location"}) {
    const auto file = kafka.properties.find(key);
    if (file == kafka.properties.end() || file->second == "probe") continue;
    if (::access(file->second.c_str(), R_OK) == 0) continue;
    problems.push_back(fmt::format("kafka.{}: cannot read {}: {}", key, file->second,
                                   std::generic_category().message(errno)));
  }
  return problems;
}

// All that the services would find when they start, though it takes more than the file to know it.
void judge(const std::string& file, const Settings& settings) {
  std::string problems;
  const auto add = [&](const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
      problems.append(problems.empty() ? "" : "\n").append(file).append(": ").append(line);
    }
  };
  add(ingest::settings_problems(settings));
  add(relay::settings_problems(settings));
  add(kafka_files(settings.config.kafka));
  if (!problems.empty()) throw ConfigError(problems);
}

void print_warnings(const std::string& file, const Settings& settings) {
  for (const std::string& line : settings.config.warnings) fmt::print("warning: {}\n", line);
  for (const std::string& line : relay::settings_warnings(settings)) {
    fmt::print("warning: {}: {}\n", file, line);
  }
}

// Ascending by id: the registry has no order.
std::vector<const Instance*> by_id(const Registry& registry) {
  std::vector<const Instance*> all;
  all.reserve(registry.size());
  registry.for_each([&all](const Instance& instance) { all.push_back(&instance); });
  std::sort(all.begin(), all.end(),
            [](const Instance* a, const Instance* b) { return a->id < b->id; });
  return all;
}

void print_unsigned(const std::vector<const Instance*>& instances) {
  std::string ids;
  std::size_t count = 0;
  for (const Instance* const instance : instances) {
    for (const Subscription& subscription : instance->subscriptions) {
      if (!subscription.keys.empty()) continue;
      if (++count <= kShownMax) ids.append(ids.empty() ? "" : ", ").append(subscription.id);
    }
  }
  if (count == 0) return;
  fmt::print("not signed: {}{}\n", ids,
             count > kShownMax ? fmt::format(" and {} more", count - kShownMax) : "");
}

// Where a provider sends the events of each instance.
void print_event_urls(const IngestConfig& ingest, const std::vector<const Instance*>& instances) {
  if (instances.empty()) return;
  fmt::print("event URLs (the host as providers reach it):\n");
  const std::string base = std::string(ingest.tls ? "https" : "http") + "://" + ingest.listen[0];
  for (std::size_t i = 0; i < std::min(kShownMax, instances.size()); ++i) {
    const Instance& instance = *instances[i];
    fmt::print("  {} {} {}{}\n", instance.id.value, instance.name, base,
               event_path(ingest.base_path, instance));
  }
  if (instances.size() > kShownMax) fmt::print("  and {} more\n", instances.size() - kShownMax);
}

Exit check(const ConfigInput& input, bool connect) {
  const auto settings = load_settings(input);
  const Config& config = settings->config;
  judge(input.path, *settings);
  // Whichever service it is meant for, the variables are judged alike.
  trace::check_tracing(input.environment);
  const std::vector<const Instance*> instances = by_id(settings->registry);
  std::size_t subscriptions = 0;
  for (const Instance* const instance : instances) subscriptions += instance->subscriptions.size();
  fmt::print("{}: ok; {} instances, {} subscriptions, {} sources\n", input.path, instances.size(),
             subscriptions, settings->registry.sources().size());
  print_warnings(input.path, *settings);
  print_unsigned(instances);
  print_event_urls(config.ingest, instances);
  if (connect) {
    // What is not allowed first: a topic that may not be seen looks as if it did not exist.
    auto differences = kafka::missing_rights(config);
    if (differences.empty()) differences = kafka::check_topics(config);
    for (const std::string& difference : differences) fmt::print(stderr, "{}\n", difference);
    if (!differences.empty()) return Exit::Failed;
    fmt::print("kafka: reached; {} topics agree, {} partitions\n", kafka::topic_plan(config).size(),
               config.topics.partitions);
  }
  return Exit::Ok;
}

}  // namespace

void add_check_config(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("check-config", "Load and check a configuration; exit 78 if it is wrong");
  const auto input = add_config_flags(*command);
  const auto connect = std::make_shared<bool>(false);
  command->add_flag("--connect", *connect, "Also reach Kafka and compare the topics");
  command->callback(
      [input, connect, &run] { run = [input, connect] { return check(*input, *connect); }; });
}

}  // namespace eventrelay::cli
