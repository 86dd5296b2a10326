// What the live path asks before it admits an event, and when one does not fit.
//
// Why:     the consumer reads; what answers for an event, or must make room, is decided apart.
// Owner:   the shard; the detacher is the gate.
// Thread:  shard thread.  Bounds: none of its own.  Errors: none.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "relay/record/held_record.hpp"

namespace eventrelay::relay {

// Go: for the queues that are left. Done: cursors answer for all of them. Wait: a record that says
// so is being written.
enum class GateVerdict : std::uint8_t { Go, Done, Wait };

// Thread: shard thread.
class LiveGate {
 public:
  // Takes the queues out whose subscription a cursor answers for.
  [[nodiscard]] virtual GateVerdict pass(HeldRecord& record,
                                         std::vector<SubscriptionQueue*>& queues) = 0;
  // `record` found no room. True: something left, or will; ask pass() again.
  [[nodiscard]] virtual bool make_room(HeldRecord& record,
                                       std::span<SubscriptionQueue* const> queues) = 0;
  // The window of unfinished offsets, or its share of memory, is full: a subscription should leave
  // it that can not be served, or behind which others wait.
  virtual void shrink_window(PartitionState& partition) = 0;
  // The partition has more and is not read on; told each time.
  virtual void on_held_back(PartitionState& partition) = 0;
  // It was held back, and is read to its end now.
  virtual void on_read_to_end(PartitionState& partition) = 0;

 protected:
  ~LiveGate() = default;
};

}  // namespace eventrelay::relay
