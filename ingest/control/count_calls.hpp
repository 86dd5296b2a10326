// The calls of the control API that tell how much came and went: counts by time out of the sums.
//
// Owner:   ControlApi.  Thread: control.
// Bounds:  1,500 steps and 20,000 records for each answer.
// Errors:  400 for a question that can not be followed, 403 for another account, 503 by asking.
#pragma once

#include <cstdint>

#include "common/process/admin.hpp"
#include "ingest/control/call.hpp"
#include "ingest/control/call_server.hpp"
#include "ingest/control/control_parts.hpp"

namespace eventrelay::control {

// Thread: control.  Bounds: as above.
class CountCalls {
 public:
  explicit CountCalls(const ControlParts& parts) : parts_(parts) {}
  CountCalls(const CountCalls&) = delete;
  CountCalls& operator=(const CountCalls&) = delete;

  void mount(AdminServer& admin, CallServer& server);

 private:
  Task<Result<Reply>> count_events(const Call& call);
  Task<Result<Reply>> count_by_instance(const Call& call);
  Task<Result<Reply>> count_by_account(const Call& call);

  enum class CountForm : std::uint8_t { Plain, Instances, Accounts };
  Task<Result<Reply>> counts_reply(const Call& call, CountForm form);

  const ControlParts& parts_;
};

}  // namespace eventrelay::control
