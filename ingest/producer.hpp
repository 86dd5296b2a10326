// Events of a request -> Kafka records -> one answer: all stored, or not.
//
// Why:     a request is answered 2xx when every one of its records is acknowledged, and no sooner;
//          a client may leave before that, the records are stored anyway.
// Owner:   the shard.  Thread: shard-local, except ready().
// Bounds:  one entry per request with a record under way; the queue limits of the producer client
//          bound the records, so they bound the entries.
// Errors:  IngestError at once where Kafka takes nothing; Settled later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "common/base/event.hpp"
#include "common/base/expected.hpp"
#include "common/base/pool.hpp"
#include "common/kafka/producer_client.hpp"
#include "common/observe/metrics.hpp"
#include "common/process/volatile_budget.hpp"
#include "common/registry/registry.hpp"
#include "ingest/admission.hpp"
#include "ingest/answer.hpp"

namespace eventrelay::ingest {

// What became of a request's records. Only Stored is safe to answer 2xx.
enum class Settled : std::uint8_t { Stored, Unavailable, TooLarge };

// Waits for the records of one request. Thread: shard thread.
class AckWaiter {
 public:
  virtual void on_settled(Settled settled) = 0;

 protected:
  ~AckWaiter() = default;
};

// Names one request under way; stale ones are harmless.
struct Ticket {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;
};

// How to open the way into Kafka. Bounds: as KafkaConfig.
struct ProducerOptions {
  const KafkaConfig& kafka;
  std::string topic;
  kafka::ProducerLimits limits;
  VolatileBudget* budget = nullptr;  // of a broker that forgets; null: none
  // Connections that may send requests; none: unknown.
  std::function<std::size_t()> connections{};
};

// Thread: shard-local, except ready().  Bounds: see above.
class Producer final : public kafka::ReportSink {
 public:
  Producer(Executor executor, const ProducerOptions& options, metrics::Slab& slab);

  // Hands over every event; on_settled() of `waiter` follows unless the ticket is abandoned.
  // pre: `events` is not empty.
  [[nodiscard]] Expected<Ticket, IngestError> write(std::span<const Event> events,
                                                    AckWaiter& waiter);
  // The waiter is gone; its records go on.
  void abandon(Ticket ticket) noexcept;

  // As a request for this instance sees it; null: its instance is not known yet.
  [[nodiscard]] KafkaState state_for(const Instance* instance, TimePoint now) noexcept;
  // All buckets together.
  [[nodiscard]] KafkaState state() const noexcept;
  [[nodiscard]] std::optional<TimePoint> oldest_pending() const noexcept;
  [[nodiscard]] bool ready() const noexcept { return client_.ready(); }
  // Flushes; `done` runs on the shard's thread.
  void drain(TimePoint deadline, std::function<void()> done);
  // Drill for tests, as of the client.
  void inject_fatal_error() { client_.inject_fatal_error(); }
  // Requests with a record under way.
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }

  void on_stored(std::uint64_t token, kafka::Stored stored) override;
  void expect(std::uint64_t token) noexcept override;
  [[nodiscard]] bool others_may_come() const noexcept override {
    return !connections_ || waiting_ < connections_();
  }

 private:
  // One request under way.
  struct Entry {
    AckWaiter* waiter = nullptr;
    std::uint32_t generation = 1;
    std::uint32_t reports_left = 0;
    std::uint32_t index = 0;
    std::size_t value_bytes = 0;  // of each record: all carry the request's body
    Settled settled = Settled::Stored;
  };

  [[nodiscard]] kafka::Queued hand_over(const Event& event, std::uint64_t token);
  [[nodiscard]] Entry& acquire(AckWaiter& waiter);
  void release(Entry& entry);

  Pool<Entry> entries_;
  std::size_t waiting_ = 0;
  metrics::Slab& slab_;
  VolatileBudget* budget_;
  std::function<std::size_t()> connections_;
  kafka::ProducerClient client_;  // last: its reports reach a whole object
  std::size_t topic_;
};

}  // namespace eventrelay::ingest
