// The calls of the control API that tell of elements: which there are, and how one is authorized.
//
// Owner:   ControlApi.  Thread: control.
// Bounds:  one row per built-in element.
// Errors:  404 for an element that is not there, 400 for a query that can not be followed.
#pragma once

#include "common/process/admin.hpp"
#include "ingest/control/call.hpp"
#include "ingest/control/call_server.hpp"
#include "ingest/control/control_parts.hpp"

namespace eventrelay::control {

// Thread: control.  Bounds: as above.
class ElementCalls {
 public:
  explicit ElementCalls(const ControlParts& parts) : parts_(parts) {}
  ElementCalls(const ElementCalls&) = delete;
  ElementCalls& operator=(const ElementCalls&) = delete;

  void mount(AdminServer& admin, CallServer& server);

 private:
  Task<Result<Reply>> list_elements(const Call& call);
  Task<Result<Reply>> get_element(const Call& call);
  Task<Result<Reply>> get_metadata(const Call& call);
  Task<Result<Reply>> get_oauth_url(const Call& call);

  const ControlParts& parts_;
};

}  // namespace eventrelay::control
