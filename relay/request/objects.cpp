#include "relay/request/objects.hpp"

#include <algorithm>
#include <charconv>

#include "common/providers/normalizer.hpp"
#include "common/providers/provider.hpp"

namespace eventrelay::relay {

namespace {

// Where the objects of `2/5` begin; 0 without a part.
std::size_t first_of(std::string_view part) noexcept {
  std::size_t number = 1;
  std::from_chars(part.data(), part.data() + part.size(), number);
  return number == 0 ? 0 : (number - 1) * providers::kObjectsPerPart;
}

bool among(const std::vector<std::string>& words, std::string_view word) {
  return words.empty() || std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

std::vector<EventObject> objects_of(const Event& event) {
  std::vector<EventObject> objects;
  // Ingest gives every record of one object a type, UNKNOWN at least.
  if (!event.event_type.empty()) return objects;
  const providers::Provider* const provider = providers::find_provider(event.element);
  if (provider == nullptr || provider->rules.lists.front().data() == nullptr) return objects;
  std::string padded(event.body);
  padded.resize(event.body.size() + json::kPadding);
  providers::Normalizer normalizer;
  const std::string_view body = std::string_view(padded).substr(0, event.body.size());
  const auto count = normalizer.read(provider->rules, {.body = body});
  if (!count) return objects;
  const std::size_t first = first_of(event.part);
  const std::size_t last = std::min(*count, first + providers::kObjectsPerPart);
  for (std::size_t i = first; i < last; ++i) {
    const auto object = normalizer.object(i);
    if (!object) return {};
    objects.push_back({std::string(object->event_type), std::string(object->object_type),
                       std::string(object->object_id), std::string(object->date)});
  }
  return objects;
}

bool lets_through(const FilterConfig& filter, const EventObject& object) {
  return among(filter.event_types, object.event_type) &&
         among(filter.object_types, object.object_type);
}

bool lets_through(const FilterConfig& filter, const Event& event) {
  if (filter.event_types.empty() && filter.object_types.empty()) return true;
  const std::vector<EventObject> objects = objects_of(event);
  if (objects.empty()) {
    return among(filter.event_types, event.event_type) &&
           among(filter.object_types, event.object_type);
  }
  return std::any_of(objects.begin(), objects.end(),
                     [&filter](const EventObject& one) { return lets_through(filter, one); });
}

}  // namespace eventrelay::relay
