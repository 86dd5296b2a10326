// Holds the control role and writes the registry: one process at a time, fenced by Kafka.
//
//   Taking  -- transactional id ours, topic read to its end --> Holding
//   Holding -- another process has it (fenced, or its role record) --> Standby
//   Standby -- the other gave it back, or was silent for silence_max --> Taking
//
// Why:     two writers would give ids twice and lose each other's changes. A process that starts
//          takes the role over; one that lost it does not take it back while the other lives.
// Owner:   the control API.  Thread: submit(), role_seen(), holds() and stop() any; callbacks run
//          on the writer's own thread.
// Bounds:  kQueueMax changes wait; one transaction takes up to kGroupMax of them.
// Errors:  ChangeOutcome.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/base/clock.hpp"
#include "common/kafka/transaction_writer.hpp"

namespace eventrelay {

inline constexpr std::string_view kRoleKey = "control/role";
inline constexpr std::string_view kIdsKey = "control/ids";
inline constexpr std::string_view kCleanupPrefix = "cleanup/";

enum class ChangeOutcome : std::uint8_t {
  Written,      // committed at acks=all, at `offset`
  NotHolder,    // this process does not hold the control role
  Unavailable,  // Kafka could not take it; it is not written
  Unknown,      // the commit was not answered: the next term() tells, by what the topic holds
};

struct ChangeResult {
  ChangeOutcome outcome = ChangeOutcome::Unavailable;
  std::int64_t offset = -1;
};

// What stands under kRoleKey.
struct RoleRecord {
  std::string process;  // id of the process that wrote it
  bool held = false;    // false: given back
};
[[nodiscard]] std::string encode_role(const RoleRecord& role, WallTime now);
[[nodiscard]] std::optional<RoleRecord> decode_role(std::string_view value);
// The last id that was given, under kIdsKey.
[[nodiscard]] std::string encode_ids(std::uint64_t last);
[[nodiscard]] std::optional<std::uint64_t> decode_ids(std::string_view value);

struct WriterOptions {
  KafkaConfig kafka;
  std::string topic;
  std::string transactional_id;
  std::string process;                     // unlike that of any other process
  std::function<std::int64_t()> position;  // up to where this process has applied the topic
  std::chrono::milliseconds heartbeat{3000};
  std::chrono::milliseconds silence_max{15'000};
};

// Thread: see above.  Bounds: one thread.
class RegistryWriter {
 public:
  static constexpr std::size_t kQueueMax = 1024;
  static constexpr std::size_t kGroupMax = 128;
  using Done = std::function<void(ChangeResult)>;

  explicit RegistryWriter(WriterOptions options);
  RegistryWriter(const RegistryWriter&) = delete;
  RegistryWriter& operator=(const RegistryWriter&) = delete;
  ~RegistryWriter();

  void start();
  // All records or none. `done` runs once, also when the role is lost or the writer ends.
  void submit(std::vector<kafka::KeyedRecord> records, Done done);
  // A role record was read from the topic.
  void role_seen(const RoleRecord& role, std::int64_t offset);
  [[nodiscard]] bool holds() const noexcept { return holds_.load(std::memory_order_acquire); }
  // Counts the take-overs of the role, by this process or another: a change that was under way in
  // an earlier term is either in the topic or never will be.
  [[nodiscard]] std::uint64_t term() const noexcept {
    return term_.load(std::memory_order_acquire);
  }
  // Gives the role back and ends the thread.
  void stop();

 private:
  struct Job {
    std::vector<kafka::KeyedRecord> records;
    Done done;
  };

  void run();
  void take();
  void hold();
  void stand_by();
  void lose(std::string_view why);
  void renew();
  bool write_jobs(std::vector<Job> jobs);
  bool write_role(bool held);
  void refuse_all(ChangeOutcome outcome);
  [[nodiscard]] bool wait_for_position(std::int64_t offset);

  WriterOptions options_;
  std::unique_ptr<kafka::TransactionWriter> writer_;
  std::atomic<bool> holds_{false};
  std::atomic<std::uint64_t> term_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  bool foreign_held_ = false;  // somebody else wrote `held` last
  bool foreign_released_ = false;
  std::int64_t taken_at_ = -1;  // offset behind which our own role began
  TimePoint foreign_seen_{};
  std::thread thread_;
};

}  // namespace eventrelay
