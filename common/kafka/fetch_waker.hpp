// Wakes the library's thread that fetches, so that a queue which was full is filled again at once.
//
// Why:     librdkafka below 2.2 looks at a queue that passed its limit again only when its thread
//          wakes for something else, up to a second later; a member that reads faster than one
//          queue a second then waits with nothing to do. A question to the leader of the partition
//          wakes that thread, and with it every partition of that broker.
// Owner:   ConsumerHandle.
// Thread:  any shard's; the question is asked in a thread of its own, from the first wake on. The
//          destructor waits for a question under way, kQuestionMax at most.
// Bounds:  one question at a time, kSpacing apart, for all partitions that were woken meanwhile.
// Errors:  none: an unanswered question leaves the library to its own time.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "common/base/ids.hpp"
#include "common/kafka/handle.hpp"

namespace eventrelay::kafka {

// Thread: see the head of this file.  Bounds: likewise.
class FetchWaker {
 public:
  static constexpr std::chrono::milliseconds kQuestionMax{100};
  static constexpr std::chrono::milliseconds kSpacing{5};

  // `client` outlives it.
  FetchWaker(rd_kafka_t* client, std::string topic)
      : client_(client), topic_(std::move(topic)), needed_(!refills_soon()) {}
  FetchWaker(const FetchWaker&) = delete;
  FetchWaker& operator=(const FetchWaker&) = delete;
  ~FetchWaker();

  // Its queue may have been full, and has room again.
  void wake(Partition partition);

 private:
  void run();
  void ask(const std::set<std::int32_t>& partitions) const;

  rd_kafka_t* client_;
  std::string topic_;
  bool needed_;  // by this version of the library

  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  bool ending_ = false;
  std::set<std::int32_t> wanted_;
  std::thread thread_;
};

}  // namespace eventrelay::kafka
