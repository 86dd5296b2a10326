// What becomes of a job whose attempt failed: parked until its next attempt is due, or dead.
//
//   failed --leave--> policy --Park--> delay topic --receipt--> settled: its offset may go
//                        |---Dead----> dead letters --receipt--^
//
// Why:     a waiting retry costs no memory and holds back no offset; nothing is let go before Kafka
//          has acknowledged where it went.
// Owner:   the shard.  Thread: shard thread.
// Bounds:  the scheduler's jobs: one that leaves is held until its receipt.
// Errors:  none; what can not be written is the outbox's to try again.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>

#include "common/base/random.hpp"
#include "common/observe/metrics.hpp"
#include "common/process/volatile_budget.hpp"
#include "relay/backlog/detacher.hpp"
#include "relay/dispatch/retry.hpp"
#include "relay/dispatch/scheduler.hpp"
#include "relay/io/clock.hpp"
#include "relay/park/outbox.hpp"
#include "relay/subscriptions/subscriptions.hpp"

namespace eventrelay::relay {

// What it works with. Bounds: all outlive it.
struct AttemptEndParts {
  Scheduler& scheduler;
  Subscriptions& subscriptions;
  Outbox& outbox;
  Detacher& detacher;
  metrics::Slab& slab;
  const Clock& clock;
  VolatileBudget* budget = nullptr;  // may be null
  std::uint64_t seed = 0;
  std::function<void()> settled;  // a receipt came: something may go on
};

// Thread: shard thread.  Bounds: see the head of this file.
class AttemptEnd final : public OutboxClient {
 public:
  explicit AttemptEnd(AttemptEndParts parts) : parts_(std::move(parts)), random_(parts_.seed) {}

  // Which attempts get a line in the attempts log.
  void use(AttemptsLog log) noexcept { log_ = log; }

  // Pre: in flight, and not delivered.
  void failed(Job& job, const Result& result, TimePoint now);
  // Pre: in flight, and delivered; the job is not finished yet. Costs two compares as a rule.
  void delivered(const Job& job, const Result& result, TimePoint now) {
    parts_.subscriptions.note_answer(job, now);
    // One out of a delay topic was tried before, or is sent again: its line tells that it is over.
    const bool again = job.attempts_made > 0 || job.held->event.parked.has_value();
    if (log_ == AttemptsLog::All || again) note_success(job, result);
  }
  // A parked event must leave its subscription's queue: it comes back after the shortest delay,
  // with the attempts it has. Pre: leaving.
  void park_again(Job& job);

  void on_receipt(std::uint64_t token, Receipt receipt) override;

 private:
  void park(Job& job, const Step& step);
  void dead_letter(Job& job, std::string_view dead_class);
  void note_success(const Job& job, const Result& result);
  void log(const Job& job, const Result& result, const Step& step);
  [[nodiscard]] ParkedState state_of(const Job& job) const;

  AttemptEndParts parts_;
  AttemptsLog log_ = AttemptsLog::Failures;
  Random random_;
};

}  // namespace eventrelay::relay
