#include "common/providers/normalizer.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace eventrelay::providers {
namespace {

// A normaliser and the padded body that its views point into.
struct Case {
  explicit Case(std::string text) : size(text.size()), body(std::move(text)) {
    body.append(json::kPadding, '}');
  }
  [[nodiscard]] std::string_view view() const { return {body.data(), size}; }
  std::size_t size;
  std::string body;
  Normalizer normalizer;
};

const std::string kWhole = R"({"type":"webhook_event","id":"0f5b2a7e-7b1c-4b0e","created_at":)"
                           R"("2016-07-11T10:10:32-07:00","trigger":"FILE.UPLOADED","webhook":)"
                           R"({"id":"53","type":"webhook"},"created_by":{"type":"user","id":)"
                           R"("226067247"},"source":{"id":"73835521473","type":"file","parent":)"
                           R"({"type":"folder","id":"0"}},"additional_info":[]})";

TEST(BoxV2Normalizer, ReadsTheFieldsOfAnEvent) {
  Case run(kWhole);
  const auto event = run.normalizer.box_v2(run.view());
  ASSERT_TRUE(event);
  EXPECT_EQ(event->provider_id, "0f5b2a7e-7b1c-4b0e");
  EXPECT_EQ(event->event_type, "CREATED");
  EXPECT_EQ(event->object_type, "file");
  EXPECT_EQ(event->object_id, "73835521473");
  EXPECT_EQ(event->date, "2016-07-11T17:10:32Z");
}

// One member changed.
struct Row {
  std::string body;
  Normalised event;
};

TEST(BoxV2Normalizer, TakesWhatBoxMaySend) {
  const std::vector<Row> rows{
      {"{}", {"", "UNKNOWN", "", "", ""}},
      {R"({ "payload" : "test" })", {"", "UNKNOWN", "", "", ""}},
      {R"({"id":"1","trigger":"FOLDER.TRASHED","source":{"type":"folder","id":"2"},)"
       R"("additional_info":{"reason":"auto_cleanup"}})",
       {"1", "DELETED", "folder", "2", ""}},
      {R"({"id":12345,"source":{"type":"file","id":67}})", {"12345", "UNKNOWN", "file", "67", ""}},
      {R"({"id":null,"trigger":null,"source":null,"created_at":null})",
       {"", "UNKNOWN", "", "", ""}},
      {R"({"id":true,"trigger":7,"source":"file","created_at":5})", {"", "UNKNOWN", "", "", ""}},
      {R"({"id":{"x":1},"source":[{"id":"2"}]})", {"", "UNKNOWN", "", "", ""}},
      {R"({"id":"1","source":{}})", {"1", "UNKNOWN", "", "", ""}},
      {R"({"source":{"id":"2","type":"comm\u0065nt"},"\u0069d":"1"})",
       {"1", "UNKNOWN", "comment", "2", ""}},
      {R"({"id":"1","created_at":"yesterday"})", {"1", "UNKNOWN", "", "", ""}},
      {R"({"created_at":"2016-02-30T10:10:32Z"})", {"", "UNKNOWN", "", "", ""}},
      {R"({"created_at":"2016-12-31T23:30:00.500-01:00"})",
       {"", "UNKNOWN", "", "", "2017-01-01T00:30:00Z"}},
      {R"({"id":""})", {"", "UNKNOWN", "", "", ""}},
      {R"({"id":"caf\u00e9","source":{"id":"\u0000","type":"a\nb"}})",
       {"850f7dc43910ff890f8879c0ed26fe697c93a067ad93a7d50f466a7028a9bf4e", "UNKNOWN", "", "", ""}},
      {R"({"n":123456789012345678901234567890,"id":"1"})", {"1", "UNKNOWN", "", "", ""}},
      {R"({"webhook":{"id":"9"},"created_by":{"id":"8"},"id":"1",)"
       R"("source":{"owned_by":{"id":"7"},"id":"2"}})",
       {"1", "UNKNOWN", "", "2", ""}},
  };
  for (const Row& row : rows) {
    Case run(row.body);
    const auto event = run.normalizer.box_v2(run.view());
    ASSERT_TRUE(event) << row.body;
    EXPECT_EQ(event->provider_id, row.event.provider_id) << row.body;
    EXPECT_EQ(event->event_type, row.event.event_type) << row.body;
    EXPECT_EQ(event->object_type, row.event.object_type) << row.body;
    EXPECT_EQ(event->object_id, row.event.object_id) << row.body;
    EXPECT_EQ(event->date, row.event.date) << row.body;
  }
}

TEST(BoxV2Normalizer, RefusesEveryPrefixOfAnEvent) {
  for (std::size_t n = 0; n < kWhole.size(); ++n) {
    Case run(kWhole.substr(0, n));
    const auto event = run.normalizer.box_v2(run.view());
    ASSERT_FALSE(event) << n;
    EXPECT_EQ(event.error(), ProviderError::MalformedJson);
  }
}

TEST(BoxV2Normalizer, RefusesNastyDocuments) {
  const std::vector<std::string> rows{
      kWhole + kWhole,
      kWhole + " x",
      kWhole + "}",
      kWhole + ",",
      kWhole + std::string(1, '\0'),
      "[" + kWhole + "]",
      "[]",
      "\"text\"",
      "1",
      "null",
      "true",
      "",
      R"({"id":"1","id":"2"})",
      R"({"id":"1","\u0069d":"2"})",
      R"({"id":1,"id":1})",
      R"({"trigger":"a","trigger":"a"})",
      R"({"created_at":"a","created_at":"a"})",
      R"({"source":{"id":"1"},"source":{"id":"2"}})",
      R"({"source":{"id":"1","id":"2"}})",
      R"({"source":{"type":"1","typ\u0065":"2"}})",
      R"({"id":"1",})",
      R"({"id":"1" "x":2})",
      R"({"id":'1'})",
      R"({id:"1"})",
      R"({"id":"1)",
      "{\"id\":\"\xFF\"}",
      "{\"id\":\"a\nb\"}",
      R"({"id":"\x41"})",
      R"({"a":01})",
      R"({"a":+1})",
      R"({"a":1.})",
      R"({"a":.5})",
      R"({"a":1e})",
      R"({"a":-})",
      R"({"a":NaN})",
      R"({"a":Infinity})",
      R"({"a":tru})",
      R"({"a":nul})",
      R"({"a":[1,2})",
      R"({"a":{"b":1]})",
      R"({"a":[1,]})",
      R"({"a":1}/**/)",
      R"(//
{"a":1})",
      "{\"a\":123456789012345678901234567890x}",
  };
  ASSERT_GE(rows.size(), 30U);
  for (const std::string& body : rows) {
    Case run(body);
    const auto event = run.normalizer.box_v2(run.view());
    ASSERT_FALSE(event) << body.substr(0, 80);
    EXPECT_EQ(event.error(), ProviderError::MalformedJson) << body.substr(0, 80);
  }
}

