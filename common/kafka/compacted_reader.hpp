// Reads one compacted topic from its start and goes on reading: committed records only.
//
// Why:     the registry is rebuilt from its topic at every start, and must know when it has seen
//          all that was there; a record of a transaction that is not committed must not count.
// Owner:   a follower's thread.  Thread: one; next() blocks up to its limit. position() any.
// Bounds:  prefetch of 16 MiB.
// Errors:  StartError from the constructor; what heals by itself is told as Waiting.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/base/clock.hpp"
#include "common/config/config.hpp"

namespace eventrelay::kafka {

// One record.
struct CompactedRecord {
  std::string key;
  std::optional<std::string> value;  // nothing: a tombstone
  std::int64_t offset = 0;
};

enum class ReadKind : std::uint8_t {
  Record,   // `record`
  End,      // everything that is committed now has been told
  Waiting,  // nothing came within the limit
};

struct CompactedRead {
  ReadKind kind = ReadKind::Waiting;
  CompactedRecord record{};
};

// Thread: one owner.  Bounds: as above.
class CompactedReader {
 public:
  // The topic has one partition, 0.
  CompactedReader(const KafkaConfig& config, const std::string& topic);
  CompactedReader(const CompactedReader&) = delete;
  CompactedReader& operator=(const CompactedReader&) = delete;
  ~CompactedReader();

  [[nodiscard]] CompactedRead next(Duration limit);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace eventrelay::kafka
