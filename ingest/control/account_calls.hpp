// The calls of the control API that say what a failure leads to: the settings of accounts.
//
// Owner:   ControlApi.  Thread: control.
// Bounds:  one record for each account.
// Errors:  400 for a body that can not be followed, 404 for another account.
#pragma once

#include <cstdint>

#include "common/config/config.hpp"
#include "common/process/admin.hpp"
#include "ingest/control/call.hpp"
#include "ingest/control/call_server.hpp"
#include "ingest/control/control_parts.hpp"

namespace eventrelay::control {

// Thread: control.  Bounds: as above.
class AccountCalls {
 public:
  explicit AccountCalls(const ControlParts& parts) : parts_(parts) {}
  AccountCalls(const AccountCalls&) = delete;
  AccountCalls& operator=(const AccountCalls&) = delete;

  void mount(AdminServer& admin, CallServer& server);
  // What lies under the delivery that a caller sends: the operator's, with the account's policy.
  [[nodiscard]] DeliveryConfig delivery_defaults(std::uint64_t account) const;

 private:
  Task<Result<Reply>> get_settings(const Call& call);
  Task<Result<Reply>> set_settings(const Call& call);

  [[nodiscard]] FailurePolicy failure_policy(std::uint64_t account) const;

  const ControlParts& parts_;
};

}  // namespace eventrelay::control
