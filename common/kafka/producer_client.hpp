// One shard's way into Kafka: idempotent, acks=all, reports delivered on the shard's own thread.
//
// Why:     a record counts as stored only by its report; nothing else may be answered 2xx.
//          The report queue wakes the shard's loop through a descriptor, so no thread stands
//          between the client library and the session that waits.
// Owner:   the shard.  Thread: shard thread, except where said.
// Bounds:  queue_bytes and queue_messages, beyond which produce() says QueueFull at once.
// Errors:  a fatal error of the handle fails every waiting record, then a new handle is built.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/base/event.hpp"
#include "common/base/ids.hpp"
#include "common/config/config.hpp"
#include "common/http/types.hpp"
#include "common/kafka/pending.hpp"
#include "common/observe/metrics.hpp"

namespace eventrelay::kafka {

// What became of produce(). Only Queued is followed by a report.
enum class Queued : std::uint8_t { Queued, QueueFull, TooLarge, Unavailable };
// What a report says. Only Persisted is safe to answer 2xx.
enum class Stored : std::uint8_t { Persisted, TimedOut, TooLarge, Rejected, Fatal };

// The word by which a refused or failed write is counted.
[[nodiscard]] metrics::ProduceFailure failure_of(Queued queued) noexcept;
[[nodiscard]] metrics::ProduceFailure failure_of(Stored stored) noexcept;

// Receives the reports. Thread: shard thread.
class ReportSink {
 public:
  virtual void on_stored(std::uint64_t token, Stored stored) = 0;
  // Comes before on_stored(Persisted): where the record stands, and when its broker appended it;
  // nothing: its topic keeps the producer's time.
  virtual void on_placed(std::uint64_t token, Offset at, std::optional<WallTime> appended) {
    static_cast<void>(token);
    static_cast<void>(at);
    static_cast<void>(appended);
  }
  // on_stored() of this token follows at once, a few others may come before: a moment to ask for
  // the memory it will touch.
  virtual void expect(std::uint64_t token) noexcept { static_cast<void>(token); }
  // Asked while records are gathered: may another one come before a report does?
  [[nodiscard]] virtual bool others_may_come() const noexcept { return true; }

 protected:
  ~ReportSink() = default;
};

// What the producer may hold. Bounds: a larger value costs that much memory.
struct ProducerLimits {
  std::size_t queue_bytes = 64U << 20;
  std::size_t queue_messages = 100'000;
  // Key, value and headers of one record; the topics must allow it (topic_plan does).
  std::size_t record_bytes_max = (1U << 20) + (64U << 10);
  PaceLimits pace{};
  // Records wait for others, at most that long (GatherRule); zero: as long as `linger.ms` says.
  Duration gather{};
};

// One record to write. Bounds: copied by produce().
struct ProduceRecord {
  std::string_view key;
  std::string_view value;
  const RecordHeaders* headers = nullptr;
  std::int32_t partition = -1;  // -1 = by key (murmur2, as the Java clients do)
};

// The producer of one shard. Built in the shard's thread or before its loop runs; never destroyed
// from within on_stored(). The destructor gives the handle away and returns at once: what is still
// queued is dropped without a report, so drain() first.
// Thread: shard thread.  Bounds: ProducerLimits.
class ProducerClient {
 public:
  ProducerClient(Executor executor, const KafkaConfig& config, ProducerLimits limits,
                 ReportSink& sink, metrics::Slab& slab);
  ProducerClient(const ProducerClient&) = delete;
  ProducerClient& operator=(const ProducerClient&) = delete;
  ~ProducerClient();

  // Opens a topic by name and asks for its metadata; index for produce(). Start only.
  std::size_t add_topic(const std::string& name);
  // True once the brokers have told the partitions of every topic. Any thread.
  [[nodiscard]] bool ready() const noexcept;

  [[nodiscard]] Queued produce(std::size_t topic, const ProduceRecord& record, std::uint64_t token);

  // Sends what is gathered if it is time. Called behind the records of one request, so that they
  // go together.
  void send_gathered();

  // The bucket of a record with this key: those of one partition share it. Before the partitions of
  // the topic are known, and with a partitioner of the user's own, any of them.
  [[nodiscard]] std::size_t bucket_of(std::size_t topic, std::string_view key) const noexcept;
  // What waits for its report, and how that moves.
  [[nodiscard]] PendingRecords& pending() noexcept;
  [[nodiscard]] const PendingRecords& pending() const noexcept;

  // Flushes; `done` runs on the shard's thread when every report is in or the deadline passed.
  void drain(TimePoint deadline, std::function<void()> done);
  // Drill for tests: makes the current handle fail as if the broker had fenced it.
  void inject_fatal_error();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace eventrelay::kafka