TEST(BoxEventTypes, FollowTheLastWordOfTheTrigger) {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"FILE.UPLOADED", "CREATED"},
      {"FILE.COPIED", "CREATED"},
      {"FILE.RESTORED", "CREATED"},
      {"FOLDER.CREATED", "CREATED"},
      {"COMMENT.CREATED", "CREATED"},
      {"TASK_ASSIGNMENT.CREATED", "CREATED"},
      {"FILE.TRASHED", "DELETED"},
      {"FILE.DELETED", "DELETED"},
      {"COLLABORATION.REMOVED", "DELETED"},
      {"WEBHOOK.DELETED", "DELETED"},
      {"FILE.MOVED", "UPDATED"},
      {"FILE.RENAMED", "UPDATED"},
      {"FILE.LOCKED", "UPDATED"},
      {"FILE.UNLOCKED", "UPDATED"},
      {"METADATA_INSTANCE.UPDATED", "UPDATED"},
      {"COLLABORATION.ACCEPTED", "UPDATED"},
      {"COLLABORATION.REJECTED", "UPDATED"},
      {"SIGN_REQUEST.COMPLETED", "UPDATED"},
      {"SIGN_REQUEST.SIGNER_EMAIL_BOUNCED", "UPDATED"},
      {"SIGN_REQUEST.SIGN_SIGNER_SIGNED", "UPDATED"},
      {"TASK_ASSIGNMENT.UPDATED", "UPDATED"},
      {"DOCGEN_DOCUMENT_GENERATION_SUCCEEDED", "UPDATED"},
      {"FILE.PREVIEWED", "UNKNOWN"},
      {"FILE.DOWNLOADED", "UNKNOWN"},
      {"NO_ACTIVE_SESSION", "UNKNOWN"},
      {"", "UNKNOWN"},
      {"UPLOADED", "UNKNOWN"},
      {"FILE.uploaded", "UNKNOWN"},
      {"SIGN_REQUEST.", "UNKNOWN"},
      {"FUTURE.THING", "UNKNOWN"}};
  for (const auto& [trigger, type] : rows) EXPECT_EQ(box_event_type(trigger, ""), type) << trigger;
}

