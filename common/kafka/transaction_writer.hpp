// Writes records in transactions under one transactional id, which fences every other writer of it.
//
// Why:     the registry has one writer; a second process that takes over must end the first one's
//          writes for certain, and a change of several records is whole or not there.
// Owner:   a thread that may block.  Thread: one.
// Bounds:  kTransactionTimeout per call.
// Errors:  StartError from the constructor (properties only); else WriteOutcome.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "common/base/clock.hpp"
#include "common/config/config.hpp"

namespace eventrelay::kafka {

inline constexpr std::chrono::seconds kTransactionTimeout{10};

// A record to write.
struct KeyedRecord {
  std::string key;
  std::optional<std::string> value;  // nothing: a tombstone
};

enum class WriteOutcome : std::uint8_t {
  Written,      // acknowledged at acks=all and committed
  Unavailable,  // not written: Kafka could not take it in time
  Unknown,      // the commit was not answered: it may have been written
  Fenced,       // another process has the transactional id; this writer is of no more use
};

struct WriteReport {
  WriteOutcome outcome = WriteOutcome::Unavailable;
  std::int64_t last_offset = -1;  // of the last record, if written
  std::string reason;             // the library's words, if not written
  bool spent = false;  // a transaction is open that can not be ended: of no more use, make another
};

// Thread: one owner.  Bounds: one transaction at a time.
class TransactionWriter {
 public:
  TransactionWriter(const KafkaConfig& config, const std::string& topic,
                    const std::string& transactional_id);
  TransactionWriter(const TransactionWriter&) = delete;
  TransactionWriter& operator=(const TransactionWriter&) = delete;
  ~TransactionWriter();

  // Fences earlier writers of the transactional id. Written: the id is ours, and `last_offset` is
  // the offset behind which nothing of an earlier writer can appear.
  [[nodiscard]] WriteReport fence();
  [[nodiscard]] WriteReport write(std::span<const KeyedRecord> records);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace eventrelay::kafka
