// One librdkafka producer with its topics and its report queue; ends as a whole.
//
// Why:     after a fatal error everything that belongs to a handle must go together, off the
//          shard. The first record to a topic whose partitions are unknown waits for a second,
//          so a short-lived thread asks for them before the producer counts as ready.
// Owner:   ProducerClient, then retire().
// Thread:  shard thread; primed() any. The destructor may block: retire() runs it.
// Bounds:  one thread while a topic is unknown, one while it is flushed.
// Errors:  StartError from the constructor and from open_topic().
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/kafka/handle.hpp"
#include "common/kafka/producer_client.hpp"

namespace eventrelay::kafka {

// Thread: shard thread, except primed().  Bounds: see above.
class ProducerHandle {
 public:
  // `wake_descriptor` gets a number when reports wait or the topics have become known.
  ProducerHandle(const KafkaConfig& config, const ProducerLimits& limits, int wake_descriptor);
  ProducerHandle(const ProducerHandle&) = delete;
  ProducerHandle& operator=(const ProducerHandle&) = delete;
  ~ProducerHandle();

  void open_topic(const std::string& name);
  // True if the partitions of every topic are known.
  [[nodiscard]] bool primed() const noexcept { return primed_.load(std::memory_order_acquire); }
  // Of a topic, as last asked for; 0 while unknown. Shard thread.
  [[nodiscard]] std::int32_t partitions(std::size_t index) const noexcept {
    return partitions_[index].load(std::memory_order_relaxed);
  }
  // Sends what lingers without waiting for more; in a thread, because the library's flush waits.
  void begin_flush();
  // No number is written to the descriptor any more.
  void detach();

  [[nodiscard]] rd_kafka_t* client() const noexcept { return client_.get(); }
  [[nodiscard]] rd_kafka_topic_t* topic(std::size_t index) const { return topics_[index].get(); }
  // The next event of the handle, or nothing.
  [[nodiscard]] EventPtr poll() const noexcept;

 private:
  void prime();

  ClientPtr client_;
  QueuePtr reports_;
  std::vector<TopicPtr> topics_;                      // grows under mutex_
  std::deque<std::atomic<std::int32_t>> partitions_;  // likewise, one for each topic

  std::mutex mutex_;
  std::condition_variable ending_changed_;
  int wake_descriptor_;
  std::size_t known_topics_ = 0;
  bool priming_ = false;
  bool ending_ = false;
  std::atomic<bool> primed_{true};
  std::thread primer_;
  std::thread flusher_;
};

}  // namespace eventrelay::kafka
