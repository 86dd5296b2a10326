// Takes events of instances that this process does not know.
//
// Why:     an instance may reach ingest before it reaches the relay; its events must neither be
//          dropped nor hold others up meanwhile.
// Thread:  shard thread.
#pragma once

namespace eventrelay::relay {

struct HeldRecord;

// Thread: shard thread.
class UnknownSink {
 public:
  // Takes `record` over; its owner hears settled() once the record is written elsewhere.
  virtual void keep(HeldRecord& record) = 0;

 protected:
  ~UnknownSink() = default;
};

}  // namespace eventrelay::relay
