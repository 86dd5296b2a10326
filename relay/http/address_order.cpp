#include "relay/http/address_order.hpp"

#include <algorithm>

namespace eventrelay::relay {

void AddressMemory::note_answer(const asio::ip::address& address) {
  worked = address;
  if (failed == address) failed.reset();
}

void AddressMemory::note_failure(const asio::ip::address& address) {
  failed = address;
  if (worked == address) worked.reset();
}

Addresses dial_order(const Addresses& addresses, const AddressMemory& memory) {
  Addresses order;
  if (addresses.empty()) return order;
  Addresses first;
  Addresses second;
  for (const asio::ip::address& address : addresses) {
    Addresses& family = address.is_v6() == addresses.front().is_v6() ? first : second;
    if (std::find(family.begin(), family.end(), address) == family.end()) family.push_back(address);
  }
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) order.push_back(first[i]);
    if (i < second.size()) order.push_back(second[i]);
  }
  const auto rank = [&memory](const asio::ip::address& address) {
    if (address == memory.worked) return 0;
    return address == memory.failed ? 2 : 1;
  };
  std::stable_sort(order.begin(), order.end(),
                   [&rank](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return order;
}

}  // namespace eventrelay::relay
