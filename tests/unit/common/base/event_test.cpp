#include "common/base/event.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace eventrelay {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

WallTime at_ms(std::int64_t ms) {
  return WallTime{std::chrono::milliseconds{ms}};
}

Event full_event() {
  Event event;
  event.id = "0190163d-8694-739b-aea5-966c26f8ad91";
  event.provider_id = "eb0c4e06-751f-442c-86f8-fd5bb404dbec";
  event.element = "box";
  event.instance = InstanceId{427236};
  event.event_type = "CREATED";
  event.object_type = "file";
  event.object_id = "73835521473";
  event.date = "2016-07-11T10:10:33Z";
  event.received = at_ms(1'700'000'000'123);
  event.content_type = "application/json; charset=utf-8";
  event.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  event.tracestate = "vendor=1";
  event.body = R"({"id":"eb0c"})";
  return event;
}

Event parked_event() {
  Event event = full_event();
  event.parked = ParkedState{"427236/audit", 3, at_ms(1'700'000'300'000), at_ms(1'700'000'000'500),
                             "http_5xx"};
  return event;
}

Headers headers_of(const Event& event) {
  const RecordHeaders headers(event);
  Headers copy;
  for (const HeaderField& field : headers) copy.emplace_back(field.name, field.value);
  return copy;
}

// Reads `headers` with one of them replaced, or dropped when `value` is null.
Expected<Event, RecordError> read(const Headers& headers, std::string_view body = {}) {
  RecordReader reader;
  for (const auto& [name, value] : headers) reader.accept(name, value);
  return reader.finish(body);
}

Headers with(Headers headers, const std::string& name, const std::string& value) {
  for (auto& field : headers) {
    if (field.first == name) field.second = value;
  }
  return headers;
}

Headers without(Headers headers, const std::string& name) {
  std::erase_if(headers, [&](const auto& field) { return field.first == name; });
  return headers;
}

RecordError error_of(const Headers& headers) {
  const auto event = read(headers);
  EXPECT_FALSE(event.has_value());
  return event ? RecordError{} : event.error();
}

void expect_same(const Event& a, const Event& b) {
  for (const auto text :
       {&Event::id, &Event::provider_id, &Event::element, &Event::event_type, &Event::object_type,
        &Event::object_id, &Event::date, &Event::content_type, &Event::traceparent,
        &Event::tracestate, &Event::body}) {
    EXPECT_EQ(a.*text, b.*text);
  }
  EXPECT_EQ(a.instance, b.instance);
  EXPECT_EQ(a.received, b.received);
}

TEST(RecordHeaders, WritesTheDocumentedNamesAndForms) {
  const Headers expected{{"er-v", "1"},
                         {"er-id", "0190163d-8694-739b-aea5-966c26f8ad91"},
                         {"er-provider-id", "eb0c4e06-751f-442c-86f8-fd5bb404dbec"},
                         {"er-element", "box"},
                         {"er-instance", "427236"},
                         {"er-event-type", "CREATED"},
                         {"er-object-type", "file"},
                         {"er-object-id", "73835521473"},
                         {"er-date", "2016-07-11T10:10:33Z"},
                         {"er-received", "1700000000123"},
                         {"er-content-type", "application/json; charset=utf-8"},
                         {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
                         {"tracestate", "vendor=1"},
                         {"er-sub", "427236/audit"},
                         {"er-attempt", "3"},
                         {"er-due", "1700000300000"},
                         {"er-first-failure", "1700000000500"},
                         {"er-reason", "http_5xx"}};
  EXPECT_EQ(headers_of(parked_event()), expected);
}

TEST(RecordHeaders, SayOfADeadEventWhoFailed) {
  Event event = parked_event();
  event.parked->dead_class = kPipelineFailure;
  const Headers headers = headers_of(event);
  EXPECT_EQ(headers.back(), (Headers::value_type{"er-class", "pipeline"}));
  const auto back = read(headers);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->parked->dead_class, "pipeline");
}

TEST(RecordHeaders, OfARecordThatIsNoEventAreItsVersion) {
  const RecordHeaders headers;
  ASSERT_EQ(headers.size(), 1U);
  EXPECT_EQ(headers.begin()->name, "er-v");
  EXPECT_EQ(headers.begin()->value, "1");
}

