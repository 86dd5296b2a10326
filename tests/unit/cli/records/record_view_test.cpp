#include "cli/records/record_view.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace eventrelay::cli {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

constexpr WallTime kNow{milliseconds{1'800'000'000'000}};

RecordView record_of(std::string_view topic, std::string_view key, std::string_view value) {
  return {.topic = topic,
          .partition = Partition{3},
          .offset = Offset{17},
          .stamped = kNow,
          .key = key,
          .value = value,
          .event = Unexpected<RecordError>(RecordError::MissingVersion)};
}

Event event_of(std::string_view body) {
  Event event;
  event.id = "ev-1";
  event.provider_id = "p-1";
  event.element = "box";
  event.instance = InstanceId{427236};
  event.event_type = "CREATED";
  event.object_type = "file";
  event.object_id = "123";
  event.received = kNow;
  event.body = body;
  return event;
}

RecordView parked_of(std::string_view topic) {
  RecordView record = record_of(topic, "427236", "{}");
  Event event = event_of("{}");
  event.parked = ParkedState{.subscription = "427236/audit",
                             .attempts_made = 2,
                             .due = kNow + milliseconds{4'200},
                             .first_failure = kNow - milliseconds{125'000},
                             .reason = "http_5xx"};
  record.event = event;
  return record;
}

TEST(RecordView, ShowsAnEventInOneLine) {
  RecordView record = record_of("events", "427236", "{}");
  record.event = event_of("{}");
  EXPECT_EQ(text_line(record, Body::Leave, kNow),
            "events 3:17 ev-1 427236 box CREATED file 123 2 bytes");
  EXPECT_EQ(text_line(record, Body::Print, kNow),
            "events 3:17 ev-1 427236 box CREATED file 123 2 bytes\n{}");
}

TEST(RecordView, ShowsWhenAParkedEventIsDueAndWhy) {
  EXPECT_EQ(text_line(parked_of("retry.5s"), Body::Leave, kNow),
            "retry.5s 3:17 ev-1 427236/audit box CREATED file 123 2 bytes attempts 2 due in 4.2s "
            "reason http_5xx first failure 2m 5s ago");
  EXPECT_THAT(text_line(parked_of("retry.5s"), Body::Leave, kNow + milliseconds{10'000}),
              HasSubstr("due 5.8s ago"));
}

TEST(RecordView, ShowsTheClassOfADeadLetter) {
  RecordView record = parked_of("dead");
  record.event->parked->due.reset();
  record.event->parked->dead_class = kSubscriberFailure;
  const std::string line = text_line(record, Body::Leave, kNow);
  EXPECT_THAT(line, HasSubstr("reason http_5xx class subscriber"));
  EXPECT_THAT(line, Not(HasSubstr("due")));
}

TEST(RecordView, ShowsStateMemberByMember) {
  const RecordView record =
      record_of("state", "427236|a\nb@120",
                R"({"v":1,"subscription":"427236","object":"a\nb","state":"blocked","from":120,)"
                R"("cursor":123,"end":null,"due":1800000001000,"attempt":3})");
  EXPECT_EQ(text_line(record, Body::Leave, kNow),
            "state 3:17 427236|a b@120 subscription=427236 object=a b state=blocked from=120 "
            "cursor=123 due in 1.0s attempt=3");
  EXPECT_EQ(text_line(record_of("state", "427236@120", ""), Body::Leave, kNow),
            "state 3:17 427236@120 removed");
}

TEST(RecordView, SaysSoWhenARecordCannotBeRead) {
  EXPECT_THAT(text_line(record_of("events", "1", "x"), Body::Leave, kNow),
              HasSubstr("not readable"));
  EXPECT_THAT(text_line(record_of("attempts", "1", "{"), Body::Leave, kNow), HasSubstr("not JSON"));
  EXPECT_THAT(json_line(record_of("dead", "1", "x"), Body::Leave), HasSubstr("\"error\":"));
}

TEST(RecordView, PrintsNoSealedValueUnasked) {
  EXPECT_EQ(text_line(record_of("instances", "7", "secret"), Body::Leave, kNow),
            "instances 3:17 7 6 bytes");
  EXPECT_THAT(json_line(record_of("instances", "7", "secret"), Body::Leave),
              Not(HasSubstr("secret")));
}

TEST(RecordView, PrintsJsonThatReadsBack) {
  const auto parked = boost::json::parse(json_line(parked_of("retry.5s"), Body::Print)).as_object();
  EXPECT_EQ(parked.at("topic").as_string(), "retry.5s");
  EXPECT_EQ(parked.at("subscription").as_string(), "427236/audit");
  EXPECT_EQ(parked.at("attempts").as_int64(), 2);
  EXPECT_EQ(parked.at("due").as_int64(), unix_ms(kNow) + 4'200);
  EXPECT_EQ(parked.at("body").as_string(), "{}");
  const auto state =
      boost::json::parse(json_line(record_of("state", "1@2", R"({"from":2})"), Body::Leave));
  EXPECT_EQ(state.at("value").at("from").as_int64(), 2);
}

TEST(RecordFilter, TakesAnInstanceByItsKeyInEveryTopic) {
  RecordFilter filter;
  filter.instance = InstanceId{427236};
  RecordView event = record_of("events", "427236", "{}");
  event.event = event_of("{}");
  EXPECT_TRUE(filter.wants(event));
  EXPECT_TRUE(filter.wants(record_of("state", "427236@120", "")));
  EXPECT_TRUE(filter.wants(record_of("attempts", "427236", "{}")));
  EXPECT_FALSE(filter.wants(record_of("state", "4272@120", "")));
  EXPECT_FALSE(filter.wants(record_of("instances", "42", "x")));
}

TEST(RecordFilter, TakesASubscriptionWhereItIsNamed) {
  RecordFilter filter;
  filter.subscription = "427236/audit";
  EXPECT_TRUE(filter.wants(parked_of("dead")));
  RecordView event = record_of("events", "427236", "{}");
  event.event = event_of("{}");
  EXPECT_TRUE(filter.wants(event));  // names no subscription: the instance decides
  EXPECT_TRUE(filter.wants(record_of("attempts", "427236", R"({"subscription":"427236/audit"})")));
  EXPECT_FALSE(filter.wants(record_of("attempts", "427236", R"({"subscription":"427236"})")));
  filter.subscription = "427236";
  EXPECT_FALSE(filter.wants(parked_of("dead")));
}

TEST(RecordFilter, TakesEventIds) {
  RecordFilter filter;
  filter.ids = {"ev-0", "ev-1"};
  EXPECT_TRUE(filter.wants(parked_of("retry.5s")));
  EXPECT_TRUE(filter.wants(record_of("attempts", "1", R"({"id":"ev-0"})")));
  EXPECT_FALSE(filter.wants(record_of("attempts", "1", R"({"id":"ev-2"})")));
  filter.ids = {"ev-2"};
  EXPECT_FALSE(filter.wants(parked_of("retry.5s")));
}

TEST(RecordView, SaysSpansAsPeopleDo) {
  EXPECT_EQ(span_words(milliseconds{0}), "0.0s");
  EXPECT_EQ(span_words(milliseconds{59'940}), "59.9s");
  EXPECT_EQ(span_words(milliseconds{61'000}), "1m 1s");
  EXPECT_EQ(span_words(milliseconds{7'500'000}), "2h 5m");
  EXPECT_EQ(span_words(std::chrono::hours{96}), "4d");
}

}  // namespace
}  // namespace eventrelay::cli
