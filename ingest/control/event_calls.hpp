// The calls of the control API that look into the past: events, their fate, and what is new.
//
// Owner:   ControlApi.  Thread: control.
// Bounds:  a page has 1..1000 events, of what is new 50.
// Errors:  400 for times that can not be read, 404 for an event that is not there, 503 by asking.
#pragma once

#include <cstdint>

#include "common/process/admin.hpp"
#include "ingest/control/call.hpp"
#include "ingest/control/call_server.hpp"
#include "ingest/control/control_parts.hpp"

namespace eventrelay::control {

// Thread: control.  Bounds: as above.
class EventCalls {
 public:
  explicit EventCalls(const ControlParts& parts) : parts_(parts) {}
  EventCalls(const EventCalls&) = delete;
  EventCalls& operator=(const EventCalls&) = delete;

  void mount(AdminServer& admin, CallServer& server);

 private:
  Task<Result<Reply>> list_events(const Call& call);
  Task<Result<Reply>> list_dispositions(const Call& call);
  Task<Result<Reply>> get_event(const Call& call);

  enum class EventForm : std::uint8_t { Record, Disposition };
  Task<Result<Reply>> events_reply(const Call& call, EventForm form);
  Task<HttpResponse> live(HttpRequestPtr request);
  Task<void> serve_live(HttpRequestPtr request, Responder respond);

  const ControlParts& parts_;
};

}  // namespace eventrelay::control
