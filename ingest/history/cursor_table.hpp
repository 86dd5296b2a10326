// The cursors that the state topic tells of, by partition.
//
// Why:     the topic is compacted some time, not at once: of each cursor the last record of the
//          newest owner counts.
// Owner:   who reads the topic.  Thread: one owner.
// Bounds:  a cursor for each record that is read.
// Errors:  none; a record that is not a cursor is passed over.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "common/kafka/partition_reader.hpp"
#include "ingest/history/fate.hpp"

namespace eventrelay::history {

// Thread: one owner.  Bounds: see above.
class CursorTable {
 public:
  using OfPartition = std::map<std::string, Cursor>;  // by the key of its record

  // A record of the state topic; those of one partition come in their order.
  void note(Partition partition, const kafka::Message& message);

  [[nodiscard]] std::map<std::int32_t, OfPartition>& partitions() noexcept { return partitions_; }

 private:
  std::map<std::int32_t, OfPartition> partitions_;
};

}  // namespace eventrelay::history
