#include "cli/records/replay_selection.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cli/command/command.hpp"
#include "cli/records/record_view.hpp"
#include "common/base/crypto.hpp"
#include "common/config/config_units.hpp"
#include "common/providers/stamp.hpp"

namespace eventrelay::cli {
namespace {

constexpr std::size_t kNameMax = 100;
constexpr std::string_view kNoteForm = "r1";

[[noreturn]] void refuse(const std::string& line) {
  throw Failure(Exit::Usage, line);
}

const Subscription* find(const Instance& instance, std::string_view id) {
  for (const Subscription& one : instance.subscriptions) {
    if (one.id == id) return &one;
  }
  return nullptr;
}

void check_name(const std::string& name) {
  const bool fits =
      !name.empty() && name.size() <= kNameMax && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.';
      });
  if (!fits) {
    refuse("--name \"" + name + "\": 1 to 100 of letters, digits, '-', '_' and '.'");
  }
}

void check_subscription(const ReplaySelection& selection, const Settings& settings) {
  if (!selection.instance) return;
  const std::string number = std::to_string(selection.instance->value);
  const Instance* const instance = settings.registry.find(*selection.instance);
  if (instance == nullptr) {
    refuse("--instance " + number + ": no such instance in the configuration");
  }
  if (selection.subscription.empty() || find(*instance, selection.subscription) != nullptr) return;
  std::string known;
  for (const Subscription& one : instance->subscriptions) known += " " + one.id;
  refuse("--subscription \"" + selection.subscription + "\": not configured; instance " + number +
         (known.empty() ? " has none" : " has" + known));
}

void take_subscription(const ReplayAsk& ask, ReplaySelection& selection) {
  if (ask.instance != 0) selection.instance = InstanceId{ask.instance};
  if (ask.subscription.empty()) return;
  const auto leading = leading_instance(ask.subscription);
  const std::string number = leading ? std::to_string(leading->value) : std::string();
  const bool id =
      leading && (ask.subscription == number || ask.subscription.rfind(number + "/", 0) == 0);
  if (!id && selection.instance) {  // a bare name, of the instance given
    selection.subscription = std::to_string(selection.instance->value) + "/" + ask.subscription;
    return;
  }
  if (!id) {
    refuse("--subscription \"" + ask.subscription +
           "\": give INSTANCE or INSTANCE/NAME, or the name with --instance");
  }
  if (selection.instance && *selection.instance != *leading) {
    refuse("--subscription \"" + ask.subscription + "\" is not of --instance " +
           std::to_string(ask.instance));
  }
  selection.instance = leading;
  selection.subscription = ask.subscription;
}

void check_times(const ReplayAsk& ask, const ReplaySelection& selection, WallTime now) {
  if (selection.since && *selection.since > now) {
    refuse("--since " + ask.since + ": lies in the future");
  }
  if (selection.since && selection.until && *selection.since >= *selection.until) {
    refuse("--since " + ask.since + " is not before --until " + ask.until);
  }
}

std::string digest_of(const ReplayAsk& ask, const ReplaySelection& selection) {
  std::string text = ask.from + "\n" + selection.subscription + "\n" + ask.since + "\n" + ask.until;
  text += "\n" + (selection.instance ? std::to_string(selection.instance->value) : "");
  for (const std::string& id : selection.ids) text += "\n" + id;
  return crypto::hex(crypto::sha256(text).view()).substr(0, 16);
}

std::string print_time(const std::optional<WallTime>& time) {
  return time ? std::to_string(unix_ms(*time)) : "-";
}

std::optional<WallTime> parse_time(std::string_view text) {
  const auto number = config::parse_integer(text);
  if (!number) return std::nullopt;
  return WallTime{std::chrono::milliseconds{*number}};
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    words.push_back(word);
    text.remove_prefix(std::min(text.size(), word.size() + 1));
  }
  return words;
}

}  // namespace

