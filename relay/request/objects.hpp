// The objects of an event whose record has no fields of its own, read again from its body.
//
// Why:     a record of several objects has one body and no room for the fields of each.
// Thread:  any; pure.  Bounds: kObjectsPerPart objects; the body is parsed and copied once.
// Errors:  none; a body that can not be read has no objects.
#pragma once

#include <string>
#include <vector>

#include "common/base/event.hpp"
#include "common/config/config.hpp"

namespace eventrelay::relay {

// The normalised fields of one object; empty = absent.
struct EventObject {
  std::string event_type;
  std::string object_type;
  std::string object_id;
  std::string date;
};

// The objects that this record is about, by its `er-part`; empty for a record of one object.
[[nodiscard]] std::vector<EventObject> objects_of(const Event& event);

// Does a filter let this object through?
[[nodiscard]] bool lets_through(const FilterConfig& filter, const EventObject& object);

// Does a filter let through the event, or of several objects at least one?
[[nodiscard]] bool lets_through(const FilterConfig& filter, const Event& event);

}  // namespace eventrelay::relay
