#include "relay/request/format.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "common/text/json_text.hpp"
#include "common/text/utc.hpp"
#include "common/text/utf8.hpp"
#include "relay/request/outgoing_head.hpp"

namespace eventrelay::relay {

namespace {

constexpr std::string_view kSpecVersion = "1.0";
constexpr std::size_t kDigits = 20;  // of a number, at most

template <class Number>
void append_number(Number number, std::string& out) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(digits.data(), end);
}

// Appends `lead`, the escaped text, and a closing quote.
void append_member(std::string_view lead, std::string_view text, std::string& out) {
  out.append(lead);
  append_json_escaped(text, out);
  out.push_back('"');
}

void append_upper_as_lower(std::string_view text, std::string& out) {
  for (const char c : text) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    out.push_back(lower);
  }
}

// The media type without parameters, compared without case.
bool media_type_is(std::string_view content_type, std::string_view wanted) noexcept {
  const std::string_view type = content_type.substr(0, content_type.find(';'));
  const std::size_t last = type.find_last_not_of(" \t");
  const std::string_view trimmed = last == std::string_view::npos ? "" : type.substr(0, last + 1);
  return std::equal(trimmed.begin(), trimmed.end(), wanted.begin(), wanted.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
}

enum class RawForm : std::uint8_t { Json, Form, Text };

// JSON by its name, or by no name at all.
bool is_json_type(std::string_view content_type) noexcept {
  const std::string_view type = content_type.substr(0, content_type.find(';'));
  const std::size_t last = type.find_last_not_of(" \t");
  const std::string_view trimmed = last == std::string_view::npos ? "" : type.substr(0, last + 1);
  constexpr std::string_view kEnd = "json";
  return trimmed.empty() || (trimmed.size() > kEnd.size() &&
                             media_type_is(trimmed.substr(trimmed.size() - kEnd.size()), kEnd));
}

// A byte order mark may stand before a JSON document (RFC 8259 8.1) and not within another one.
std::string_view without_mark(std::string_view body) noexcept {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  return body.starts_with(kMark) ? body.substr(kMark.size()) : body;
}

RawForm form_of(const Event& event) noexcept {
  if (media_type_is(event.content_type, "application/x-www-form-urlencoded")) return RawForm::Form;
  const std::string_view body = without_mark(event.body);
  const std::size_t start = body.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos || !is_json_type(event.content_type)) return RawForm::Text;
  // Ingest stores a body with the name of JSON only after it was read as a JSON document.
  const char c = body[start];
  return c == '{' || c == '[' ? RawForm::Json : RawForm::Text;
}

// Raw bytes that are JSON stay where they are; others are written to the buffer as JSON.
std::string_view splice(const Event& event, std::string& buffer) {
  const RawForm form = form_of(event);
  if (form == RawForm::Json) return without_mark(event.body);
  if (form == RawForm::Form && append_form_as_json(event.body, buffer)) return {};
  append_member("\"", event.body, buffer);
  return {};
}

// The buffer may have moved while it grew, so views are made at the very end.
Body pieces(const std::string& buffer, std::size_t prefix_size, std::string_view raw) {
  const std::string_view all = buffer;
  return Body{all.substr(0, prefix_size), raw, all.substr(prefix_size)};
}

void append_event_date(const Event& event, std::string& out) {
  if (event.date.empty()) {
    append_utc(event.received, out);
  } else {
    append_json_escaped(event.date, out);
  }
}

// eventrelay.<element>[.<object type>][.<event type>], lower case.
void append_cloud_type(const Event& event, std::string& out) {
  out.append("eventrelay.");
  append_upper_as_lower(event.element, out);
  for (const std::string_view part : {event.object_type, event.event_type}) {
    if (part.empty()) continue;
    out.push_back('.');
    append_upper_as_lower(part, out);
  }
}

}  // namespace

// A subscription may be made for a single event: its text takes one block, of the right size as a
// rule.
Formatter::Formatter(Format format, const Instance& instance) : format_(format) {
  if (format == Format::Elements) {
    write_notification(instance);
  } else if (format != Format::Raw) {
    constexpr std::string_view kElements = "/elements/";
    constexpr std::string_view kInstances = "/instances/";
    text_.reserve(kElements.size() + instance.element.size() + kInstances.size() + kDigits);
    text_.append(kElements).append(instance.element).append(kInstances);
    append_number(instance.id.value, text_);
  }
}

void Formatter::write_notification(const Instance& instance) {
  constexpr std::size_t kFixed = 240;  // as much as is always there
  const std::size_t numbers = (instance.account != 0 ? 5 : 2) * kDigits;
  text_.reserve(kFixed + numbers + 3 * instance.element.size() + instance.name.size() +
                instance.hub.size());
  text_.append(R"(,"topic":"instance-)");
  append_number(instance.id.value, text_);
  text_.push_back('-');
  append_json_escaped(instance.element, text_);
  text_.append(R"(-events","severity":"low","createdDate":")");
  end_part(Part::Topic);
  append_member(R"(,"elementKey":")", instance.element, text_);
  end_part(Part::Element);
  text_.append(R"(,"instanceId":)");
  append_number(instance.id.value, text_);
  append_member(R"(,"instanceName":")", instance.name, text_);
  if (instance.account != 0) {
    text_.append(R"(,"accountId":)");
    append_number(instance.account, text_);
    text_.append(R"(,"companyId":)");
    append_number(instance.company, text_);
    text_.append(R"(,"userId":)");
    append_number(instance.user, text_);
  }
  end_part(Part::Instance);
  append_member(R"("elementKey":")", instance.element, text_);
  append_member(R"(,"hubKey":")", instance.hub, text_);
  end_part(Part::Tail);
}

