// eventrelay replay: sends events again, dead letters or history, at a pace, once each.
//
// Thread:  main.
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "cli/command/command.hpp"
#include "cli/command/config_flags.hpp"
#include "cli/records/record_view.hpp"
#include "cli/records/replay_selection.hpp"
#include "cli/records/stop_signal.hpp"
#include "common/kafka/tools/replay_copy.hpp"
#include "common/kafka/topics.hpp"
#include "common/process/failpoint.hpp"
#include "common/text/json_text.hpp"

namespace eventrelay::cli {
namespace {

using std::chrono::milliseconds;

constexpr Duration kPoll = milliseconds{100};
constexpr Duration kTellEvery = std::chrono::seconds{2};
// Bounds of one transaction.
constexpr std::uint64_t kBatchRecords = 500;
constexpr std::size_t kBatchBytes = 8U << 20;
constexpr Duration kBatchAge = std::chrono::seconds{1};
constexpr Duration kScanAge = std::chrono::seconds{5};  // a batch that only moves the position

// Flags of `replay`.
struct ReplayFlags {
  std::shared_ptr<ConfigInput> input;
  std::string kafka;
  ReplayAsk ask;
  std::uint32_t rate = 100;
  bool dry_run = false;
  bool json = false;
};

struct Tally {
  std::uint64_t sent = 0;
  std::uint64_t nobody = 0;
  std::uint64_t unreadable = 0;

