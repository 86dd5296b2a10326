// The calls of the control API that make, show, change and delete webhooks at the provider.
//
// Why:     a kill between the provider's answer and ours must leave no webhook that nobody knows.
// Owner:   ControlApi.  Thread: control.
// Bounds:  one request to the provider for each call, and one more where a write fails.
// Errors:  Problem by the answer table of the API, the provider's own words included.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "common/process/admin.hpp"
#include "common/registry/writer.hpp"
#include "ingest/control/call.hpp"
#include "ingest/control/call_server.hpp"
#include "ingest/control/control_parts.hpp"
#include "ingest/control/documents.hpp"

namespace eventrelay::control {

// Thread: control.  Bounds: as above.
class WebhookCalls {
 public:
  explicit WebhookCalls(const ControlParts& parts) : parts_(parts) {}
  WebhookCalls(const WebhookCalls&) = delete;
  WebhookCalls& operator=(const WebhookCalls&) = delete;

  void mount(AdminServer& admin, CallServer& server);

 private:
  Task<Result<Reply>> create_webhook(const Call& call);
  Task<Result<Reply>> list_webhooks(const Call& call);
  Task<Result<Reply>> get_webhook(const Call& call);
  Task<Result<Reply>> change_webhook(const Call& call);
  Task<Result<Reply>> delete_webhook(const Call& call);

  // The instance of the token, if it may make calls at Box.
  [[nodiscard]] Result<std::uint64_t> webhook_instance(const Call& call) const;
  Task<Result<bool>> update(std::uint64_t id, std::function<bool(Document&)> change,
                            std::vector<kafka::KeyedRecord> beside);

  const ControlParts& parts_;
};

}  // namespace eventrelay::control