Body Formatter::body(const Event& event, std::string& buffer) const {
  buffer.clear();
  switch (format_) {
    case Format::Elements:
      return notification(event, buffer);
    case Format::CloudEvents:
      return cloud_event(event, buffer);
    case Format::Raw:
    case Format::CloudEventsBinary:
      break;
  }
  return Body{{}, event.body, {}};
}

std::string_view Formatter::content_type(const Event& event) const noexcept {
  if (format_ == Format::Elements) return "application/json";
  if (format_ == Format::CloudEvents) return "application/cloudevents+json; charset=utf-8";
  if (event.content_type.size() <= kEventValueMax && is_field_value(event.content_type)) {
    return event.content_type;
  }
  return form_of(event) == RawForm::Json ? "application/json" : "application/octet-stream";
}

void Formatter::append_fields(const Event& event, std::string& head) const {
  if (format_ != Format::CloudEventsBinary) return;
  append_field("ce-specversion", kSpecVersion, head);
  append_event_field("ce-id", event.id, head);
  append_event_field("ce-source", source(), head);
  std::string scratch;  // this format is rare; a name of its own is clearer than a shared buffer
  append_cloud_type(event, scratch);
  append_event_field("ce-type", scratch, head);
  scratch.clear();
  append_event_date(event, scratch);
  append_event_field("ce-time", scratch, head);
  append_event_field("ce-subject", event.object_id, head);
}

void Formatter::append_object(std::string_view event_type, std::string_view object_type,
                              std::string_view object_id, std::string_view date, const Event& event,
                              std::string& buffer) const {
  buffer.push_back('{');
  // What ingest could not read off the payload is left out, as every unknown field is.
  if (!object_id.empty()) append_member(R"("objectId":")", object_id, buffer);
  const auto next = [&buffer] { return std::string_view{buffer.back() == '{' ? "" : ","}; };
  if (!object_type.empty()) {
    buffer.append(next());
    append_member(R"("objectType":")", object_type, buffer);
  }
  if (!event_type.empty()) {
    buffer.append(next());
    append_member(R"("eventType":")", event_type, buffer);
  }
  buffer.append(next());
  buffer.append(part(Part::Tail));
  buffer.append(R"(,"date":")");
  if (date.empty()) {
    append_utc(event.received, buffer);
  } else {
    append_json_escaped(date, buffer);
  }
  buffer.append(R"("})");
}

Body Formatter::notification(const Event& event, std::string& buffer) const {
  buffer.append(R"({"id":)");
  append_number(notification_id(event.id), buffer);
  buffer.append(part(Part::Topic));
  append_utc(event.received, buffer);
  buffer.append(R"(","message":{"raw":)");
  const std::string_view raw = splice(event, buffer);
  const std::size_t prefix_size = buffer.size();

  buffer.append(part(Part::Element));
  append_member(R"(,"eventId":")", event.id, buffer);
  buffer.append(part(Part::Instance));
  buffer.append(R"(,"events":[)");
  const std::vector<EventObject> objects = objects_of(event);
  for (const EventObject& object : objects) {
    if (!lets_through(filter_, object)) continue;
    if (buffer.back() != '[') buffer.push_back(',');
    append_object(object.event_type, object.object_type, object.object_id, object.date, event,
                  buffer);
  }
  if (objects.empty()) {
    append_object(event.event_type, event.object_type, event.object_id, event.date, event, buffer);
  }
  buffer.append("]}}");
  return pieces(buffer, prefix_size, raw);
}

Body Formatter::cloud_event(const Event& event, std::string& buffer) const {
  append_member(R"({"specversion":"1.0","id":")", event.id, buffer);
  append_member(R"(,"source":")", source(), buffer);
  std::string type;
  append_cloud_type(event, type);
  append_member(R"(,"type":")", type, buffer);
  buffer.append(R"(,"time":")");
  append_event_date(event, buffer);
  buffer.push_back('"');
  if (!event.object_id.empty()) append_member(R"(,"subject":")", event.object_id, buffer);
  buffer.append(R"(,"datacontenttype":"application/json","data":)");
  const std::string_view raw = splice(event, buffer);
  const std::size_t prefix_size = buffer.size();
  buffer.push_back('}');
  return pieces(buffer, prefix_size, raw);
}

std::uint64_t notification_id(std::string_view event_id) noexcept {
  std::uint64_t hash = 0xCBF29CE484222325U;  // FNV-1a, then mixed: its high bits are weak
  for (const char c : event_id) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001B3U;
  }
  hash ^= hash >> 32U;
  hash *= 0xD6E8FEB86659FD93U;
  hash ^= hash >> 32U;
  return std::max<std::uint64_t>(hash >> 11U, 1);
}

}  // namespace eventrelay::relay
