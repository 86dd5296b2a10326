// An event of the past as the API answers it: what was stored, and what became of it where.
//
// Thread:  any; pure.
// Bounds:  as the event; a body that is not UTF-8 has U+FFFD in place of what is not.
// Errors:  none.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/config.hpp"
#include "ingest/history/history.hpp"

namespace eventrelay::control {

// A subscription of an instance, and what it wants.
struct Wanting {
  std::string id;  // `<instance>` for the callback, `<instance>/<name>` for the others
  FilterConfig filter;
};
[[nodiscard]] std::vector<Wanting> subscriptions_of(const InstanceConfig& instance);

// What became of the event at one subscription.
[[nodiscard]] history::Fate fate_at(const history::StoredEvent& event, const Wanting& subscription);

// {"id", "eventDate", "status", "providerData", .., "notifiedData":[..], ..}
[[nodiscard]] boost::json::object event_answer(const history::StoredEvent& event,
                                               const std::vector<Wanting>& subscriptions);
// {"eventId", "elementInstanceId", "notificationData":[{"message"}]}
[[nodiscard]] boost::json::object disposition_answer(const history::StoredEvent& event,
                                                     const std::vector<Wanting>& subscriptions);

// The same text, with U+FFFD for each byte that is not part of UTF-8.
[[nodiscard]] std::string as_utf8(std::string_view bytes);

}  // namespace eventrelay::control
