// Looks whether an event of a subscription with room waits in a partition that is held back: reads
// ahead of the live position without taking anything.
//
//   held back for kPatience, and a subscription that may have events in it has nothing to do
//     --> reads ahead, one partition at a time, from where the live path will not be soon
//     an event for a subscription that could take it now --> told once; the look goes on behind the
//     live path
//     an event for one that could not --> noted in its queue; once that has nothing to do, it is
//     looked at again from there
//     read to its end by the live path --> over
//
// Why:     the events of a subscription that is merely behind wait in Kafka at no cost. It leaves
//          the live path only if it really keeps an event of another subscription waiting.
// Owner:   Backlog.  Thread: shard thread.
// Bounds:  each record is looked at once per assignment, beside what a change of partitions drops,
//          what was left to a live path that slowed down, and what is looked at again, a stretch
//          per kPatience at most; one partition at a time, its prefetch is kPrefetch.
// Errors:  none; what can not be read is the live path's to tell.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "common/config/config.hpp"
#include "common/observe/metrics.hpp"
#include "relay/backlog/cursor/cursors.hpp"
#include "relay/io/shard_io.hpp"
#include "relay/log/consumer.hpp"
#include "relay/subscriptions/subscriptions.hpp"

namespace eventrelay::relay {

// Bounds: all outlive it.
struct LookAheadParts {
  Scheduler& scheduler;
  Subscriptions& subscriptions;
  Consumer& consumer;
  metrics::Slab& slab;
  std::function<void()> found;  // the live path may go on
};

// Could this subscription be sent one more event now, if there is a slot?
[[nodiscard]] bool could_take(const SubscriptionQueue& queue, TimePoint now) noexcept;

// Thread: shard thread.  Bounds: see the head of this file.
class LookAhead final : public kafka::LogSink {
 public:
  // Held back for so long, it is looked whether others wait.
  static constexpr Duration kPatience = std::chrono::milliseconds(50);
  // The same where nothing is full, but the shard is too busy to read on, and few subscriptions
  // have most of what waits there.
  static constexpr Duration kBusyPatience = std::chrono::seconds(1);

  LookAhead(ShardIo& io, const Config& config, LookAheadParts parts);
  LookAhead(const LookAhead&) = delete;
  LookAhead& operator=(const LookAhead&) = delete;
  ~LookAhead();

  // `cursors` stays until drop().
  void add(Partition partition, Cursors& cursors);
  void drop(Partition partition);
  // It has more and is not read on; it is read to its end.
  void held_back(Partition partition);
  void read_to_end(Partition partition);
  void shutdown();

  // Looks at up to `max` records. The number looked at.
  std::size_t read(std::size_t max);

  void on_readable(kafka::TopicPartition place) override;

 private:
  // One partition.
  struct Ahead {
    Partition id;
    Cursors* cursors = nullptr;
    std::optional<TimePoint> since;  // held back since; nothing: it is not
    Offset next;                     // the first offset that was not looked at
    Offset seen;                     // where the live path stood at the last look
    std::int64_t step = 0;           // how far it came from look to look
    Offset left;                     // below it something was left to the live path
    std::size_t asked = 0;           // the queue at which the search for an idle one goes on
    std::size_t asked_again = 0;     // likewise, for one that was passed over
    std::optional<Offset> told;      // goes on when the live path has passed it
    Offset back;                     // what lies before is looked at again
    TimePoint judged{};              // by crowded_by_few()
    bool by_few = false;             // its answer
  };

  void look();
  void next_turn();
  void stop();
  [[nodiscard]] Ahead* choose();
  [[nodiscard]] bool wanted(Ahead& ahead) const;
  [[nodiscard]] bool crowded_by_few(Ahead& ahead) const;
  [[nodiscard]] bool somebody_idle(Ahead& ahead) const;
  void look_again();
  [[nodiscard]] std::optional<Offset> passed_over(Ahead& ahead) const;
  void begin_turn(Ahead& ahead);
  void note_step(Ahead& ahead) const;
  void set_start(Ahead& ahead, Offset live) const;
  [[nodiscard]] bool left_too_much() const;
  [[nodiscard]] std::optional<Offset> live_of(const Ahead& ahead) const;
  [[nodiscard]] bool judge(Ahead& ahead, const kafka::Message& message);

  LookAheadParts parts_;
  const Clock& clock_;
  std::unique_ptr<PartitionReader> reader_;
  std::unique_ptr<LoopTimer> timer_;
  bool armed_ = false;
  std::unordered_map<std::int32_t, Ahead> aheads_;
  std::vector<Partition> order_;  // whose turn is next
  std::optional<Partition> at_;   // being read
  std::uint32_t looked_ = 0;      // records in this turn
  bool readable_ = false;
  std::vector<SubscriptionQueue*> queues_;  // scratch
};

}  // namespace eventrelay::relay