TEST(RecordHeaders, LeavesOutWhatIsAbsent) {
  Event event;
  event.id = "a";
  event.element = "box";
  event.instance = InstanceId{1};
  const Headers expected{{"er-v", "1"},
                         {"er-id", "a"},
                         {"er-element", "box"},
                         {"er-instance", "1"},
                         {"er-received", "0"}};
  EXPECT_EQ(headers_of(event), expected);
}

TEST(RecordHeaders, LeavesOutOptionalTextThatCannotBeAHeader) {
  const std::string at_limit(kHeaderValueMax, 'x');
  const std::string over_limit(kHeaderValueMax + 1, 'x');
  Event event = full_event();
  event.object_id = at_limit;
  EXPECT_EQ(headers_of(event).size(), 13U);
  event.object_id = over_limit;
  EXPECT_EQ(headers_of(event), without(headers_of(full_event()), "er-object-id"));
  event.object_id = "caf\xC3\xA9";
  EXPECT_EQ(headers_of(event), without(headers_of(full_event()), "er-object-id"));
  event.object_id = "a\r\nb";
  EXPECT_EQ(headers_of(event), without(headers_of(full_event()), "er-object-id"));
}

TEST(RecordHeaders, HoldsTheLargestNumbers) {
  Event event = parked_event();
  event.instance = InstanceId{~std::uint64_t{0}};
  event.received = WallTime::max();
  event.parked->attempts_made = ~std::uint32_t{0};
  event.parked->due = WallTime::max();
  event.parked->first_failure = WallTime::max();
  const Headers headers = headers_of(event);
  const auto back = read(headers);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->instance, event.instance);
  EXPECT_EQ(back->received, event.received);
  EXPECT_EQ(back->parked->attempts_made, event.parked->attempts_made);
  EXPECT_EQ(back->parked->due, event.parked->due);
}

TEST(RecordHeaders, RefusesAnEventWithoutId) {
  Event event = full_event();
  event.id = {};
  EXPECT_DEATH(RecordHeaders{event}, "fits");
}

TEST(RecordReader, GivesBackWhatWasWritten) {
  const Event event = full_event();
  const Headers headers = headers_of(event);
  const auto back = read(headers, event.body);
  ASSERT_TRUE(back.has_value());
  expect_same(*back, event);
  EXPECT_FALSE(back->parked.has_value());
}

TEST(RecordReader, GivesBackAParkedEvent) {
  const Event event = parked_event();
  const Headers headers = headers_of(event);
  const auto back = read(headers, event.body);
  ASSERT_TRUE(back.has_value());
  expect_same(*back, event);
  ASSERT_TRUE(back->parked.has_value());
  EXPECT_EQ(back->parked->subscription, "427236/audit");
  EXPECT_EQ(back->parked->attempts_made, 3U);
  EXPECT_EQ(back->parked->due, event.parked->due);
  EXPECT_EQ(back->parked->first_failure, event.parked->first_failure);
  EXPECT_EQ(back->parked->reason, "http_5xx");
}

TEST(RecordReader, ReadsHeadersInAnyOrder) {
  const Event event = parked_event();
  Headers headers = headers_of(event);
  for (std::size_t turn = 0; turn < headers.size(); ++turn) {
    std::rotate(headers.begin(), headers.begin() + 1, headers.end());
    const auto back = read(headers, event.body);
    ASSERT_TRUE(back.has_value());
    expect_same(*back, event);
  }
  std::reverse(headers.begin(), headers.end());
  const auto back = read(headers, event.body);
  ASSERT_TRUE(back.has_value());
  expect_same(*back, event);
}

TEST(RecordReader, IgnoresUnknownNames) {
  Headers headers = headers_of(full_event());
  headers.insert(headers.begin() + 3, {"x-other", "\x01 anything"});
  headers.emplace_back("er-future", "");
  headers.emplace_back("", "x");
  EXPECT_TRUE(read(headers).has_value());
}

TEST(RecordReader, ReadsADeadRecordWithoutDueTime) {
  const Headers headers = without(headers_of(parked_event()), "er-due");
  const auto back = read(headers);
  ASSERT_TRUE(back.has_value());
  ASSERT_TRUE(back->parked.has_value());
  EXPECT_FALSE(back->parked->due.has_value());
}

