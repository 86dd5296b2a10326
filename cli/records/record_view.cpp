#include "cli/records/record_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>

#include "common/text/json_text.hpp"

namespace eventrelay::cli {
namespace {

using std::chrono::milliseconds;

std::optional<boost::json::object> object_of(std::string_view value) {
  boost::system::error_code error;
  boost::json::value parsed = boost::json::parse(value, error);
  if (error || !parsed.is_object()) return std::nullopt;
  return std::move(parsed.get_object());
}

bool holds(const boost::json::object& object, std::string_view name, std::string_view wanted) {
  const boost::json::value* found = object.if_contains(name);
  const boost::json::string* text = found != nullptr ? found->if_string() : nullptr;
  return text != nullptr && std::string_view(text->data(), text->size()) == wanted;
}

bool among(const std::vector<std::string>& ids, std::string_view id) {
  return !id.empty() && std::find(ids.begin(), ids.end(), id) != ids.end();
}

std::string when(WallTime due, WallTime now) {
  const milliseconds left = due - now;
  return left.count() >= 0 ? "in " + span_words(left) : span_words(-left) + " ago";
}

void append_parked(std::string& line, const RecordView& record, WallTime now) {
  const ParkedState& parked = *record.event->parked;
  line += fmt::format(" attempts {}", parked.attempts_made);
  if (parked.due) line += " due " + when(*parked.due, now);
  line += fmt::format(" reason {}", parked.reason);
  if (!parked.dead_class.empty()) line += fmt::format(" class {}", parked.dead_class);
  if (parked.attempts_made > 0) line += " first failure " + when(parked.first_failure, now);
}

void append_event(std::string& line, const RecordView& record, WallTime now) {
  const Event& event = *record.event;
  const auto word = [&](std::string_view text) {
    if (!text.empty()) line.append(" ").append(text);
  };
  word(event.id);
  if (event.parked) {
    word(event.parked->subscription);
  } else {
    line += fmt::format(" {}", event.instance.value);
  }
  word(event.element);
  word(event.event_type);
  word(event.object_type);
  word(event.object_id);
  line += fmt::format(" {} bytes", event.body.size());
  if (event.parked) append_parked(line, record, now);
}

std::string plain(const boost::json::value& value) {
  if (const auto* text = value.if_string()) return {text->data(), text->size()};
  return boost::json::serialize(value);
}

// Control characters of a value must not reach the terminal.
std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  return out;
}

void append_members(std::string& line, const RecordView& record, WallTime now) {
  if (record.value.empty()) {
    line += " removed";
    return;
  }
  const auto object = object_of(record.value);
  if (!object) {
    line += fmt::format(" not JSON, {} bytes", record.value.size());
    return;
  }
  for (const auto& [name, value] : *object) {
    if (name == "v" || value.is_null()) continue;
    const bool time = (name == "due" || name == "since" || name == "at") && value.is_number();
    const std::string text =
        time ? when(WallTime{milliseconds{value.to_number<std::int64_t>()}}, now)
             : printable(plain(value));
    line.append(" ").append(name.data(), name.size()).append(time ? " " : "=").append(text);
  }
}

JsonObject place_of(const RecordView& record) {
  JsonObject line;
  line.text("topic", record.topic)
      .number("partition", std::int64_t{record.partition.value})
      .number("offset", record.offset.value)
      .number("stamped", unix_ms(record.stamped));
  return line;
}

void add_event(JsonObject& line, const RecordView& record) {
  const Event& event = *record.event;
  line.text("id", event.id)
      .number("instance", event.instance.value)
      .text("element", event.element)
      .text("event_type", event.event_type)
      .text("object_type", event.object_type)
      .text("object_id", event.object_id)
      .text("date", event.date)
      .text("provider_id", event.provider_id)
      .number("received", unix_ms(event.received));
  if (event.parked) {
    line.text("subscription", event.parked->subscription)
        .number("attempts", std::uint64_t{event.parked->attempts_made});
    if (event.parked->due) line.number("due", unix_ms(*event.parked->due));
    line.number("first_failure", unix_ms(event.parked->first_failure))
        .text("reason", event.parked->reason);
    if (!event.parked->dead_class.empty()) line.text("class", event.parked->dead_class);
  }
}

}  // namespace

