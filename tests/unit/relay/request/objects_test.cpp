// Events whose body holds several objects: each is named, and each is filtered by itself.
#include "relay/request/objects.hpp"

#include <gtest/gtest.h>

#include <string>

#include "relay/request/format.hpp"

namespace eventrelay::relay {
namespace {

// A record of HubSpot with so many objects, every other a deletion.
struct Batch {
  explicit Batch(std::size_t count, std::string_view part = {}) {
    body = "[";
    for (std::size_t i = 0; i < count; ++i) {
      body += (i == 0 ? "" : ",") + std::string(R"({"objectId":)") + std::to_string(i) +
              R"(,"occurredAt":1564113600000,"subscriptionType":"contact.)" +
              (i % 2 == 0 ? "creation" : "deletion") + "\"}";
    }
    body += "]";
    event.id = "e1";
    event.element = "hubspot";
    event.content_type = "application/json";
    event.body = body;
    event.part = part;
  }
  std::string body;
  Event event;
};

TEST(EventObjects, AreThoseOfThePart) {
  EXPECT_EQ(objects_of(Batch(3).event).size(), 3U);
  const auto second = objects_of(Batch(41, "2/3").event);
  ASSERT_EQ(second.size(), 20U);
  EXPECT_EQ(second.front().object_id, "20");
  EXPECT_EQ(second.back().object_id, "39");
  const auto last = objects_of(Batch(41, "3/3").event);
  ASSERT_EQ(last.size(), 1U);
  EXPECT_EQ(last.front().object_id, "40");
  EXPECT_EQ(last.front().event_type, "CREATED");
  EXPECT_EQ(last.front().date, "2019-07-26T04:00:00Z");
}

TEST(EventObjects, AreNoneOfARecordThatHasItsOwnFields) {
  Batch batch(3);
  batch.event.event_type = "UNKNOWN";
  EXPECT_TRUE(objects_of(batch.event).empty());
  Batch broken(3);
  broken.event.body = "[{";
  EXPECT_TRUE(objects_of(broken.event).empty());
  Batch box(3);
  box.event.element = "box";
  EXPECT_TRUE(objects_of(box.event).empty());
}

TEST(EventObjects, PassAFilterIfOneOfThemDoes) {
  const Batch batch(3);
  EXPECT_TRUE(lets_through(FilterConfig{}, batch.event));
  EXPECT_TRUE(lets_through(FilterConfig{{"DELETED"}, {"contact"}}, batch.event));
  EXPECT_FALSE(lets_through(FilterConfig{{"UPDATED"}, {}}, batch.event));
  EXPECT_FALSE(lets_through(FilterConfig{{"DELETED"}, {"company"}}, batch.event));
  EXPECT_FALSE(lets_through(FilterConfig{{"DELETED"}, {}}, Batch(1).event));
}

TEST(EventObjects, StandInTheNotificationUnlessTheFilterRefusesThem) {
  Instance instance;
  instance.id = InstanceId{1};
  instance.element = "hubspot";
  instance.hub = "marketing";
  const Batch batch(3);
  const auto text_of = [&](const FilterConfig& filter) {
    Formatter formatter(Format::Elements, instance);
    formatter.keep_only(filter);
    std::string buffer;
    const Body body = formatter.body(batch.event, buffer);
    return std::string(body.suffix);
  };
  const auto object = [](const std::string& id, const std::string& type) {
    return R"({"objectId":")" + id + R"(","objectType":"contact","eventType":")" + type +
           R"(","elementKey":"hubspot","hubKey":"marketing","date":"2019-07-26T04:00:00Z"})";
  };
  const std::string all =
      object("0", "CREATED") + "," + object("1", "DELETED") + "," + object("2", "CREATED");
  EXPECT_NE(text_of({}).find(R"("events":[)" + all + "]}}"), std::string::npos) << text_of({});
  EXPECT_NE(text_of({{"DELETED"}, {}}).find(R"("events":[)" + object("1", "DELETED") + "]}}"),
            std::string::npos);
}

}  // namespace
}  // namespace eventrelay::relay