TEST(BoxEventTypes, AreOfTheItemOnlyWhereTheTriggerIs) {
  for (const char* item : {"file", "folder"}) {
    EXPECT_EQ(box_event_type("FILE.UPLOADED", item), "CREATED");
    EXPECT_EQ(box_event_type("FOLDER.DELETED", item), "DELETED");
    EXPECT_EQ(box_event_type("METADATA_INSTANCE.DELETED", item), "UPDATED");
    EXPECT_EQ(box_event_type("SHARED_LINK.CREATED", item), "UPDATED");
    EXPECT_EQ(box_event_type("COLLABORATION.REMOVED", item), "UPDATED");
    EXPECT_EQ(box_event_type("FILE.PREVIEWED", item), "UNKNOWN");
  }
  EXPECT_EQ(box_event_type("COMMENT.CREATED", "comment"), "CREATED");
  EXPECT_EQ(box_event_type("WEBHOOK.DELETED", ""), "DELETED");
}

TEST(BoxV2Normalizer, SaysThatADocumentIsTooDeep) {
  const auto nested = [](std::size_t levels) {
    return std::string(levels, '[') + std::string(levels, ']');
  };
  Case most(R"({"a":)" + nested(json::kDepthMax - 1) + "}");
  EXPECT_TRUE(most.normalizer.box_v2(most.view()));
  for (const std::size_t levels : {json::kDepthMax + 1, std::size_t{5000}}) {  // beside the object
    Case deep(R"({"a":)" + nested(levels) + "}");
    EXPECT_EQ(deep.normalizer.box_v2(deep.view()).error(), ProviderError::JsonTooDeep) << levels;
  }
}

TEST(BoxV2Normalizer, TakesAByteOrderMark) {
  Case run("\xEF\xBB\xBF" + kWhole);
  const auto event = run.normalizer.box_v2(run.view());
  ASSERT_TRUE(event);
  EXPECT_EQ(event->object_id, "73835521473");
}

TEST(BoxV2Normalizer, LeavesOutATextThatCanNotBeRepresented) {
  for (const char* text : {R"(cut \ud83d)", R"(\udc00)", R"(\ud83d\u0041)", R"(\ud83d\ud83d)"}) {
    Case run(R"({"id":"1","source":{"id":")" + std::string(text) + R"(","type":"file"}})");
    const auto event = run.normalizer.box_v2(run.view());
    ASSERT_TRUE(event) << text;
    EXPECT_EQ(event->object_id, "") << text;
    EXPECT_EQ(event->object_type, "file") << text;
  }
  Case pair(R"({"id":"1","a":"\ud83d\ude00","b":"\ud83d"})");
  EXPECT_TRUE(pair.normalizer.box_v2(pair.view()));
  Case broken(R"({"id":"\ud83d","a":"\x"})");
  EXPECT_FALSE(broken.normalizer.box_v2(broken.view()));
}

TEST(BoxV2Normalizer, GivesAnIdThatNoHeaderCanCarryTheSameHashEachTime) {
  std::set<std::string> ids;
  const std::string long_one(300, 'x');
  for (const std::string& id :
       {std::string(R"("\ud83d")"), std::string(R"("\ud83e")"), std::string(R"("caf\u00e9")"),
        "\"" + long_one + "\"", "\"" + long_one + "y\"", std::string("123456789012345678901234"),
        std::string("123456789012345678901235")}) {
    Case first(R"({"id":)" + id + "}");
    Case second(R"({ "id" : )" + id + "}");
    const auto one = first.normalizer.box_v2(first.view());
    const auto other = second.normalizer.box_v2(second.view());
    ASSERT_TRUE(one && other) << id;
    EXPECT_FALSE(one->provider_id.empty()) << id;
    EXPECT_EQ(one->provider_id, other->provider_id) << id;
    EXPECT_TRUE(ids.emplace(one->provider_id).second) << id;
  }
}

TEST(HeaderText, IsPrintableAsciiOfBoundedLength) {
  EXPECT_EQ(header_text("a b~"), "a b~");
  EXPECT_EQ(header_text(std::string(kFieldMax, 'x')).size(), kFieldMax);
  EXPECT_EQ(header_text(std::string(kFieldMax + 1, 'x')), "");
  EXPECT_EQ(header_text("caf\xC3\xA9"), "");
  EXPECT_EQ(header_text("a\r\nX: y"), "");
  EXPECT_EQ(header_text("\x7f"), "");
}

}  // namespace
}  // namespace eventrelay::providers
