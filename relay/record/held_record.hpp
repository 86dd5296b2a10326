// An event in memory with the Kafka message its bytes lie in, and the pool such records come from.
//
// Why:     the body is signed and sent where the client library has put it; a record that waits
//          is copied out, because one message holds its whole fetch answer in memory.
// Owner:   its RecordOwner (the live path, a delay topic, a catch-up read); the scheduler and the
//          deliverer borrow it.
// Thread:  shard thread.
// Bounds:  the scheduler's job and byte bounds, the ledgers' windows; memory of the peak is kept.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "common/base/pool.hpp"
#include "common/kafka/consumer_client.hpp"
#include "relay/record/job.hpp"

namespace eventrelay::relay {

struct PartitionState;
struct HeldRecord;

// Where records come from, and who hears of their end: the live path, the delay topics, a catch-up
// read. Thread: shard thread.
class RecordOwner {
 public:
  // The last job of `record` ended; the record is the owner's to free. Done: it was delivered, is
  // dead, or was written where it waits, for every subscription; otherwise its offset stays open.
  virtual void settled(HeldRecord& record, End end) = 0;

 protected:
  ~RecordOwner() = default;
};

// What holding a message costs, about: its bytes and those of its headers.
[[nodiscard]] inline std::size_t cost_of(const kafka::Message& message) noexcept {
  constexpr std::size_t kHeaders = 256;
  return message.value().size() + message.key().size() + kHeaders;
}

// Bounds: one record.
struct HeldRecord : HeldEvent {
  kafka::Message message;  // or `copy`, never both
  std::string copy;
  RecordOwner* owner = nullptr;
  PartitionState* home = nullptr;    // of a record of the live path
  std::uint32_t place = 0;           // the owner's: which of its logs it came from
  CursorId cursor = kLivePath;       // of a record of a catch-up read: its cursor
  bool begun = false;                // its offset is open in the ledger
  std::optional<EventBits> bits;     // of its id, where its provider may send it again
  std::uint32_t kept_elsewhere = 0;  // subscriptions a cursor answers for, as counted once
  std::uint32_t sending = 0;         // attempts under way, which read its bytes
  std::uint32_t born = 0;            // the consumer's age when it was read
  ListHook in_partition;             // the live path's
  std::array<char, 256> texts;       // of the headers, as a rule: what is read again lies together

  // Lets the message go and keeps its bytes; views of `event` move along. Not while `sending`.
  void copy_out();
  // Copies the bytes, instead of views into a message that another record holds.
  void keep_copy();
};

// Tells the owner if this was the end of its record.
void settle(const Finished& end);

// Thread: shard thread.  Bounds: as its user.
class HeldRecords {
 public:
  [[nodiscard]] HeldRecord& take() { return pool_.take(); }
  void free(HeldRecord& record);

 private:
  Pool<HeldRecord> pool_;
};

}  // namespace eventrelay::relay
