// In which order addresses are dialled: families in turn, what worked first, what failed last.
#include "relay/http/address_order.hpp"

#include <gtest/gtest.h>

namespace eventrelay::relay {
namespace {

Addresses of(const std::vector<const char*>& texts) {
  Addresses all;
  for (const char* text : texts) all.push_back(asio::ip::make_address(text));
  return all;
}

TEST(DialOrder, LetsTheFamiliesTakeTurns) {
  EXPECT_EQ(
      dial_order(of({"2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2"}), {}),
      of({"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3"}));
  EXPECT_EQ(dial_order(of({"192.0.2.1", "192.0.2.2", "2001:db8::1"}), {}),
            of({"192.0.2.1", "2001:db8::1", "192.0.2.2"}));
}

TEST(DialOrder, LeavesDoublesOut) {
  EXPECT_EQ(dial_order(of({"192.0.2.1", "192.0.2.1"}), {}), of({"192.0.2.1"}));
  EXPECT_TRUE(dial_order({}, {}).empty());
}

TEST(DialOrder, PutsWhatWorkedFirstAndWhatFailedLast) {
  const Addresses all = of({"192.0.2.1", "192.0.2.2", "192.0.2.3"});
  AddressMemory memory;
  memory.note_answer(all[2]);
  memory.note_failure(all[0]);
  EXPECT_EQ(dial_order(all, memory), of({"192.0.2.3", "192.0.2.2", "192.0.2.1"}));
  memory.note_failure(all[2]);
  EXPECT_EQ(dial_order(all, memory), of({"192.0.2.1", "192.0.2.2", "192.0.2.3"}));
  memory.note_answer(all[2]);
  EXPECT_EQ(dial_order(all, memory), of({"192.0.2.3", "192.0.2.1", "192.0.2.2"}));
}

// A memory of an address that the name no longer has adds nothing.
TEST(DialOrder, DialsOnlyWhatTheNameHasNow) {
  AddressMemory memory;
  memory.note_answer(of({"192.0.2.9"}).front());
  EXPECT_EQ(dial_order(of({"192.0.2.1"}), memory), of({"192.0.2.1"}));
}

}  // namespace
}  // namespace eventrelay::relay
