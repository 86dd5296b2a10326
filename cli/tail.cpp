// eventrelay tail: prints the records of a topic as they come.
//
// Thread:  main.
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <memory>

#include "cli/command.hpp"
#include "common/config_load.hpp"
#include "common/json_text.hpp"
#include "common/kafka/topic_reader.hpp"
#include "common/kafka/topics.hpp"

namespace eventrelay::cli {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(200);
volatile std::sig_atomic_t stop_asked = 0;

// Flags of `tail`. Thread: main.
struct TailFlags {
  std::string topic = "events";
  ConfigInput input;
  std::string kafka;
  std::uint64_t instance = 0;
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

void print_json(const kafka::Message& message, const Event& event, bool bodies) {
  JsonObject line;
  line.number("partition", std::int64_t{message.partition().value})
      .number("offset", message.offset().value)
      .text("id", event.id)
      .number("instance", event.instance.value)
      .text("element", event.element)
      .text("event_type", event.event_type)
      .text("object_type", event.object_type)
      .text("object_id", event.object_id)
      .text("date", event.date)
      .text("provider_id", event.provider_id)
      .number("received", unix_ms(event.received))
      .number("bytes", std::uint64_t{event.body.size()});
  if (bodies) line.text("body", event.body);
  fmt::print("{}\n", std::move(line).finish());
}

void print_text(const kafka::Message& message, const Event& event, bool bodies) {
  fmt::print("{}:{} {} {} {} {} {} {} {} bytes\n", message.partition().value,
             message.offset().value, event.id, event.instance.value, event.element,
             event.event_type, event.object_type, event.object_id, event.body.size());
  if (bodies) fmt::print("{}\n", event.body);
}

Exit tail(TailFlags& flags) {
  const Config config = config_of(flags);
  const bool full_name = flags.topic.rfind(config.topics.prefix, 0) == 0;
  const std::string topic = full_name ? flags.topic : kafka::topic_name(config.topics, flags.topic);
  kafka::TopicReader reader(config.kafka, topic,
                            flags.from_beginning ? kafka::From::Beginning : kafka::From::End);
  std::signal(SIGINT, [](int) { stop_asked = 1; });
  std::signal(SIGTERM, [](int) { stop_asked = 1; });
  std::uint64_t shown = 0;
  while (stop_asked == 0 && (flags.count == 0 || shown < flags.count)) {
    const auto message = reader.next(kPoll);
    if (!message) continue;
    const auto event = message->event();
    if (!event) {
      fmt::print("{}:{} not readable: {}\n", message->partition().value, message->offset().value,
                 describe(event.error()));
      continue;
    }
    if (flags.instance != 0 && event->instance.value != flags.instance) continue;
    if (flags.json) {
      print_json(*message, *event, flags.bodies);
    } else {
      print_text(*message, *event, flags.bodies);
    }
    std::fflush(stdout);
    ++shown;
  }
  return Exit::Ok;
}

}  // namespace

void add_tail(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("tail", "Follow the records of a topic, without joining the group");
  auto flags = std::make_shared<TailFlags>();
  flags->input.environment = process_environment();
  command->add_option("topic", flags->topic, "events, dead, retry.5s, ...; with or without prefix")
      ->capture_default_str();
  command->add_option("-c,--config", flags->input.path, "Configuration file")
      ->envname("EVENTRELAY_CONFIG");
  command->add_option("--set", flags->input.overrides, "Override, key=value; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--kafka", flags->kafka, "HOST:PORT, instead of the configured brokers");
  command->add_option("--instance", flags->instance, "Only this instance");
  command->add_option("--count", flags->count, "End after that many; 0: until a signal");
  command->add_flag("--from-beginning", flags->from_beginning, "Start at the oldest record");
  command->add_flag("--body", flags->bodies, "Also print the body");
  command->add_flag("--json", flags->json, "One JSON object per record");
  command->callback([flags, &run] { run = [flags] { return tail(*flags); }; });
}

}  // namespace eventrelay::cli