  Tally& operator+=(const Tally& other) {
    sent += other.sent;
    nobody += other.nobody;
    unreadable += other.unreadable;
    return *this;
  }
};

// Waits; a signal ends it early.
void wait(Duration time) {
  const auto ms = std::chrono::ceil<milliseconds>(time).count();
  if (ms > 0) (void)::poll(nullptr, 0, static_cast<int>(std::min<std::int64_t>(ms, 60'000)));
}

// One run. Thread: main.  Bounds: one batch.
class Replay {
 public:
  Replay(const ReplayFlags& flags, const Settings& settings)
      : flags_(flags),
        settings_(settings),
        selection_(select(flags.ask, settings, wall_now())),
        target_(
            kafka::topic_name(settings.config.topics,
                              "retry." + kafka::delay_word(settings.config.retry.delays.front()))),
        copy_(settings.config.kafka, route()) {}

  Exit run();

 private:
  [[nodiscard]] kafka::ReplayRoute route() const;
  void begin();
  void take(const kafka::Message& message);
  void show(const kafka::Message& message, const Event& event, std::string_view subscription) const;
  [[nodiscard]] bool batch_full(TimePoint now) const;
  void end_batch();
  void pace();
  void tell(TimePoint now);
  [[nodiscard]] Exit finish();
  [[nodiscard]] std::string summary() const;

  const ReplayFlags& flags_;
  const Settings& settings_;
  ReplaySelection selection_;
  std::string target_;
  kafka::ReplayCopy copy_;
  std::vector<std::string_view> subscriptions_;
  Tally done_;   // in transactions that were committed
  Tally batch_;  // in the open one
  std::size_t batch_bytes_ = 0;
  TimePoint batch_since_{};
  TimePoint send_at_{};  // when the rate allows the next batch
  TimePoint told_{};
  bool resumed_ = false;
};

kafka::ReplayRoute Replay::route() const {
  const auto& topics = settings_.config.topics;
  const bool dead = selection_.from == ReplayFrom::Dead;
  return {.source = kafka::topic_name(topics, dead ? "dead" : "events"),
          .target = target_,
          .group = kafka::topic_name(topics, "replay." + selection_.name),
          .mode = flags_.dry_run ? kafka::ReplayMode::Look : kafka::ReplayMode::Copy};
}

void Replay::begin() {
  bool open = false;
  if (copy_.earlier_note()) {
    open = go_on(selection_, *copy_.earlier_note()) == ReplayState::Open;
    resumed_ = true;
    fmt::print(stderr, "replay {}: {}\n", selection_.name,
               open ? "goes on where an earlier run ended"
                    : "came to its end before; takes only what came since, another --name begins "
                      "anew");
  }
  copy_.begin({.since = selection_.since,
               .until = selection_.until,
               .note = print_note(selection_, ReplayState::Open),
               .same_ends = open});
  if (const auto gone = copy_.progress().gone; gone > 0) {
    fmt::print(stderr, "replay {}: {} records that were not read yet are gone by retention\n",
               selection_.name, gone);
  }
  told_ = batch_since_ = send_at_ = monotonic_now();
}

void Replay::show(const kafka::Message& message, const Event& event,
                  std::string_view subscription) const {
  if (flags_.json) {
    JsonObject line;
    line.number("partition", std::int64_t{message.partition().value})
        .number("offset", message.offset().value)
        .number("stamped", unix_ms(message.stamped()))
        .text("id", event.id)
        .text("subscription", subscription)
        .text("reason", event.parked ? event.parked->reason : "");
    fmt::print("{}\n", std::move(line).finish());
    return;
  }
  fmt::print("{}:{} {} to {}, {} bytes{}{}\n", message.partition().value, message.offset().value,
             event.id, subscription, event.body.size(), event.parked ? ", was " : "",
             event.parked ? event.parked->reason : "");
}

void Replay::take(const kafka::Message& message) {
  const auto event = message.event();
  if (!event) {
    if (event.error() == RecordError::UnknownVersion) {
      throw Failure(Exit::Failed, fmt::format("{} {}:{}: {}; use the program that wrote it",
                                              message.topic(), message.partition().value,
                                              message.offset().value, describe(event.error())));
    }
    ++batch_.unreadable;
    return;
  }
  switch (choose(selection_, settings_, *event, subscriptions_)) {
    case Chosen::NotAsked:
      return;
    case Chosen::NoSubscription:
      ++batch_.nobody;
      return;
    case Chosen::Selected:
      break;
  }
  for (const std::string_view subscription : subscriptions_) {
    if (flags_.dry_run) {
      show(message, *event, subscription);
    } else {
      // An event of the history has not failed: its reason is the outcome `ok`.
      copy_.add(message, {.subscription = subscription,
                          .reason = event->parked ? event->parked->reason : "ok",
                          .now = wall_now()});
    }
    ++batch_.sent;
    batch_bytes_ += event->body.size();
  }
}

bool Replay::batch_full(TimePoint now) const {
  const std::uint64_t share = flags_.rate == 0
                                  ? kBatchRecords
                                  : std::clamp<std::uint64_t>(flags_.rate / 5, 1, kBatchRecords);
  if (batch_.sent >= share || batch_bytes_ >= kBatchBytes) return true;
  return now - batch_since_ >= (batch_.sent > 0 ? kBatchAge : kScanAge);
}

void Replay::end_batch() {
  if (copy_.commit()) {
    done_ += batch_;
    pace();
  }
  batch_ = {};
  batch_bytes_ = 0;
  batch_since_ = monotonic_now();
}

void Replay::pace() {
  if (flags_.rate == 0 || flags_.dry_run) return;
  const TimePoint now = monotonic_now();
  // Time in which no record was found is not caught up by sending faster.
  send_at_ = std::max(send_at_, now - kBatchAge) + std::chrono::nanoseconds{1'000'000'000} *
                                                       static_cast<std::int64_t>(batch_.sent) /
                                                       static_cast<std::int64_t>(flags_.rate);
  while (stop_asked == 0 && monotonic_now() < send_at_) {
    tell(monotonic_now());
    wait(std::min<Duration>(send_at_ - monotonic_now(), kTellEvery));
  }
}

void Replay::tell(TimePoint now) {
  if (now - told_ < kTellEvery) return;
  told_ = now;
  const auto progress = copy_.progress();
  fmt::print(stderr, "replay {}: {} sent, {} of {} records read\n", selection_.name, done_.sent,
             progress.passed, progress.offsets);
}

std::string Replay::summary() const {
  const auto progress = copy_.progress();
  if (flags_.json) {
    JsonObject line;
    line.text("name", selection_.name)
        .text("target", target_)
        .flag("dry_run", flags_.dry_run)
        .flag("finished", copy_.finished())
        .number("sent", done_.sent)
        .number("no_subscription", done_.nobody)
        .number("unreadable", done_.unreadable)
        .number("read", progress.passed)
        .number("gone", progress.gone);
    return std::move(line).finish();
  }
  std::string text =
      fmt::format("replay {}: {} {} {}, {} records read", selection_.name, done_.sent,
                  flags_.dry_run ? "would go to" : "sent to", target_, progress.passed);
  if (done_.nobody > 0) {
    text += fmt::format(", {} left out: their subscription is not configured or does not want them",
                        done_.nobody);
  }
  if (done_.unreadable > 0) text += fmt::format(", {} not readable", done_.unreadable);
  return text;
}

Exit Replay::finish() {
  fmt::print("{}\n", summary());
  if (!copy_.finished()) {
    throw Failure(Exit::Failed,
                  "replay " + selection_.name + ": stopped; the same command goes on from here");
  }
  if (done_.sent == 0 && !resumed_) {
    throw Failure(Exit::Failed,
                  "replay " + selection_.name +
                      ": nothing selected; check the times and ids, and look with "
                      "`eventrelay tail " +
                      std::string(selection_.from == ReplayFrom::Dead ? "dead" : "events") +
                      " --from-beginning`");
  }
  return Exit::Ok;
}

Exit Replay::run() {
  begin();
  for (bool ended = false; !ended && stop_asked == 0;) {
    while (stop_asked == 0 && !copy_.finished()) {
      if (const auto message = copy_.next(kPoll)) take(*message);
      const TimePoint now = monotonic_now();
      tell(now);
      if (batch_full(now)) end_batch();
    }
    if (!copy_.finished()) break;
    // The last records and the end are one transaction; if it is refused, they are read again.
    ended = copy_.commit_end(print_note(selection_, ReplayState::Done));
    if (ended) done_ += batch_;
    batch_ = {};
  }
  if (batch_.sent > 0) end_batch();
  return finish();
}

Exit replay(ReplayFlags& flags) {
  if (!flags.kafka.empty()) {
    flags.input->overrides.push_back("kafka.bootstrap.servers=" + flags.kafka);
  }
  const auto settings = load_settings(*flags.input);
  failpoint::arm_from_environment();
  watch_stop_signals();
  return Replay(flags, *settings).run();
}

}  // namespace

void add_replay(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "replay", "Send dead letters or history again: each once, also after a stop or a kill");
  auto flags = std::make_shared<ReplayFlags>();
  flags->input = add_config_flags(*command);
  command->add_option("--kafka", flags->kafka, "HOST:PORT, instead of the configured brokers");
  command->add_option("--from", flags->ask.from, "dead or events")->required();
  command->add_option("--instance", flags->ask.instance, "Only this instance");
  command->add_option("--subscription", flags->ask.subscription,
                      "Only this one: INSTANCE, INSTANCE/NAME, or NAME with --instance; history "
                      "goes to all that want it otherwise");
  command->add_option("--since", flags->ask.since,
                      "Not before: 2026-11-24T10:00:00Z, 2026-11-24, or an age such as 2h");
  command->add_option("--until", flags->ask.until,
                      "Not after, likewise; the present end otherwise");
  command->add_option("--id", flags->ask.ids, "Only this event id; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--rate", flags->rate, "Events a second; 0: no limit")
      ->check(CLI::Range(0U, 1'000'000U))
      ->capture_default_str();
  command->add_option("--name", flags->ask.name,
                      "Name under which it goes on after a stop; default: made of the selection");
  command->add_flag("--dry-run", flags->dry_run, "Print what would be sent, send nothing");
  command->add_flag("--json", flags->json, "JSON lines");
  command->callback([flags, &run] { run = [flags] { return replay(*flags); }; });
}

}  // namespace eventrelay::cli
