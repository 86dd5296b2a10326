// A Kafka cluster inside this process, for `eventrelay dev` and component tests. Volatile.
//
// Why:     a first run without a broker, and faults on demand. It keeps 5 MiB or 100,000 batches
//          per partition and drops what is older without a word: the user of this class must not
//          let unread data grow to that.
// Owner:   the program that starts it; must outlive every client that talks to it.
// Thread:  any; the broker runs in a thread of the library.
// Bounds:  see above, per partition.
// Errors:  StartError from the constructor and create_topic().
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace eventrelay::kafka {

inline constexpr std::size_t kMockPartitionBytesMax = 5U << 20;

// Thread: any.  Bounds: kMockPartitionBytesMax unread bytes per partition.
class MockCluster {
 public:
  explicit MockCluster(int brokers = 1);
  MockCluster(const MockCluster&) = delete;
  MockCluster& operator=(const MockCluster&) = delete;
  ~MockCluster();

  // For bootstrap.servers; other processes on this machine may use it too.
  [[nodiscard]] std::string bootstrap_servers() const;
  void create_topic(const std::string& name, int partitions);
  // All at once: the library can lose a wake-up and then waits a second, once per call.
  void create_topics(const std::vector<std::pair<std::string, int>>& topics);

  // The next `count` requests of this Kafka API (0 produce, 1 fetch, 8 commit, ...) fail with
  // `error`, a Kafka error code, before they take effect.
  void fail_requests(std::int16_t api, int error, std::size_t count);
  // Every answer of this broker, counted from 1, is late by this much.
  void set_round_trip(int broker, std::chrono::milliseconds delay);
  void set_leader(const std::string& topic, int partition, int broker);
  void set_down(int broker);
  void set_up(int broker);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace eventrelay::kafka
