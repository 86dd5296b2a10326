#include "ingest/event_id.hpp"

#include <gtest/gtest.h>

#include <string>

namespace eventrelay::ingest {
namespace {

std::string text(const EventIdText& id) {
  return {id.data(), id.size()};
}

TEST(EventId, IsTheSameForTheSameProviderId) {
  const std::string id = text(derived_event_id(InstanceId{427236}, "evt_1"));
  EXPECT_EQ(text(derived_event_id(InstanceId{427236}, "evt_1")), id);
  EXPECT_NE(text(derived_event_id(InstanceId{427237}, "evt_1")), id);
  EXPECT_NE(text(derived_event_id(InstanceId{427236}, "evt_2")), id);
  EXPECT_EQ(id[14], '8');
  EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos);
  // printf '427236\nevt_1' | sha256sum, with version and variant set.
  EXPECT_EQ(id, "69cd10b8-a34d-87df-ab73-2e1029596fbf");
}

TEST(EventId, GrowsWithinAMillisecondAndWhenTheClockStepsBack) {
  EventIds ids;
  const WallTime now{std::chrono::milliseconds{1700000000000}};
  std::string last;
  for (int i = 0; i < 10000; ++i) {
    const WallTime at = i == 5000 ? now - std::chrono::hours{1} : now;
    const std::string id = text(ids.next(at, 0xFFFFFFFFFFFFFFFFULL - static_cast<unsigned>(i)));
    EXPECT_LT(last, id);
    last = id;
  }
  EXPECT_EQ(last[14], '7');
}

TEST(EventId, BeginsWithItsTime) {
  EventIds ids;
  const WallTime now{std::chrono::milliseconds{0x0123456789ab}};
  EXPECT_EQ(text(ids.next(now, 0)), "01234567-89ab-7000-8000-000000000000");
  EXPECT_EQ(text(ids.next(now, 0)), "01234567-89ab-7001-8000-000000000000");
  EXPECT_EQ(text(ids.next(now + std::chrono::milliseconds{1}, 0xFF)),
            "01234567-89ac-7000-bf00-000000000000");
}

}  // namespace
}  // namespace eventrelay::ingest