WallTime parse_moment(std::string_view flag, std::string_view text, WallTime now) {
  using providers::parse_stamp;
  using providers::Stamp;
  if (const auto age = config::parse_duration(text); age && age->count() >= 0) return now - *age;
  const auto at = parse_stamp(
      Stamp::Rfc3339, text.size() == 10 ? std::string(text) + "T00:00:00Z" : std::string(text));
  if (at && unix_ms(*at) >= 0) return *at;
  refuse(
      fmt::format("{} \"{}\": not a time; give RFC 3339 (2026-11-24T10:00:00Z), a date "
                  "(2026-11-24) or an age (90m, 2h, 3d)",
                  flag, text));
}

ReplaySelection select(const ReplayAsk& ask, const Settings& settings, WallTime now) {
  ReplaySelection selection;
  if (ask.from != "dead" && ask.from != "events") {
    refuse("--from \"" + ask.from + "\": dead or events");
  }
  selection.from = ask.from == "dead" ? ReplayFrom::Dead : ReplayFrom::Events;
  take_subscription(ask, selection);
  if (settings.config.registry == "topic") {
    if (selection.from == ReplayFrom::Events) {
      refuse("--from events needs the instances in the file; registry is \"topic\"");
    }
  } else {
    check_subscription(selection, settings);
  }
  if (!ask.since.empty()) selection.since = parse_moment("--since", ask.since, now);
  if (!ask.until.empty()) selection.until = parse_moment("--until", ask.until, now);
  check_times(ask, selection, now);
  selection.ids = ask.ids;
  std::sort(selection.ids.begin(), selection.ids.end());
  const bool all = !selection.instance && !selection.since && selection.ids.empty();
  if (selection.from == ReplayFrom::Events && all) {
    refuse("--from events: say which, by --instance, --subscription, --id or --since");
  }
  selection.digest = digest_of(ask, selection);
  selection.name = ask.name.empty() ? selection.digest : ask.name;
  check_name(selection.name);
  return selection;
}

std::string print_note(const ReplaySelection& selection, ReplayState state) {
  return fmt::format("{} {} {} {} {}", kNoteForm, state == ReplayState::Done ? "done" : "open",
                     selection.digest, print_time(selection.since), print_time(selection.until));
}

ReplayState go_on(ReplaySelection& selection, std::string_view note) {
  const auto words = words_of(note);
  if (words.size() != 5 || words[0] != kNoteForm) {
    refuse("--name " + selection.name + ": its positions are not of a replay; choose another name");
  }
  if (words[2] != selection.digest) {
    refuse("--name " + selection.name +
           ": was begun with another selection; give the flags of then, or another name");
  }
  if (words[1] == "done") return ReplayState::Done;
  selection.since = parse_time(words[3]);
  selection.until = parse_time(words[4]);
  return ReplayState::Open;
}

Chosen choose(const ReplaySelection& selection, const Settings& settings, const Event& event,
              std::vector<std::string_view>& subscriptions) {
  subscriptions.clear();
  if (selection.instance && event.instance != *selection.instance) return Chosen::NotAsked;
  if (!selection.ids.empty() &&
      !std::binary_search(selection.ids.begin(), selection.ids.end(), event.id)) {
    return Chosen::NotAsked;
  }
  const bool known = settings.config.registry != "topic";
  const Instance* const instance = settings.registry.find(event.instance);
  if (selection.from == ReplayFrom::Dead) {
    if (!event.parked) return Chosen::NotAsked;
    const std::string_view id = event.parked->subscription;
    if (!selection.subscription.empty() && id != selection.subscription) return Chosen::NotAsked;
    if (known && (instance == nullptr || !instance->events_enabled || !find(*instance, id))) {
      return Chosen::NoSubscription;
    }
    subscriptions.push_back(id);
    return Chosen::Selected;
  }
  if (instance == nullptr || !instance->events_enabled) return Chosen::NoSubscription;
  for (const Subscription& one : instance->subscriptions) {
    if (!selection.subscription.empty() && one.id != selection.subscription) continue;
    if (one.wants(event.event_type, event.object_type)) subscriptions.emplace_back(one.id);
  }
  return subscriptions.empty() ? Chosen::NoSubscription : Chosen::Selected;
}

}  // namespace eventrelay::cli
