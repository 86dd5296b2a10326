// A relay process in the random world: live path, queues, catch-up read, records and commits around
// the real Cursors and OffsetLedger, one small step at a time.
//
// Why:     what the shells do with Cursors, without loop, socket or Kafka.
// Owner:   the test.  Thread: one.  Bounds: a few jobs per queue.
// Errors:  through World::broken.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "tests/unit/relay/cursor_world.hpp"
#include "relay/log/offset_ledger.hpp"

namespace eventrelay::relay::sim {

struct Job {
  std::size_t sub = 0;
  std::int64_t at = 0;
  CursorId owner;  // kLivePath: the live path
  bool in_flight = false;
  bool flown = false;  // an attempt was begun
};

// A record on its way into Kafka.
struct Pending {
  std::string key;  // of the state topic; empty: a delay or dead-letter record of `job`
  std::string value;
  std::uint64_t token = 0;
  Job job;
};

// Thread: one.  Bounds: see the head of this file.
class Shell final : public ReadinessGate {
 public:
  // Takes the partition over from whoever had it.
  explicit Shell(World& world);

  // One random thing happens.
  void step();
  // One of everything, without chance.
  void work();
  // Stops as on SIGTERM: nothing is left to be done twice.
  void drain();
  // The process is gone: any number of its records, from the first on, had reached Kafka.
  void crash();
  // It has lost the partition and may not know it.
  void become_zombie() { zombie_ = true; }
  [[nodiscard]] bool fenced() const { return fenced_; }
  [[nodiscard]] bool idle() const;
  [[nodiscard]] std::string describe() const;
  // What a crash now may repeat.
  [[nodiscard]] std::uint64_t at_risk() const;

  [[nodiscard]] Readiness look(std::string_view subscription) override;

 private:
  static constexpr std::size_t kQueueMax = 3;
  static constexpr std::uint32_t kInFlightMax = 2;
  static constexpr std::uint32_t kAttemptsMax = 4;

  void take_live();
  void detach(std::size_t sub, CursorState state, const Job* failed);
  void settle_leaving();
  void settle_live(const Job& job);
  void start_attempt();
  void end_attempt();
  void fail(Job job);
  void fail_ordered(const Job& job);
  void give_back_chain(const Job& job);
  void put_away(const Job& job);
  void finished(const Job& job);
  void catch_up_step();
  void expire_step();
  void land();
  void acknowledge();
  void write();
  void commit_ledger();
  void follow();
  void flip_off();
  [[nodiscard]] std::uint64_t known() const;
  [[nodiscard]] bool has_room(std::size_t sub) const { return queues_[sub].size() < kQueueMax; }
  [[nodiscard]] bool may_start(std::size_t sub, std::size_t index) const;
  [[nodiscard]] std::vector<Job> take_chain(const Job& job);

  World& world_;
  OffsetLedger ledger_;
  Epoch epoch_ = 0;
  std::unique_ptr<Cursors> cursors_;
  std::vector<std::vector<Job>> queues_;
  std::vector<int> left_;        // by offset: live jobs that are not settled
  std::vector<Job> leaving_;     // to a cursor
  std::vector<Job> backlog_;     // to a delay or dead-letter topic
  std::deque<Pending> pending_;  // handed to the producer
  std::deque<Pending> landed_;   // in the log, not acknowledged
  std::int64_t live_ = 0;
  bool begun_ = false;  // the ledger knows the event at live_
  std::int64_t catch_up_at_ = 0;
  std::vector<std::pair<std::string, std::uint32_t>> attempts_;
  std::size_t followed_ = 0;
  bool zombie_ = false;
  bool fenced_ = false;
  // Deliveries up to which everything was written: by the last record, and by the ledger.
  std::uint64_t mark_ = 0;
  std::uint64_t safe_position_ = 0;
  std::uint64_t safe_ledger_ = 0;
  std::vector<bool> open_then_;  // by offset: unfinished at the last commit of the ledger
};

}  // namespace eventrelay::relay::sim
