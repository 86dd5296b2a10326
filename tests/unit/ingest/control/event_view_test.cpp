#include "ingest/control/event_view.hpp"

#include <gtest/gtest.h>

namespace eventrelay::control {
namespace {

history::StoredEvent stored() {
  history::StoredEvent event;
  event.id = "id-1";
  event.instance = 7;
  event.element = "box";
  event.event_type = "CREATED";
  event.object_type = "file";
  event.body = "{\"a\":1}";
  return event;
}

std::vector<Wanting> two() {
  Wanting named;
  named.id = "7/audit";
  named.filter.event_types = {"DELETED"};
  return {{"7", {}}, named};
}

std::string status(const history::StoredEvent& event, const std::vector<Wanting>& wanting) {
  return std::string(event_answer(event, wanting).at("status").as_string());
}

TEST(EventView, StatusSaysHowFarItIsAtAllWhoWantIt) {
  history::StoredEvent event = stored();
  EXPECT_EQ(status(event, two()), "RECEIVED");
  event.settled = true;
  EXPECT_EQ(status(event, two()), "NOTIFIED");
  EXPECT_EQ(status(event, {}), "CONSUMED");
  EXPECT_EQ(status(event, {two().back()}), "CONSUMED");
  event.queued_whole = {"7"};
  EXPECT_EQ(status(event, two()), "RECEIVED");
  event.traces.push_back({"7", {}});
  event.traces.back().traces.attempts.emplace_back();
  EXPECT_EQ(status(event, two()), "DISPATCHED");
}

TEST(EventView, ASubscriptionThatIsGoneKeepsItsTraces) {
  history::StoredEvent event = stored();
  event.traces.push_back({"7/gone", {}});
  event.traces.back().traces.dead.emplace();
  const auto answer = event_answer(event, two());
  EXPECT_EQ(answer.at("notifiedData").as_array().size(), 3U);
  EXPECT_EQ(answer.at("notifiedData").at(2).at("state").as_string(), "dead");
}

TEST(EventView, AFailedAttemptIsAnErrorDeliveringTheEvent) {
  history::StoredEvent event = stored();
  event.traces.push_back({"7", {}});
  history::AttemptSeen attempt;
  attempt.attempt = 1;
  attempt.outcome = "http_5xx";
  attempt.status = 503;
  attempt.next = "retry";
  event.traces.back().traces.attempts.push_back(attempt);
  const auto answer = disposition_answer(event, two());
  const std::string first(answer.at("notificationData").at(0).at("message").as_string());
  EXPECT_NE(first.find("Error delivering event"), std::string::npos) << first;
  EXPECT_NE(first.find("503"), std::string::npos) << first;
}

TEST(EventView, BytesThatAreNotUtf8AreReplaced) {
  EXPECT_EQ(as_utf8("a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80z"),
            "a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80z");
  const std::string mark = "\xEF\xBF\xBD";
  EXPECT_EQ(as_utf8("a\xFFz"), "a" + mark + "z");
  EXPECT_EQ(as_utf8("\xC0\xAF"), mark + mark);             // overlong
  EXPECT_EQ(as_utf8("\xED\xA0\x80"), mark + mark + mark);  // a surrogate
  EXPECT_EQ(as_utf8("\xE2\x82"), mark + mark);             // cut off
}

}  // namespace
}  // namespace eventrelay::control
