// One librdkafka consumer with its event queue; ends as a whole.
//
// Why:     committed positions with their metadata can only be asked for by a call that blocks
//          for a round trip, or for much longer while the coordinator does not answer. A
//          short-lived thread asks until it has an answer, because guessing a start would skip or
//          repeat events; meanwhile the shard goes on polling and the member stays in the group.
// Owner:   Group and each shard's ConsumerClient, each until it is over, then retire().
// Thread:  the leader's, except client(), wake_after() and wake_fetching(), which any shard calls;
//          the destructor may block: retire() runs it.
// Bounds:  one thread while positions are looked up, and the one of FetchWaker.
// Errors:  StartError from the constructor.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "common/kafka/consumer_client.hpp"
#include "common/kafka/fetch_waker.hpp"
#include "common/kafka/handle.hpp"

namespace eventrelay::kafka {

// Numbers a handle writes beside partition numbers.
inline constexpr std::int32_t kEventsNumber = -1;
inline constexpr std::int32_t kLookedUpNumber = -2;

// Thread: see above.  Bounds: likewise.
class ConsumerHandle {
 public:
  ConsumerHandle(const KafkaConfig& config, const ConsumerOptions& options, int wake_descriptor);
  ConsumerHandle(const ConsumerHandle&) = delete;
  ConsumerHandle& operator=(const ConsumerHandle&) = delete;
  ~ConsumerHandle();

  [[nodiscard]] rd_kafka_t* client() const noexcept { return client_.get(); }
  // The next event of the handle, or nothing.
  [[nodiscard]] EventPtr poll() const noexcept;
  // Asks for the committed positions of these partitions; the newest call counts.
  void look_up(PartitionsPtr partitions);
  // The positions, once; nothing while they are not there.
  [[nodiscard]] PartitionsPtr looked_up();
  void forget_lookup();
  // So many bytes behind the last wake one that was full has room again, and is not empty yet.
  [[nodiscard]] std::size_t wake_after() const noexcept { return wake_after_; }
  void wake_fetching(Partition partition) { waker_.wake(partition); }
  // Leaves the group; events go on. Returns the reason if that is not possible.
  [[nodiscard]] ErrorPtr begin_close();
  [[nodiscard]] bool closed() const noexcept { return rd_kafka_consumer_closed(client()) == 1; }
  // No number is written to the descriptor any more.
  void detach();

 private:
  void run_lookup(PartitionsPtr partitions);
  void end_lookup();
  void finish_close();

  [[nodiscard]] static ClientPtr client_of(const KafkaConfig& config,
                                           const ConsumerOptions& options);

  ClientPtr client_;
  QueuePtr events_;
  QueuePtr closing_;  // the library wants a queue of its own for the events of a close
  int wake_descriptor_;

  std::mutex mutex_;
  std::condition_variable cancelled_changed_;
  bool cancelled_ = false;
  PartitionsPtr found_;
  std::thread lookup_;

  std::size_t wake_after_;
  FetchWaker waker_;  // ends before the client
};

}  // namespace eventrelay::kafka
