// eventrelay tail: prints the records of all topics, or of one, as they come.
//
// Thread:  main.
#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "cli/command/command.hpp"
#include "cli/records/record_view.hpp"
#include "cli/records/stop_signal.hpp"
#include "common/kafka/tools/topic_reader.hpp"
#include "common/kafka/topics.hpp"
#include "common/registry/settings.hpp"

namespace eventrelay::cli {
namespace {

constexpr Duration kTailPoll = std::chrono::milliseconds(200);

// Flags of `tail`.
struct TailFlags {
  std::string topic;  // empty = all
  ConfigInput input;
  std::string kafka;
  std::uint64_t instance = 0;
  RecordFilter filter;
  std::uint64_t count = 0;
  bool from_beginning = false;
  bool bodies = false;
  bool json = false;
};

Config config_of(TailFlags& flags) {
  if (flags.input.path.empty()) flags.input.text = "version: 1\n";
  if (!flags.kafka.empty()) {
    flags.input.overrides.push_back("kafka.bootstrap.servers=" + flags.kafka);
  }
  return load_settings(flags.input)->config;
}

std::vector<std::string> topics_of(const Config& config, const std::string& asked) {
  const std::string& prefix = config.topics.prefix;
  if (!asked.empty()) {
    const bool full_name = !prefix.empty() && asked.rfind(prefix, 0) == 0;
    return {full_name ? asked : kafka::topic_name(config.topics, asked)};
  }
  std::vector<std::string> all;
  for (const auto& spec : kafka::topic_plan(config)) all.push_back(spec.name);
  return all;
}

void print(const RecordView& record, const TailFlags& flags) {
  const Body body = flags.bodies ? Body::Print : Body::Leave;
  fmt::print("{}\n", flags.json ? json_line(record, body) : text_line(record, body, wall_now()));
  std::fflush(stdout);
}

Exit tail(TailFlags& flags) {
  const Config config = config_of(flags);
  const std::size_t prefix = config.topics.prefix.size();
  if (flags.instance != 0) flags.filter.instance = InstanceId{flags.instance};
  kafka::TopicReader reader(config.kafka, topics_of(config, flags.topic),
                            flags.from_beginning ? kafka::From::Beginning : kafka::From::End);
  watch_stop_signals();
  std::uint64_t shown = 0;
  while (stop_asked == 0 && (flags.count == 0 || shown < flags.count)) {
    const auto message = reader.next(kTailPoll);
    if (!message) continue;
    const RecordView record{.topic = message->topic().substr(prefix),
                            .partition = message->partition(),
                            .offset = message->offset(),
                            .stamped = message->stamped(),
                            .key = message->key(),
                            .value = message->value(),
                            .event = message->event()};
    if (!flags.filter.wants(record)) continue;
    print(record, flags);
    ++shown;
  }
  return Exit::Ok;
}

}  // namespace

void add_tail(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("tail", "Follow the records of all topics, without joining the group");
  auto flags = std::make_shared<TailFlags>();
  flags->input.environment = process_environment();
  command->add_option(
      "topic", flags->topic,
      "Only this one: events, retry.5s, dead, state, attempts, sums, instances; with "
      "or without prefix");
  command->add_option("-c,--config", flags->input.path, "Configuration file")
      ->envname("EVENTRELAY_CONFIG");
  command->add_option("--set", flags->input.overrides, "Override, key=value; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--kafka", flags->kafka, "HOST:PORT, instead of the configured brokers");
  command->add_option("--instance", flags->instance, "Only this instance");
  command->add_option("--subscription", flags->filter.subscription,
                      "Only this subscription: INSTANCE, or INSTANCE/NAME");
  command->add_option("--id", flags->filter.ids, "Only this event id; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--count", flags->count, "End after that many; 0: until a signal");
  command->add_flag("--from-beginning", flags->from_beginning, "Start at the oldest record");
  command->add_flag("--body", flags->bodies, "Also print the body");
  command->add_flag("--json", flags->json, "One JSON object per record");
  command->callback([flags, &run] { run = [flags] { return tail(*flags); }; });
}

}  // namespace eventrelay::cli