RecordKind kind_of(std::string_view topic) noexcept {
  if (topic == "dead") return RecordKind::Dead;
  if (topic == "state" || topic == "attempts" || topic == "sums") return RecordKind::Json;
  if (topic == "instances") return RecordKind::Sealed;
  return topic.rfind("retry.", 0) == 0 ? RecordKind::Parked : RecordKind::Event;
}

std::optional<InstanceId> leading_instance(std::string_view text) noexcept {
  InstanceId id{};
  const auto read = std::from_chars(text.data(), text.data() + text.size(), id.value);
  if (read.ec != std::errc{}) return std::nullopt;
  return id;
}

bool RecordFilter::wants(const RecordView& record) const {
  const RecordKind kind = kind_of(record.topic);
  const bool of_event = kind != RecordKind::Json && kind != RecordKind::Sealed;
  // A record that cannot be read is shown, unless its key already rules it out.
  if (instance && leading_instance(record.key) != instance) return false;
  if (of_event && !record.event) return true;
  if (!subscription.empty()) {
    if (of_event && record.event->parked) {
      if (record.event->parked->subscription != subscription) return false;
    } else if (leading_instance(record.key) != leading_instance(subscription)) {
      return false;
    }
  }
  if (of_event) return ids.empty() || among(ids, record.event->id);
  if (ids.empty() && subscription.empty()) return true;
  if (kind == RecordKind::Sealed) return ids.empty();
  const auto object = object_of(record.value);
  if (!object) return ids.empty();
  if (!subscription.empty() && !holds(*object, "subscription", subscription)) return false;
  return ids.empty() || std::any_of(ids.begin(), ids.end(), [&](const std::string& id) {
           return holds(*object, "id", id) || holds(*object, "event", id);
         });
}

std::string text_line(const RecordView& record, Body body, WallTime now) {
  std::string line =
      fmt::format("{} {}:{}", record.topic, record.partition.value, record.offset.value);
  switch (kind_of(record.topic)) {
    case RecordKind::Json:
      line.append(" ").append(printable(record.key));
      append_members(line, record, now);
      return line;
    case RecordKind::Sealed:
      line += fmt::format(" {} {}", printable(record.key),
                          record.value.empty() ? std::string("removed")
                                               : fmt::format("{} bytes", record.value.size()));
      break;
    case RecordKind::Event:
    case RecordKind::Parked:
    case RecordKind::Dead:
      if (!record.event) {
        return line + fmt::format(" not readable: {}", describe(record.event.error()));
      }
      append_event(line, record, now);
      break;
  }
  if (body == Body::Print) line.append("\n").append(record.value);
  return line;
}

std::string json_line(const RecordView& record, Body body) {
  JsonObject line = place_of(record);
  const RecordKind kind = kind_of(record.topic);
  const bool of_event = kind != RecordKind::Json && kind != RecordKind::Sealed;
  if (of_event && record.event) {
    add_event(line, record);
  } else {
    line.text("key", record.key);
    if (of_event) line.text("error", describe(record.event.error()));
    if (kind == RecordKind::Json) {
      const auto object = object_of(record.value);
      line.raw("value", object ? boost::json::serialize(*object) : "null");
    }
  }
  line.number("bytes", std::uint64_t{record.value.size()});
  if (body == Body::Print && kind != RecordKind::Json) line.text("body", record.value);
  return std::move(line).finish();
}

std::string span_words(milliseconds span) {
  const std::int64_t seconds = span.count() / 1000;
  if (seconds < 60) return fmt::format("{:.1f}s", static_cast<double>(span.count()) / 1000.0);
  if (seconds < 3600) return fmt::format("{}m {}s", seconds / 60, seconds % 60);
  if (seconds < 2 * 86'400) return fmt::format("{}h {}m", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{}d", seconds / 86'400);
}

}  // namespace eventrelay::cli
