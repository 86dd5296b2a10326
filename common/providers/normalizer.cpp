#include "common/providers/normalizer.hpp"

#include <algorithm>

namespace eventrelay::providers {

namespace {

using json::Found;
using json::Kind;
using json::Wanted;

constexpr std::string_view kUnknown = "UNKNOWN";

// What the last word of a trigger means. Thread: constant.  Bounds: static text.
struct Meaning {
  std::string_view verb;
  std::string_view event_type;
};
constexpr std::array<Meaning, 14> kMeanings{{
    {"UPLOADED", "CREATED"},
    {"CREATED", "CREATED"},
    {"COPIED", "CREATED"},
    {"RESTORED", "CREATED"},
    {"TRASHED", "DELETED"},
    {"DELETED", "DELETED"},
    {"REMOVED", "DELETED"},
    {"MOVED", "UPDATED"},
    {"RENAMED", "UPDATED"},
    {"LOCKED", "UPDATED"},
    {"UNLOCKED", "UPDATED"},
    {"UPDATED", "UPDATED"},
    {"ACCEPTED", "UPDATED"},
    {"REJECTED", "UPDATED"},
}};
// Families whose other triggers tell of a new state of the same object.
constexpr std::array<std::string_view, 3> kStateful{"SIGN_REQUEST.", "TASK_ASSIGNMENT.",
                                                    "DOCGEN_DOCUMENT_GENERATION_"};

// The order of the array is the order of the results. `source` is there to be seen only once.
enum BoxField : std::size_t { kId, kTrigger, kCreatedAt, kSource, kSourceType, kSourceId, kFields };
constexpr std::array<Wanted, kFields> kBoxFields{{{"", "id"},
                                                  {"", "trigger"},
                                                  {"", "created_at"},
                                                  {"", "source"},
                                                  {"source", "type"},
                                                  {"source", "id"}}};

Unexpected<ProviderError> malformed() {
  return Unexpected<ProviderError>(ProviderError::MalformedJson);
}

}  // namespace

std::string_view header_text(std::string_view text) noexcept {
  const bool plain = text.size() <= kFieldMax && std::all_of(text.begin(), text.end(), [](char c) {
                       return c >= 0x20 && c < 0x7F;
                     });
  return plain ? text : std::string_view{};
}

std::string_view box_event_type(std::string_view trigger) noexcept {
  const std::size_t dot = trigger.rfind('.');
  if (dot != std::string_view::npos) {
    const std::string_view verb = trigger.substr(dot + 1);
    for (const Meaning& meaning : kMeanings) {
      if (meaning.verb == verb) return meaning.event_type;
    }
  }
  for (const std::string_view family : kStateful) {
    if (trigger.starts_with(family) && trigger.size() > family.size()) return "UPDATED";
  }
  return kUnknown;
}

Expected<Normalised, ProviderError> Normalizer::box_v2(std::string_view body) {
  std::array<Found, kFields> found;
  const auto top = scanner_.scan(body, kBoxFields, found);
  if (!top || *top != Kind::Object) return malformed();

  Normalised event;
  event.provider_id = header_text(found[kId].text);
  event.event_type = box_event_type(found[kTrigger].text);
  event.object_type = header_text(found[kSourceType].text);
  event.object_id = header_text(found[kSourceId].text);
  // A date that cannot be read is left out: the body is genuine, and it carries the original.
  const auto created = parse_stamp(Stamp::Rfc3339, found[kCreatedAt].text);
  if (created) {
    write_utc(*created, date_);
    event.date = {date_.data(), date_.size()};
  }
  return event;
}

Expected<Normalised, ProviderError> Normalizer::generic(std::string_view body,
                                                        std::string_view id_key) {
  const std::array<Wanted, 1> wanted{{{"", id_key}}};
  std::array<Found, 1> found;
  const std::size_t count = id_key.empty() ? 0 : 1;
  const auto top =
      scanner_.scan(body, std::span{wanted}.first(count), std::span{found}.first(count));
  if (!top) return malformed();
  Normalised event;
  event.event_type = kUnknown;
  if (count != 0) event.provider_id = header_text(found[0].text);
  return event;
}

}  // namespace eventrelay::providers
