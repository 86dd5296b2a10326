// Events of instances that this process does not know: they wait in the shortest delay step, again
// and again, until the instance is there or their time is over.
//
//   live path --unknown--> retry.<shortest>, er-sub `<instance>/*` --due--> known: one parked
//                              ^                     |                      record for each
//                              +----still unknown----+--too long--> dead    subscription that
//                                                                           wants it
// Why:     two services read their instances at different moments. What ingest has accepted must
//          not be lost because the relay was told later; nor may it hold a partition up.
// Owner:   the shard.  Thread: shard thread.
// Bounds:  one entry per record on its way; kMissedMax instances are remembered, further ones are
//          handled alike but neither logged nor shown.
// Errors:  none; what can not be written is the outbox's to try again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/ids.hpp"
#include "common/observe/metrics.hpp"
#include "common/process/volatile_budget.hpp"
#include "relay/io/clock.hpp"
#include "relay/park/outbox.hpp"
#include "relay/record/held_record.hpp"
#include "relay/record/unknown_sink.hpp"
#include "relay/subscriptions/subscriptions.hpp"

namespace eventrelay::relay {

inline constexpr std::size_t kMissedMax = 1000;

// An instance whose events wait.
struct Missed {
  InstanceId instance;
  std::uint64_t events = 0;  // kept since it was first missed
  WallTime since{};          // when this process first missed it
  WallTime last{};           // when it did so last
};

// What it works with. Bounds: all outlive it.
struct UnknownParts {
  Subscriptions& subscriptions;
  Outbox& outbox;
  metrics::Slab& slab;
  const Clock& clock;
  VolatileBudget* budget = nullptr;  // may be null
  milliseconds step{};               // of the shortest delay topic, which is the first
  std::function<void()> settled;     // a receipt came: something may go on
};

// Thread: shard thread.  Bounds: see the head of this file.
class UnknownInstances final : public UnknownSink, public OutboxClient {
 public:
  explicit UnknownInstances(UnknownParts parts) : parts_(std::move(parts)) {}

  // How long an event waits for its instance, from when it was first kept.
  void use(milliseconds wait) noexcept { wait_ = wait; }

  // From the live path.
  void keep(HeldRecord& record) override;
  // From a delay topic and due. True: it is one of those kept here, or its instance is not known,
  // and it is handled as by keep(). False: it belongs to its subscription.
  [[nodiscard]] bool take_due(HeldRecord& record);

  // At most `max`, those missed longest first.
  [[nodiscard]] std::vector<Missed> missed(std::size_t max);

  void on_receipt(std::uint64_t token, Receipt receipt) override;

 private:
  // Writes of one record that have no receipt.
  struct Pending {
    std::uint32_t writes = 0;
    bool failed = false;
    bool dead = false;
  };

  void park(HeldRecord& record, const ParkedState& state);
  void wait_on(HeldRecord& record);
  void dead_letter(HeldRecord& record, ParkedState state);
  void hand_over(HeldRecord& record);
  [[nodiscard]] bool expired(const HeldRecord& record, WallTime now);
  [[nodiscard]] Missed* note(const HeldRecord& record, WallTime now);

  UnknownParts parts_;
  milliseconds wait_{};
  std::unordered_map<InstanceId, Missed> missed_;
  std::unordered_map<HeldRecord*, Pending> pending_;
  std::vector<SubscriptionQueue*> queues_;  // scratch
};

}  // namespace eventrelay::relay
