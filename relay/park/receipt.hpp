// How a write of the outbox ended, and who hears of it.
//
// Thread:  shard thread.  Bounds: values.
#pragma once

#include <cstdint>

namespace eventrelay::relay {

// Written: acknowledged at acks=all. TooLarge: over what its topic takes, nothing was written.
// Forgotten: its partition was given up first; it may or may not have been written.
enum class Receipt : std::uint8_t { Written, TooLarge, Forgotten };

// Hears how its writes ended, each once, never from within the call that began them.
// Thread: shard thread.
class OutboxClient {
 public:
  virtual void on_receipt(std::uint64_t token, Receipt receipt) = 0;

 protected:
  ~OutboxClient() = default;
};

// Whom to tell, and by which name of its own.
struct Sender {
  OutboxClient* client = nullptr;
  std::uint64_t token = 0;
};

}  // namespace eventrelay::relay
