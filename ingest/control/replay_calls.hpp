// The calls of the control API that send events again, and the records by which they go on.
//
// Why:     a replay goes on in another process when the one that runs it ends.
// Owner:   ControlApi.  Thread: control.
// Bounds:  kReplaysMax replays at a time; 200 records of those that are over; 1,000 event ids each.
// Errors:  400 for a body that can not be followed, 404 for what is not there, 409 where all run.
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <set>
#include <string>

#include "common/process/admin.hpp"
#include "ingest/control/call.hpp"
#include "ingest/control/call_server.hpp"
#include "ingest/control/control_parts.hpp"
#include "ingest/replay/replays.hpp"

namespace eventrelay::control {

// Thread: control.  Bounds: as above.
class ReplayCalls {
 public:
  explicit ReplayCalls(const ControlParts& parts) : parts_(parts) {}
  ReplayCalls(const ReplayCalls&) = delete;
  ReplayCalls& operator=(const ReplayCalls&) = delete;

  void mount(AdminServer& admin, CallServer& server);
  // Starts again what an earlier process left running. Ends with the documents.
  [[nodiscard]] Task<void> keep_replays();
  // A replay is over: its record says so from now on.
  void replay_ended(const std::string& id, replay::Progress progress);

 private:
  Task<Result<Reply>> start_replay(const Call& call);
  Task<Result<Reply>> get_replay(const Call& call);
  Task<Result<Reply>> stop_replay(const Call& call);

  // The record of the call's replay, which must be of the call's instance.
  [[nodiscard]] Result<boost::json::object> replay_of(const Call& call) const;
  [[nodiscard]] Task<Result<bool>> write_replay(std::string id, boost::json::object record);
  [[nodiscard]] Task<void> close_replay(std::string id, replay::Progress progress);
  [[nodiscard]] Result<replay::Job> job_of(const std::string& id,
                                           const boost::json::object& record) const;

  const ControlParts& parts_;
  std::size_t starting_ = 0;       // replays whose record is being written
  std::set<std::string> closing_;  // replays that are over while their record does not say so yet
};

}  // namespace eventrelay::control
