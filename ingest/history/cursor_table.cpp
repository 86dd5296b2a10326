#include "ingest/history/cursor_table.hpp"

#include <optional>
#include <utility>

namespace eventrelay::history {

void CursorTable::note(Partition partition, const kafka::Message& message) {
  OfPartition& mine = partitions_[partition.value];
  const std::string key(message.key());
  std::optional<Cursor> cursor = read_cursor(message.value());
  const auto known = mine.find(key);
  if (cursor && (known == mine.end() || known->second.epoch <= cursor->epoch)) {
    mine[key] = *std::move(cursor);
  } else if (!cursor && known != mine.end() && known->second.end) {
    mine.erase(known);
  }
}

}  // namespace eventrelay::history
