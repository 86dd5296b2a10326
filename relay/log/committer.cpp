#include "relay/log/committer.hpp"

#include <utility>

namespace eventrelay::relay {

void Committer::collect(PartitionState& partition) {
  const std::optional<Offset> next = partition.ledger.committable();
  if (!partition.owned || !next) return;
  std::string ranges = partition.ledger.encode_ranges(kCommitRangesMax);
  if (partition.committed == next && partition.ranges == ranges) return;
  partition.committed = next;
  partition.ranges = std::move(ranges);
  commits_.push_back(
      kafka::Commit{partition.id, *next, encode(CommitText{partition.ranges, partition.begun})});
}

void Committer::commit() {
  if (member_->committing()) return;  // the next one covers this
  commits_.clear();
  for (PartitionState* partition : consumer_.owned()) collect(*partition);
  if (!commits_.empty()) member_->commit_async(commits_);
}

bool Committer::commit_and_wait(std::span<const Partition> partitions) {
  commits_.clear();
  for (const Partition id : partitions) {
    PartitionState* const partition = consumer_.find(id);
    if (partition == nullptr) continue;
    // An earlier commit may be on its way or lost, so the last one is always sent.
    partition->committed.reset();
    collect(*partition);
  }
  return commits_.empty() || member_->commit_sync(commits_);
}

void Committer::on_failed() {
  for (PartitionState* partition : consumer_.owned()) partition->committed.reset();
}

}  // namespace eventrelay::relay
