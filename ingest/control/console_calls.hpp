// What the console alone asks: all at a glance, the endpoints and how they do, the dead letters.
//
// Owner:   ControlApi.  Thread: control.
// Bounds:  a page has the endpoints of 50 instances, or 50 dead letters.
// Errors:  400 for a token that is not ours, 404 for another account's instance, 503 by asking.
#pragma once

#include "common/process/admin.hpp"
#include "ingest/control/call.hpp"
#include "ingest/control/call_server.hpp"
#include "ingest/control/control_parts.hpp"
#include "ingest/history/history.hpp"

namespace eventrelay::control {

// Thread: control.  Bounds: as above.
class ConsoleCalls {
 public:
  explicit ConsoleCalls(const ControlParts& parts) : parts_(parts) {}
  ConsoleCalls(const ConsoleCalls&) = delete;
  ConsoleCalls& operator=(const ConsoleCalls&) = delete;

  void mount(AdminServer& admin, CallServer& server);

 private:
  Task<Result<Reply>> overview(const Call& call);
  Task<Result<Reply>> list_endpoints(const Call& call);
  Task<Result<Reply>> list_dead_letters(const Call& call);

  // The last hour by minutes, the one that is not over included.
  [[nodiscard]] Task<Result<history::SumsPage>> last_hour(const Call& call);

  const ControlParts& parts_;
};

}  // namespace eventrelay::control
