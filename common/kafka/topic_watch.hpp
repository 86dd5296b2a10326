// Looks at the cluster every two seconds in a thread of its own, and tells what has changed.
//
// Why:     what a deleted, remade or grown topic means must not wait for a client library to report
//          it, which it may do after minutes or never; and a shard never waits for an answer.
// Owner:   the service.  Thread: any; `changed` runs in the thread of the watch.
// Bounds:  one request at a time, kAskMs each, five per look; what the brokers know of all topics,
//          once per look.
// Errors:  what is wrong is a reason; StartError from the constructor alone.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/kafka/topic_history.hpp"

namespace eventrelay::kafka {

// Which logs are asked for their ends, and whether topics may be grown.
struct WatchOptions {
  bool ends = false;  // also asks where each log of an event topic ends
  bool grow = false;  // gives other topics the partitions that `events` has
  // What is known of logs by reading them, once per look, in the thread of the watch; may be null.
  std::function<std::map<LogPlace, LogMark>()> read;
};

// Thread: any.  Bounds: see the head of this file.
class TopicWatch {
 public:
  using Changed = std::function<void(const TopicChange&)>;

  TopicWatch(const KafkaConfig& config, std::vector<TopicSpec> plan, const WatchOptions& options,
             Changed changed);
  TopicWatch(const TopicWatch&) = delete;
  TopicWatch& operator=(const TopicWatch&) = delete;
  ~TopicWatch();

  // Why Kafka can not be worked with now; empty: it can.
  [[nodiscard]] std::vector<std::string> reasons() const;
  // reasons() is not empty.
  [[nodiscard]] bool troubled() const noexcept;
  // An event topic is not there, or has another number of partitions than `events`: what is written
  // now might not be delivered.
  [[nodiscard]] bool held() const noexcept;
  // As of the last look that saw it; 0: none has.
  [[nodiscard]] int event_partitions() const noexcept;

 private:
  class Asker;
  class State;

  std::shared_ptr<State> state_;
};

}  // namespace eventrelay::kafka
