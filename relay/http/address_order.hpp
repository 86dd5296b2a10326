// In which order the addresses of a name are dialled.
//
// Why:     a name whose first address is dead must not cost a wait at each dial (RFC 8305 4).
// Owner:   the connection that dials.  Thread: pure.
// Bounds:  O(n log n) of a handful.  Errors: none.
#pragma once

#include <optional>

#include "relay/http/name_service.hpp"

namespace eventrelay::relay {

// What an endpoint remembers of its addresses.
struct AddressMemory {
  std::optional<asio::ip::address> worked;  // answered a request last
  std::optional<asio::ip::address> failed;  // was connected to, and did not

  void note_answer(const asio::ip::address& address);
  void note_failure(const asio::ip::address& address);
};

// The families take turns, beginning with that of the first address; the address that worked goes
// first and the one that failed goes last. Doubles are left out.
[[nodiscard]] Addresses dial_order(const Addresses& addresses, const AddressMemory& memory);

}  // namespace eventrelay::relay