TEST(RecordReader, TellsVersionFaultsApart) {
  const Headers headers = headers_of(full_event());
  EXPECT_EQ(error_of({}), RecordError::MissingVersion);
  EXPECT_EQ(error_of(without(headers, "er-v")), RecordError::MissingVersion);
  for (const char* version : {"2", "", "01", "1 ", "-1", "one"}) {
    EXPECT_EQ(error_of(with(headers, "er-v", version)), RecordError::UnknownVersion) << version;
  }
}

TEST(RecordReader, NamesAnUnknownVersionBeforeAnythingElse) {
  Headers headers = with(headers_of(full_event()), "er-v", "2");
  headers = with(headers, "er-instance", "abc");
  EXPECT_EQ(error_of(headers), RecordError::UnknownVersion);
  std::reverse(headers.begin(), headers.end());
  EXPECT_EQ(error_of(headers), RecordError::UnknownVersion);
}

TEST(RecordReader, RefusesEveryRepeatedHeader) {
  const Headers headers = headers_of(parked_event());
  for (const auto& field : headers) {
    Headers twice = headers;
    twice.push_back(field);
    EXPECT_EQ(error_of(twice), RecordError::BadField) << field.first;
  }
}

TEST(RecordReader, NeedsTheFieldsOfAnEvent) {
  const Headers headers = headers_of(full_event());
  for (const char* name : {"er-id", "er-element", "er-instance", "er-received"}) {
    EXPECT_EQ(error_of(without(headers, name)), RecordError::MissingField) << name;
  }
}

TEST(RecordReader, NeedsAllOfAParkedState) {
  const Headers headers = headers_of(parked_event());
  for (const char* name : {"er-sub", "er-attempt", "er-first-failure", "er-reason"}) {
    EXPECT_EQ(error_of(without(headers, name)), RecordError::MissingField) << name;
  }
  Headers only_due = headers_of(full_event());
  only_due.emplace_back("er-due", "1700000300000");
  EXPECT_EQ(error_of(only_due), RecordError::MissingField);
}

TEST(RecordReader, ReadsNumbersStrictly) {
  const Headers headers = headers_of(parked_event());
  const std::vector<std::string> names{"er-instance", "er-received", "er-attempt", "er-due",
                                       "er-first-failure"};
  const std::vector<std::string> values{"",    "-1", "+1",  " 1",  "1 ",  "0x1",
                                        "1.0", "01", "1e3", "abc", "1\n", "18446744073709551616"};
  for (const std::string& name : names) {
    for (const std::string& value : values) {
      EXPECT_EQ(error_of(with(headers, name, value)), RecordError::BadField)
          << name << " = " << value;
    }
  }
  EXPECT_EQ(error_of(with(headers, "er-attempt", "4294967296")), RecordError::BadField);
  EXPECT_EQ(error_of(with(headers, "er-due", "9223372036854775808")), RecordError::BadField);
  EXPECT_TRUE(read(with(headers, "er-attempt", "0")).has_value());
}

TEST(RecordReader, RefusesTextThatIsNoHeaderValue) {
  const Headers headers = headers_of(parked_event());
  const std::string over_limit(kHeaderValueMax + 1, 'x');
  for (const char* name : {"er-id", "er-provider-id", "er-element", "er-event-type", "er-sub",
                           "er-reason", "er-content-type", "traceparent"}) {
    for (const std::string& value :
         {std::string{}, over_limit, std::string{"a\r\nX-Evil: 1"}, std::string{"caf\xC3\xA9"}}) {
      EXPECT_EQ(error_of(with(headers, name, value)), RecordError::BadField) << name;
    }
  }
  EXPECT_TRUE(read(with(headers, "er-id", std::string(kHeaderValueMax, 'x'))).has_value());
}

TEST(RecordError, DescribesEachDifferently) {
  std::map<std::string_view, int> seen;
  for (const RecordError error : {RecordError::MissingVersion, RecordError::UnknownVersion,
                                  RecordError::MissingField, RecordError::BadField}) {
    EXPECT_EQ(++seen[describe(error)], 1);
  }
}

}  // namespace
}  // namespace eventrelay
