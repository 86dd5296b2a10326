#include "relay/request/format.hpp"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <random>
#include <set>

namespace eventrelay::relay {
namespace {

namespace dom = simdjson::dom;

constexpr WallTime kReceived{std::chrono::milliseconds{1'468'257'032'999}};

class FormatTest : public ::testing::Test {
 protected:
  FormatTest() {
    instance.id = InstanceId{427236};
    instance.name = "docs";
    instance.element = "box";
    instance.hub = "documents";
    event.id = "53e6a1";
    event.element = "box";
    event.event_type = "CREATED";
    event.object_type = "file";
    event.object_id = "73835521473";
    event.date = "2016-07-11T17:10:32Z";
    event.received = kReceived;
    event.content_type = "application/json";
    event.body = R"({"type":"webhook_event"})";
  }

  std::string text_of(Format format) {
    const Formatter formatter(format, instance);
    const Body body = formatter.body(event, buffer_);
    std::string whole;
    whole.append(body.prefix).append(body.raw).append(body.suffix);
    EXPECT_EQ(whole.size(), body.size());
    return whole;
  }

  dom::element parsed(Format format) {
    whole_ = text_of(format);
    dom::element element;
    const auto error = parser_.parse(whole_).get(element);
    EXPECT_EQ(error, simdjson::SUCCESS) << whole_;
    return element;
  }

  Instance instance;
  Event event;

