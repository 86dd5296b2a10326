// Reads the registry's topic: first to its end, then whatever is written to it.
//
// Why:     every replica of both services holds all instances; a change must be in force in each
//          of them within a second of its acknowledgement.
// Owner:   ServiceHost, or a command.  Thread: load() the caller's, before follow(); position()
//          any; the batches come on the follower's own thread.
// Bounds:  a batch has at most kBatchMax records.
// Errors:  StartError from the constructor and from load().
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/kafka/compacted_reader.hpp"

namespace eventrelay {

using RegistryRecord = kafka::CompactedRecord;

// Thread: see above.  Bounds: one thread.
class RegistryFollower {
 public:
  static constexpr std::size_t kBatchMax = 512;
  using OnBatch = std::function<void(std::vector<RegistryRecord>)>;

  RegistryFollower(const KafkaConfig& kafka, std::string topic);
  RegistryFollower(const RegistryFollower&) = delete;
  RegistryFollower& operator=(const RegistryFollower&) = delete;
  ~RegistryFollower();

  // The newest record of each key up to the end of the topic; tombstones are left out. Blocks; ends
  // early and empty once stop() was called.
  [[nodiscard]] std::vector<RegistryRecord> load();
  void follow(OnBatch on_batch);
  // Ends load() and the thread; nothing is told any more.
  void stop();
  // The offset behind everything that was read.
  [[nodiscard]] std::int64_t position() const noexcept {
    return position_.load(std::memory_order_acquire);
  }

 private:
  void run(const OnBatch& on_batch);
  void passed(std::int64_t next) noexcept;

  kafka::CompactedReader reader_;
  std::string topic_;
  std::atomic<std::int64_t> position_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace eventrelay
