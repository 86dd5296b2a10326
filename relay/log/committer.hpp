// Commits what is safe of every partition, once per interval, with the finished ranges above it.
//
// Why:     one request for all partitions; after a kill only what was really unfinished is sent
//          again, because the ranges travel in the commit's metadata.
// Owner:   the shard.  Thread: shard thread.
// Bounds:  one commit per partition and call; metadata of kMetadataMax bytes.
// Errors:  a refused commit is tried again with the next one, which covers it.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "relay/io/kafka.hpp"
#include "relay/log/commit_text.hpp"
#include "relay/log/consumer.hpp"

namespace eventrelay::relay {

// Thread: shard thread.  Bounds: see the head of this file.
class Committer {
 public:
  explicit Committer(Consumer& consumer) : consumer_(consumer) {}

  void attach(GroupMember& member) { member_ = &member; }

  // What has changed since the last call; returns at once.
  void commit();
  // What has changed of `partitions`, and waits for the broker. False: it did not take it.
  bool commit_and_wait(std::span<const Partition> partitions);
  // The last commits may not have been taken: say everything again.
  void on_failed();

 private:
  void collect(PartitionState& partition);

  Consumer& consumer_;
  GroupMember* member_ = nullptr;
  std::vector<kafka::Commit> commits_;
};

}  // namespace eventrelay::relay
