#include "ingest/control/event_view.hpp"

#include <algorithm>
#include <boost/json/array.hpp>

#include "common/text/utc.hpp"
#include "common/text/utf8.hpp"

namespace eventrelay::control {
namespace {

namespace json = boost::json;
using history::AttemptSeen;
using history::Fate;
using history::StoredEvent;
using history::Traces;

bool among(const std::vector<std::string>& list, std::string_view word) {
  return list.empty() || std::find(list.begin(), list.end(), word) != list.end();
}

bool wants(const StoredEvent& event, const Wanting& subscription) {
  return among(subscription.filter.event_types, event.event_type) &&
         among(subscription.filter.object_types, event.object_type);
}

std::string utc_ms(WallTime time) {
  std::string out;
  append_utc_ms(time, out);
  return out;
}

// What is known at each subscription: those of now, then those that left a trace and are gone.
struct Told {
  std::string subscription;
  Traces traces;
  Fate fate;
};

std::vector<Told> told(const StoredEvent& event, const std::vector<Wanting>& subscriptions) {
  std::vector<Told> out;
  for (const Wanting& each : subscriptions) {
    Traces traces = event.at(each.id, wants(event, each));
    const Fate fate = fate_of(traces);
    out.push_back({each.id, std::move(traces), fate});
  }
  for (const auto& each : event.traces) {
    const bool known = std::any_of(out.begin(), out.end(), [&](const Told& one) {
      return one.subscription == each.subscription;
    });
    if (known) continue;
    Traces traces = event.at(each.subscription, true);
    const Fate fate = fate_of(traces);
    out.push_back({each.subscription, std::move(traces), fate});
  }
  return out;
}

const char* status_of(const std::vector<Told>& all) {
  bool wanted = false;
  bool delivered_all = true;
  bool begun = false;
  for (const Told& each : all) {
    if (each.fate == Fate::Filtered) continue;
    wanted = true;
    delivered_all = delivered_all && each.fate == Fate::Delivered;
    begun = begun || each.fate == Fate::Delivered || each.fate == Fate::Retry ||
            each.fate == Fate::Dead || !each.traces.attempts.empty();
  }
  if (!wanted) return "CONSUMED";
  if (delivered_all) return "NOTIFIED";
  return begun ? "DISPATCHED" : "RECEIVED";
}

json::object attempt_answer(const AttemptSeen& attempt) {
  return {{"at", utc_ms(attempt.at)}, {"attempt", attempt.attempt}, {"outcome", attempt.outcome},
          {"status", attempt.status}, {"ms", attempt.ms},           {"next", attempt.next}};
}

json::array notified(const std::vector<Told>& all) {
  json::array out;
  for (const Told& each : all) {
    json::array attempts;
    for (const AttemptSeen& attempt : each.traces.attempts) {
      attempts.push_back(attempt_answer(attempt));
    }
    const std::string_view word = word_of(each.fate);
    out.push_back(json::object{{"subscription", each.subscription},
                               {"state", json::string_view(word.data(), word.size())},
                               {"attempts", std::move(attempts)}});
  }
  return out;
}

WallTime updated(const StoredEvent& event, const std::vector<Told>& all) {
  WallTime last = event.received;
  for (const Told& each : all) {
    for (const AttemptSeen& attempt : each.traces.attempts) last = std::max(last, attempt.at);
    if (each.traces.dead) last = std::max(last, each.traces.dead->stamped);
  }
  return last;
}

json::value text_or_null(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(as_utf8(text));
}

}  // namespace

std::vector<Wanting> subscriptions_of(const InstanceConfig& instance) {
  std::vector<Wanting> out;
  const std::string id = std::to_string(instance.id);
  if (instance.events_enabled && !instance.callback_url.empty()) out.push_back({id, {}});
  for (const SubscriptionConfig& each : instance.subscriptions) {
    out.push_back({id + "/" + each.name, each.filter});
  }
  return out;
}

Fate fate_at(const StoredEvent& event, const Wanting& subscription) {
  return fate_of(event.at(subscription.id, wants(event, subscription)));
}

json::object event_answer(const StoredEvent& event, const std::vector<Wanting>& subscriptions) {
  const std::vector<Told> all = told(event, subscriptions);
  const std::string received = utc_ms(event.received);
  json::array of_instances;
  of_instances.push_back(json::object{{"eventId", event.id},
                                      {"elementInstanceId", event.instance},
                                      {"notificationId", event.id},
                                      {"notifiedData", notified(all)},
                                      {"createdDate", received},
                                      {"updatedDate", utc_ms(updated(event, all))}});
  return {{"id", event.id},
          {"eventDate", event.date.empty() ? received : as_utf8(event.date)},
          {"status", status_of(all)},
          {"providerData", as_utf8(event.body)},
          {"instanceId", event.instance},
          {"elementKey", event.element},
          {"eventType", text_or_null(event.event_type)},
          {"objectType", text_or_null(event.object_type)},
          {"objectId", text_or_null(event.object_id)},
          {"notifiedData", notified(all)},
          {"eventElementInstances", std::move(of_instances)}};
}

json::object disposition_answer(const StoredEvent& event,
                                const std::vector<Wanting>& subscriptions) {
  json::array data;
  const auto add = [&data](std::string message) {
    data.push_back(json::object{{"message", std::move(message)}});
  };
  for (const Told& each : told(event, subscriptions)) {
    for (const AttemptSeen& attempt : each.traces.attempts) {
      if (attempt.outcome == "ok") continue;
      std::string message = "Error delivering event to subscription " + each.subscription +
                            ": attempt " + std::to_string(attempt.attempt) + " ended with " +
                            attempt.outcome;
      if (attempt.status != 0) message += ", status " + std::to_string(attempt.status);
      add(std::move(message));
    }
    add("Subscription " + each.subscription + ": " + std::string(word_of(each.fate)));
  }
  return {{"eventId", event.id},
          {"elementInstanceId", event.instance},
          {"notificationData", std::move(data)}};
}

std::string as_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const std::size_t size = first_character(bytes).size;
    out += size == 0 ? kReplacementCharacter : bytes.substr(0, size);
    bytes.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return out;
}

}  // namespace eventrelay::control
