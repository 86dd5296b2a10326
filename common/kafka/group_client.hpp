// The one group member of a process, which all of its shards share.
//
//   group --> GroupClient --partitions--> ConsumerClient of each shard --records--> shard
//
// Why:     members of one process would rebalance each other at its start and its end. Every
//          partition has a queue of its own in the library, which its shard reads in its own
//          thread: a record is handed from thread to thread no more often than with a member each.
// Owner:   the process, beside the shards. Each ConsumerClient of it may end before or after it.
// Thread:  built before the loops run; works in the loop of the shard that leads. The destructor
//          runs there or when the loops have ended.
// Bounds:  one client of the library; ConsumerOptions.
// Errors:  StartError from the constructor; later through the handler of the first shard.
#pragma once

#include <memory>

#include "common/config/config.hpp"
#include "common/http/types.hpp"
#include "common/kafka/consumer_client.hpp"
#include "common/observe/metrics.hpp"

namespace eventrelay::kafka {

class Group;

// Thread: see the head of this file.  Bounds: likewise.
class GroupClient {
 public:
  // It joins once `options.shards` shards have started.
  GroupClient(Executor leader, const KafkaConfig& config, const ConsumerOptions& options,
              metrics::Slab& slab);
  GroupClient(const GroupClient&) = delete;
  GroupClient& operator=(const GroupClient&) = delete;
  ~GroupClient();

  // For ConsumerClient.
  [[nodiscard]] const std::shared_ptr<Group>& group() const noexcept { return group_; }

 private:
  std::shared_ptr<Group> group_;
};

}  // namespace eventrelay::kafka
