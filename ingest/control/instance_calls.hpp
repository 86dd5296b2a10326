// The calls of the control API that make, show, change and end instances, item by item too.
//
// Why:     a change is judged on the newest document, in the instance's turn, and is answered once
//          Kafka has it.
// Owner:   ControlApi.  Thread: control.
// Bounds:  a page has 1..1000 instances; one changer at a time for each instance.
// Errors:  Problem by the answer table of the API.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/process/admin.hpp"
#include "ingest/control/account_calls.hpp"
#include "ingest/control/call.hpp"
#include "ingest/control/call_server.hpp"
#include "ingest/control/control_parts.hpp"
#include "ingest/control/documents.hpp"

namespace eventrelay::control {

// Thread: control.  Bounds: as above.
class InstanceCalls {
 public:
  InstanceCalls(const ControlParts& parts, const AccountCalls& accounts);
  InstanceCalls(const InstanceCalls&) = delete;
  InstanceCalls& operator=(const InstanceCalls&) = delete;

  void mount(AdminServer& admin, CallServer& server);

 private:
  Task<Result<Reply>> create_instance(const Call& call);
  Task<Result<Reply>> list_instances(const Call& call);
  Task<Result<Reply>> get_instance(const Call& call);
  Task<Result<Reply>> replace_instance(const Call& call);
  Task<Result<Reply>> merge_instance(const Call& call);
  Task<Result<Reply>> delete_instance(const Call& call);
  Task<Result<Reply>> enable_instance(const Call& call);
  Task<Result<Reply>> disable_instance(const Call& call);
  Task<Result<Reply>> list_configuration(const Call& call);
  Task<Result<Reply>> get_configuration(const Call& call);
  Task<Result<Reply>> set_configuration(const Call& call);
  Task<Result<Reply>> renew_token(const Call& call);
  Task<Result<Reply>> get_setup(const Call& call);

  // The document of the instance the call names, to be read.
  [[nodiscard]] Result<Document> document_of(const Call& call) const;
  // The newest document of an instance, which nobody else changes while `turn` lives.
  struct Held {
    KeyedLock::Turn turn;
    Document document;
  };
  // Of the instance the call names, to be changed; refuses where this process may not write.
  Task<Result<Held>> hold(const Call& call);
  [[nodiscard]] Reply shown(const Document& document,
                            std::optional<std::string_view> token = {}) const;
  Task<Result<Reply>> change_instance(const Call& call, bool merge);
  Task<Result<Reply>> switch_instance(const Call& call, bool disabled);
  // Ends an instance; what is to be cleaned up at its provider stands beside it in one change.
  Task<Result<bool>> remove(Document document);

  const ControlParts& parts_;
  const AccountCalls& accounts_;
};

}  // namespace eventrelay::control