 private:
  std::string buffer_;
  std::string whole_;
  dom::parser parser_;
};

std::string_view string_at(dom::element element, std::string_view path) {
  std::string_view text = "(absent)";
  EXPECT_EQ(element.at_pointer(path).get(text), simdjson::SUCCESS) << path;
  return text;
}

bool has(dom::element element, std::string_view path) {
  return element.at_pointer(path).error() == simdjson::SUCCESS;
}

TEST_F(FormatTest, WritesTheNotificationToTheByte) {
  const std::string id = std::to_string(notification_id("53e6a1"));
  EXPECT_EQ(
      text_of(Format::Elements),
      R"({"id":)" + id +
          R"(,"topic":"instance-427236-box-events","severity":"low",)"
          R"("createdDate":"2016-07-11T17:10:32Z","message":{"raw":{"type":"webhook_event"},)"
          R"("elementKey":"box","eventId":"53e6a1","instanceId":427236,"instanceName":"docs",)"
          R"("events":[{"objectId":"73835521473","objectType":"file","eventType":"CREATED",)"
          R"("elementKey":"box","hubKey":"documents","date":"2016-07-11T17:10:32Z"}]}})");
}

TEST_F(FormatTest, SplicesTheRawBytesInWithoutACopy) {
  event.body = "{ \"a\" :\t1.0e2 , \"b\":\"\\u0041\" }\n";
  const Formatter formatter(Format::Elements, instance);
  std::string buffer;
  const Body body = formatter.body(event, buffer);
  EXPECT_EQ(body.raw.data(), event.body.data());
  EXPECT_EQ(body.raw.size(), event.body.size());
}

TEST_F(FormatTest, SurvivesEveryFieldFromAStranger) {
  const std::string nasty = "\"}],\\ \n\r\t\b\x01\x1F\x7F</script> \xE2\x80\xA8 \xF0\x9F\x98\x80";
  instance.name = nasty;
  event.id = event.object_id = event.object_type = event.event_type = event.date = nasty;
  const dom::element root = parsed(Format::Elements);
  EXPECT_EQ(string_at(root, "/message/instanceName"), nasty);
  EXPECT_EQ(string_at(root, "/message/eventId"), nasty);
  for (const std::string_view key : {"objectId", "objectType", "eventType", "date"}) {
    EXPECT_EQ(string_at(root, "/message/events/0/" + std::string(key)), nasty);
  }
  EXPECT_EQ(string_at(root, "/topic"), "instance-427236-box-events");
}

TEST_F(FormatTest, ReplacesWhatIsNotUtf8) {
  struct Row {
    std::string_view bytes;
    std::string_view text;
  };
  constexpr std::string_view kBad = "\xEF\xBF\xBD";
  const Row rows[] = {{"a\xFFz", "a\xEF\xBF\xBDz"},
                      {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"},
                      {"\xC3", kBad},
                      {"\xE2\x82", "\xEF\xBF\xBD\xEF\xBF\xBD"},
                      {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
                      {"\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
                      {"\xC3\xA9", "\xC3\xA9"},
                      {"\xF4\x8F\xBF\xBF", "\xF4\x8F\xBF\xBF"}};
  for (const Row& row : rows) {
    event.object_id = row.bytes;
    EXPECT_EQ(string_at(parsed(Format::Elements), "/message/events/0/objectId"), row.text);
  }
}

TEST_F(FormatTest, StaysJsonOverRandomBytesInEveryField) {
  std::mt19937_64 random(20'260'301);
  const auto junk = [&random] {
    std::string text;
    for (std::size_t n = random() % 24; n > 0; --n)
      text.push_back(static_cast<char>(random() % 256));
    return text;
  };
  for (int i = 0; i < 20'000; ++i) {
    const std::string fields[] = {junk(), junk(), junk(), junk(), junk(), junk()};
    instance.name = fields[0];
    event.id = fields[1];
    event.object_id = fields[2];
    event.event_type = fields[3];
    event.date = fields[4];
    event.body = fields[5];
    event.content_type = i % 2 == 0 ? "application/x-www-form-urlencoded" : "text/plain";
    // Ingest accepts such a body only when it is JSON.
    const std::size_t start = event.body.find_first_not_of(" \t\r\n");
    if (start != std::string_view::npos && (event.body[start] == '{' || event.body[start] == '['))
      continue;
    (void)parsed(i % 3 == 0 ? Format::CloudEvents : Format::Elements);
    ASSERT_FALSE(HasFailure()) << i;
  }
}

TEST_F(FormatTest, LeavesOutWhatIsNotKnown) {
  event.object_id = {};
  event.object_type = {};
  event.event_type = {};
  event.date = {};
  const dom::element root = parsed(Format::Elements);
  EXPECT_FALSE(has(root, "/message/events/0/objectId"));
  EXPECT_FALSE(has(root, "/message/events/0/objectType"));
  EXPECT_FALSE(has(root, "/message/events/0/eventType"));
  EXPECT_FALSE(has(root, "/message/accountId"));
  EXPECT_FALSE(has(root, "/message/companyId"));
  EXPECT_FALSE(has(root, "/message/userId"));
  EXPECT_EQ(string_at(root, "/message/events/0/date"), "2016-07-11T17:10:32Z");
  EXPECT_EQ(string_at(root, "/message/events/0/hubKey"), "documents");
  for (int known = 0; known < 3; ++known) {
    event.object_id = known == 0 ? "1" : "";
    event.object_type = known == 1 ? "file" : "";
    event.event_type = known == 2 ? "CREATED" : "";
    (void)parsed(Format::Elements);
  }
}

TEST_F(FormatTest, TurnsAFormIntoAnObjectOfItsParameters) {
  event.content_type = "Application/X-WWW-Form-Urlencoded; charset=utf-8";
  event.body = R"(userId=["226067247"]&event=uploaded&itemId=1%2B2&itemType=file&newItemId=&n=a+b)";
  const dom::element root = parsed(Format::Elements);
  EXPECT_EQ(string_at(root, "/message/raw/userId"), R"(["226067247"])");
  EXPECT_EQ(string_at(root, "/message/raw/event"), "uploaded");
  EXPECT_EQ(string_at(root, "/message/raw/itemId"), "1+2");
  EXPECT_EQ(string_at(root, "/message/raw/newItemId"), "");
  EXPECT_EQ(string_at(root, "/message/raw/n"), "a b");
}

std::string form(std::string_view text) {
  std::string out;
  EXPECT_TRUE(append_form_as_json(text, out));
  return out;
}

TEST(FormAsJson, LeavesTheSharedTokenOutHoweverItIsWritten) {
  EXPECT_EQ(form("a=1&token=planted&b=2"), R"({"a":"1","b":"2"})");
  EXPECT_EQ(form("%74oken=planted&to%6ben=planted"), "{}");
  EXPECT_EQ(form("tokens=3"), R"({"tokens":"3"})");
}

TEST(Form, ReadsEachRow) {
  EXPECT_EQ(form(""), "{}");
  EXPECT_EQ(form("&&"), "{}");
  EXPECT_EQ(form("a"), R"({"a":""})");
  EXPECT_EQ(form("a="), R"({"a":""})");
  EXPECT_EQ(form("=b"), R"({"":"b"})");
  EXPECT_EQ(form("a=b=c"), R"({"a":"b=c"})");
  EXPECT_EQ(form("a=1&b=2&"), R"({"a":"1","b":"2"})");
  EXPECT_EQ(form("a=1&b=2&a=3&%61=4"), R"({"a":["1","3","4"],"b":"2"})");
  EXPECT_EQ(form("a=%"), R"({"a":"%"})");
  EXPECT_EQ(form("a=%4"), R"({"a":"%4"})");
  EXPECT_EQ(form("a=%zz"), R"({"a":"%zz"})");
  EXPECT_EQ(form("a=%22%5C%0A"), R"({"a":"\"\\\n"})");
  EXPECT_EQ(form("a=%C3%A9"), "{\"a\":\"\xC3\xA9\"}");
  EXPECT_EQ(form("a=%FF"), "{\"a\":\"\xEF\xBF\xBD\"}");
  EXPECT_EQ(form("a=%00"), R"({"a":"\u0000"})");
}

TEST(Form, RefusesOverItsParametersAtLimit) {
  std::string text;
  for (int i = 0; i < 256; ++i) text += "k" + std::to_string(i) + "=v&";
  std::string out;
  EXPECT_TRUE(append_form_as_json(text, out));
  out.clear();
  EXPECT_FALSE(append_form_as_json(text + "last=1", out));
  EXPECT_EQ(out, "");
}

TEST_F(FormatTest, SendsAFormOverItsBoundAsAString) {
  event.content_type = "application/x-www-form-urlencoded";
  std::string many;
  for (int i = 0; i < 300; ++i) many += "k=v&";
  event.body = many;
  EXPECT_EQ(string_at(parsed(Format::Elements), "/message/raw"), many);
}

TEST_F(FormatTest, PutsABodyWithAByteOrderMarkInWithoutIt) {
  event.body = "\xEF\xBB\xBF{\"a\":1}";
  event.content_type = "application/json";
  EXPECT_NE(text_of(Format::Elements).find(R"("raw":{"a":1},)"), std::string::npos);
  EXPECT_EQ(text_of(Format::Raw), event.body) << "the provider's bytes";
}

TEST_F(FormatTest, SendsABodyThatIsNotJsonByItsTypeAsAString) {
  event.body = "{not json";
  event.content_type = "text/plain";
  EXPECT_EQ(string_at(parsed(Format::Elements), "/message/raw"), event.body);
}

TEST_F(FormatTest, SendsTheProvidersBytesAsTheyAre) {
  event.body = std::string_view("\0\xFF not json", 11);
  event.content_type = "text/weird";
  EXPECT_EQ(text_of(Format::Raw), event.body);
  EXPECT_EQ(Formatter(Format::Raw, instance).content_type(event), "text/weird");
  event.content_type = "a\r\nX: y";
  EXPECT_EQ(Formatter(Format::Raw, instance).content_type(event), "application/octet-stream");
}

TEST_F(FormatTest, WritesAStructuredCloudEvent) {
  const dom::element root = parsed(Format::CloudEvents);
  EXPECT_EQ(string_at(root, "/specversion"), "1.0");
  EXPECT_EQ(string_at(root, "/id"), "53e6a1");
  EXPECT_EQ(string_at(root, "/source"), "/elements/box/instances/427236");
  EXPECT_EQ(string_at(root, "/type"), "eventrelay.box.file.created");
  EXPECT_EQ(string_at(root, "/time"), "2016-07-11T17:10:32Z");
  EXPECT_EQ(string_at(root, "/subject"), "73835521473");
  EXPECT_EQ(string_at(root, "/data/type"), "webhook_event");
}

TEST_F(FormatTest, WritesABinaryCloudEventIntoTheHead) {
  const Formatter formatter(Format::CloudEventsBinary, instance);
  std::string head;
  formatter.append_fields(event, head);
  EXPECT_EQ(head,
            "ce-specversion: 1.0\r\nce-id: 53e6a1\r\nce-source: /elements/box/instances/427236\r\n"
            "ce-type: eventrelay.box.file.created\r\nce-time: 2016-07-11T17:10:32Z\r\n"
            "ce-subject: 73835521473\r\n");
  EXPECT_EQ(text_of(Format::CloudEventsBinary), event.body);
}

TEST(NotificationId, IsTheSameForTheSameEventAndFitsADouble) {
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 100'000; ++i) {
    const std::string id = "event-" + std::to_string(i);
    const std::uint64_t number = notification_id(id);
    EXPECT_EQ(number, notification_id(id));
    EXPECT_GE(number, 1U);
    EXPECT_LT(number, std::uint64_t{1} << 53U);
    seen.insert(number);
  }
  EXPECT_EQ(seen.size(), 100'000U);
}

}  // namespace
}  // namespace eventrelay::relay
