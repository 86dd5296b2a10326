// The calls of the control API that pause and resume subscriptions, and tell what waits for them.
//
// Owner:   ControlApi.  Thread: control.
// Bounds:  100 documents in one transaction; a page has 1..1000 events.
// Errors:  400 for a question that can not be followed, 404 for what is not there, 503 by asking.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/process/admin.hpp"
#include "ingest/control/call.hpp"
#include "ingest/control/call_server.hpp"
#include "ingest/control/control_parts.hpp"
#include "ingest/history/history.hpp"

namespace eventrelay::control {

// Thread: control.  Bounds: as above.
class PauseCalls {
 public:
  explicit PauseCalls(const ControlParts& parts) : parts_(parts) {}
  PauseCalls(const PauseCalls&) = delete;
  PauseCalls& operator=(const PauseCalls&) = delete;

  void mount(AdminServer& admin, CallServer& server);

 private:
  Task<Result<Reply>> list_deliveries(const Call& call);
  Task<Result<Reply>> release_deliveries(const Call& call);
  Task<Result<Reply>> enable_subscription(const Call& call);
  Task<Result<Reply>> disable_subscription(const Call& call);

  [[nodiscard]] std::map<std::string, WallTime> paused_of(const history::Survey& survey,
                                                          std::uint64_t account) const;
  [[nodiscard]] Task<Result<bool>> resume_all(
      std::map<std::uint64_t, std::vector<std::string>> batch,
      std::map<std::string, WallTime> paused);
  Task<Result<Reply>> pause_subscription(const Call& call, bool paused);

  const ControlParts& parts_;
};

}  // namespace eventrelay::control
