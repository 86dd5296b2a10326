// The control API: its calls, a class for each subject, on the admin listener.
//
//   request > route > who calls > body judged > provider asked > registry written > answer
//
// Why:     a 200 means that Kafka has the change and this process serves it; nothing is half done.
// Owner:   Control, in the process that has control.enabled; it outlives every call.
// Thread:  control.
// Bounds:  the listener's connections; one refresh in flight per instance.
// Errors:  answers by the table of the API; it ends with its executor.
#pragma once

#include <memory>
#include <string>

#include "common/process/admin.hpp"
#include "common/registry/settings.hpp"
#include "ingest/control/account_calls.hpp"
#include "ingest/control/call_server.hpp"
#include "ingest/control/console_calls.hpp"
#include "ingest/control/control_parts.hpp"
#include "ingest/control/count_calls.hpp"
#include "ingest/control/element_calls.hpp"
#include "ingest/control/event_calls.hpp"
#include "ingest/control/instance_calls.hpp"
#include "ingest/control/pause_calls.hpp"
#include "ingest/control/replay_calls.hpp"
#include "ingest/control/webhook_calls.hpp"

namespace eventrelay::control {

// Thread: control.  Bounds: as above.
class ControlApi {
 public:
  ControlApi(std::shared_ptr<const Settings> settings, Documents& documents, BoxGateway& box,
             ConsoleApi& console, history::History& history, replay::Replays& replays,
             metrics::Slab& slab);
  ControlApi(const ControlApi&) = delete;
  ControlApi& operator=(const ControlApi&) = delete;

  void use(std::shared_ptr<const Settings> settings);
  // Starts again what an earlier process left running. Ends with the documents.
  [[nodiscard]] Task<void> keep_replays() { return replays_.keep_replays(); }
  // A replay is over: its record says so from now on.
  void replay_ended(const std::string& id, replay::Progress progress);
  // Adds all paths to the listener.
  void mount(AdminServer& admin);

 private:
  ControlParts parts_;
  CallServer server_{parts_};
  ElementCalls elements_{parts_};
  AccountCalls accounts_{parts_};
  InstanceCalls instances_{parts_, accounts_};
  EventCalls events_{parts_};
  CountCalls counts_{parts_};
  PauseCalls pauses_{parts_};
  ReplayCalls replays_{parts_};
  WebhookCalls webhooks_{parts_};
  ConsoleCalls console_{parts_};
};

}  // namespace eventrelay::control
