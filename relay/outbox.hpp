// Writes what must outlive the process before an offset may be let go: parked events, dead
// letters, state records; and the attempts log, which is best effort.
//
//   park, bury, put_state --> producer --stored--> OutboxClient::on_written
//                                 | refused, failed: again after a pause, its partition blocked
//
// Why:     an event leaves memory only after Kafka has acknowledged where it went. What can not be
//          written stops its partition and is never skipped.
// Owner:   the shard.  Thread: shard thread.
// Bounds:  one entry per job that leaves plus one per state key; bytes stay in the held events. The
//          attempts log drops lines once the producer is half full.
// Errors:  none comes back but TooLarge; everything else is tried until it is written or forgotten.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/config.hpp"
#include "common/event.hpp"
#include "common/kafka/producer_client.hpp"
#include "common/metrics.hpp"
#include "relay/job.hpp"

namespace eventrelay::relay {

// Written: acknowledged at acks=all. TooLarge: over what its topic takes, nothing was written.
// Forgotten: its partition was given up first; it may or may not have been written.
enum class Receipt : std::uint8_t { Written, TooLarge, Forgotten };

// Hears how its writes ended, each once, never from within the call that began them.
// Thread: shard thread.
class OutboxClient {
 public:
  virtual void on_receipt(std::uint64_t token, Receipt receipt) = 0;

 protected:
  ~OutboxClient() = default;
};

// Whom to tell, and by which name of its own. Thread: value.
struct Sender {
  OutboxClient* client = nullptr;
  std::uint64_t token = 0;
};

// Thread: shard thread.  Bounds: see the head of this file.
class Outbox final : public kafka::ReportSink {
 public:
  // `changed` runs when blocked() of a partition changes.
  using Changed = std::function<void(Partition, bool blocked)>;

  Outbox(Executor executor, const Config& config, metrics::Slab& slab, Changed changed);
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;
  ~Outbox();

  // Into the topic of step `delay`, same partition. `held` stays until the receipt; `state` and
  // what it views into, its subscription excepted, is static.
  void park(const HeldEvent& held, const ParkedState& state, std::size_t delay, Sender sender);
  // Into the dead letters; `state.dead_class` is set.
  void bury(const HeldEvent& held, const ParkedState& state, Sender sender);
  // A state record of `partition`; empty value: a tombstone. Records of one key are written in
  // order, and a newer one takes the place of one that still waits.
  void put_state(Partition partition, std::string key, std::string value, Sender sender);
  // One JSON line. Best effort: no receipt.
  void log_attempt(InstanceId instance, std::string_view line);

  // A write of this partition was refused, failed, or waits for long.
  [[nodiscard]] bool blocked(Partition partition) const;
  [[nodiscard]] std::size_t blocked_partitions() const noexcept { return blocked_.size(); }
  // Why: a few words.
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }
  // Writes of `partition` without a receipt.
  [[nodiscard]] std::size_t unwritten(Partition partition) const;
  // Tells Forgotten for each of them.
  void forget(Partition partition);
  // Now and then: finds writes that wait for long.
  void age(TimePoint now);
  // Waits for what is handed over, at most until `deadline`; what is refused meanwhile is tried on.
  void drain(TimePoint deadline, std::function<void()> done);

  void on_stored(std::uint64_t token, kafka::Stored stored) override;

 private:
  class Impl;
  std::string reason_;
  std::unordered_map<std::int32_t, std::uint32_t> blocked_;  // partition -> blocking writes
  std::unique_ptr<Impl> impl_;
};

}  // namespace eventrelay::relay
