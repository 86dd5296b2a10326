// The normal form of every element: bodies as their providers publish them, shortened.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "common/base/crypto.hpp"
#include "common/providers/normalizer.hpp"
#include "common/providers/provider.hpp"

namespace eventrelay::providers {
namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

// A body read by the rules of one element. Thread: value.
class Body {
 public:
  Body(std::string_view element, std::string text, Lines lines = {}, bool form = false)
      : text_(std::move(text)), lines_(std::move(lines)) {
    for (const auto& [name, value] : lines_) head_.add(name, value);
    const std::size_t size = text_.size();
    text_.append(json::kPadding, '}');
    const Input input{
        .head = &head_, .body = std::string_view(text_).substr(0, size), .form = form};
    count = normalizer.read(find_provider(element)->rules, input);
  }
  // event type, object type, object id, date and route, with blanks between them.
  std::string fields(std::size_t index = 0) {
    const auto object = normalizer.object(index);
    if (!object) return "error";
    std::string all;
    for (const std::string_view one : {object->event_type, object->object_type, object->object_id,
                                       object->date, object->route}) {
      all.append(all.empty() ? "" : " ").append(one.empty() ? "-" : one);
    }
    return all;
  }
  std::string id() const { return std::string(normalizer.provider_id()); }

  Normalizer normalizer;
  Expected<std::size_t, ProviderError> count{0};

 private:
  std::string text_;
  Lines lines_;
  IncomingHead head_;
};

TEST(Rules, ReadGithub) {
  const Lines issues{{"X-GitHub-Event", "issues"}, {"X-GitHub-Delivery", "72d3162e"}};
  Body issue("github",
             R"({"action":"opened","issue":{"id":73464126},"repository":{"id":35129377},)"
             R"("installation":{"id":5}})",
             issues);
  EXPECT_EQ(issue.fields(), "CREATED issues 73464126 - 5");
  EXPECT_EQ(issue.id(), "72d3162e");
  Body star("github", R"({"action":"deleted","repository":{"id":35129377}})",
            {{"X-GitHub-Event", "star"}});
  EXPECT_EQ(star.fields(), "DELETED star 35129377 - -");
  Body named("github", R"({"action":"labeled","pull_request":{"id":7},"repository":{"id":1}})",
             {{"X-GitHub-Event", "pull_request"}});
  EXPECT_EQ(named.fields(), "UPDATED pull_request 7 - -");
  Body deployment("github", R"({"deployment":{"id":9},"repository":{"id":1}})",
                  {{"X-GitHub-Event", "deployment"}});
  EXPECT_EQ(deployment.fields(), "UNKNOWN deployment 9 - -");
  const auto push = [](const std::string& flags) {
    Body body("github", "{" + flags + R"("repository":{"id":1}})", {{"X-GitHub-Event", "push"}});
    return body.fields();
  };
  EXPECT_EQ(push(R"("created":true,"deleted":false,)"), "CREATED push 1 - -");
  EXPECT_EQ(push(R"("created":false,"deleted":true,)"), "DELETED push 1 - -");
  EXPECT_EQ(push(R"("created":false,"deleted":false,)"), "UPDATED push 1 - -");
  EXPECT_EQ(push(""), "UPDATED push 1 - -");
}

TEST(Rules, ReadGithubsForm) {
  Body body("github",
            "payload=%7B%22action%22%3A%22closed%22%2C%22issue%22%3A%7B%22id%22%3A7%7D%7D",
            {{"X-GitHub-Event", "issues"}}, true);
  ASSERT_TRUE(body.count);
  EXPECT_EQ(body.fields(), "UPDATED issues 7 - -");
  for (const char* text : {"payload=%EF%BB%BF%7B%7D", "a=b&payload=%7B%7D", "payload=%7B%7D&"}) {
    EXPECT_TRUE(Body("github", text, {{"X-GitHub-Event", "ping"}}, true).count) << text;
  }
  Body none("github", "other=1", {}, true);
  EXPECT_EQ(none.count.error(), ProviderError::MalformedRequest);
  Body broken("github", "payload=%7B", {}, true);
  EXPECT_EQ(broken.count.error(), ProviderError::MalformedJson);
}

TEST(Rules, ReadStripe) {
  Body body("stripe",
            R"({"id":"evt_123","object":"event","account":"acct_1","created":1533204620,)"
            R"("data":{"object":{"id":"ch_123","object":"charge"}},"type":"charge.updated"})");
  EXPECT_EQ(body.fields(), "UPDATED charge ch_123 2018-08-02T10:10:20Z acct_1");
  EXPECT_EQ(body.id(), "evt_123");
  Body made("stripe", R"({"type":"customer.subscription.created"})");
  EXPECT_EQ(made.fields(), "CREATED - - - -");
}

TEST(Rules, ReadShopify) {
  const std::string text = R"({"id":820982911946154508,"updated_at":"2021-12-31T19:00:00-05:00"})";
  Body body("shopify", text,
            {{"X-Shopify-Topic", "orders/create"},
             {"X-Shopify-Shop-Domain", "a.myshopify.com"},
             {"X-Shopify-Event-Id", "98880550"},
             {"X-Shopify-Webhook-Id", "b54557e4"}});
  EXPECT_EQ(body.fields(),
            "CREATED orders 820982911946154508 2022-01-01T00:00:00Z a.myshopify.com");
  EXPECT_EQ(body.id(), "98880550");
  Body older("shopify", text,
             {{"X-Shopify-Topic", "orders/delete"}, {"X-Shopify-Webhook-Id", "b54557e4"}});
  EXPECT_EQ(older.fields(), "DELETED orders 820982911946154508 2022-01-01T00:00:00Z -");
  EXPECT_EQ(older.id(), "b54557e4");
  Body app("shopify", "{}", {{"X-Shopify-Topic", "app/uninstalled"}});
  EXPECT_EQ(app.fields(), "UPDATED app - - -");
}

TEST(Rules, ReadSlack) {
  Body body("slack",
            R"({"team_id":"T1","event":{"type":"reaction_added","item":{"ts":"1464196127.000002"},)"
            R"("ts":"2"},"event_id":"Ev9UQ52YNA","event_time":1234567890})");
  EXPECT_EQ(body.fields(), "CREATED reaction 1464196127.000002 2009-02-13T23:31:30Z T1");
  EXPECT_EQ(body.id(), "Ev9UQ52YNA");
  Body file("slack", R"({"event":{"type":"file_deleted","file_id":"F1","ts":"2"}})");
  EXPECT_EQ(file.fields(), "DELETED file F1 - -");
  Body message("slack", R"({"event":{"type":"message","ts":"3"}})");
  EXPECT_EQ(message.fields(), "UNKNOWN message 3 - -");
}

TEST(Rules, ReadZendesk) {
  Body body("zendesk",
            R"({"account_id":22129848,"id":"2b24ec98","time":"2022-09-12T19:29:45Z",)"
            R"("type":"zen:event-type:user.role_changed","detail":{"id":"6596848315901"}})");
  EXPECT_EQ(body.fields(), "UPDATED user 6596848315901 2022-09-12T19:29:45Z 22129848");
  EXPECT_EQ(body.id(), "2b24ec98");
}

TEST(Rules, ReadHubspotObjectByObject) {
  const std::string first =
      R"({"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,)"
      R"("subscriptionType":"contact.creation","attemptNumber":0,"objectId":123})";
  const std::string second =
      R"({"eventId":2,"subscriptionId":12346,"portalId":62516,"occurredAt":1564113600001,)"
      R"("subscriptionType":"company.propertyChange","attemptNumber":0,"objectId":124})";
  Body body("hubspot", "[" + first + "," + second + "]");
  ASSERT_EQ(body.count.value(), 2U);
  EXPECT_EQ(body.fields(0), "CREATED contact 123 2019-07-26T04:00:00Z 62515");
  EXPECT_EQ(body.fields(1), "UPDATED company 124 2019-07-26T04:00:00Z 62516");
  EXPECT_EQ(body.id().size(), 64U);
  Body again("hubspot", "[ " + first + ", " + second + "]");
  EXPECT_EQ(again.id(), body.id()) << "the same events";
  Body attempt("hubspot", "[" + first + "]");
  EXPECT_NE(attempt.id(), body.id());
  Body retried("hubspot",
               R"([{"attemptNumber":3,"eventId":1,"subscriptionId":12345,"portalId":62515,)"
               R"("occurredAt":1564113600000,"subscriptionType":"contact.creation",)"
               R"("objectId":123}])");
  EXPECT_EQ(retried.id(), attempt.id()) << "HubSpot counts its attempts in the body";
  Body gone("hubspot", R"([{"subscriptionType":"deal.deletion","objectId":"d"}])");
  EXPECT_EQ(gone.fields(), "DELETED deal d - -");
}

TEST(Rules, GiveNoIdWhereTheEventsOwnPartOfItIsMissing) {
  // Two such events would else be told apart by nothing, and one of them would be folded.
  for (const char* id : {"", R"("eventId":null,)", R"("eventId":1.5,)", R"("eventId":{},)"}) {
    Body body("hubspot", std::string("[{") + id + R"("subscriptionId":1,"objectId":2}])");
    EXPECT_EQ(body.id(), "") << id;
  }
  Body second("hubspot", R"([{"eventId":1,"objectId":2},{"eventId":null,"objectId":2}])");
  EXPECT_EQ(second.id(), "");
  for (const char* id : {"", R"("id":null,)", R"("id":[],)"}) {
    Body body("cloudevents", std::string("{") + id + R"("source":"/shop","type":"a.b"})");
    EXPECT_EQ(body.id(), "") << id;
  }
  Body twilio("twilio", "SmsStatus=received&AccountSid=AC1");
  EXPECT_EQ(twilio.id(), "");
}

TEST(Rules, ReadDropbox) {
  Body both("dropbox", R"({"list_folder":{"accounts":["dbid:A","dbid:B"]},"delta":{"users":[1]}})");
  ASSERT_EQ(both.count.value(), 2U);
  EXPECT_EQ(both.fields(0), "UPDATED account dbid:A - dbid:A");
  EXPECT_EQ(both.fields(1), "UPDATED account dbid:B - dbid:B");
  EXPECT_EQ(both.id(), "");
  Body old("dropbox", R"({"delta": {"users": [12345]}})");
  EXPECT_EQ(old.fields(), "UPDATED account 12345 - 12345");
}

TEST(Rules, ReadMeta) {
  const std::string text = R"({"object":"page","entry":[{"id":"0","time":1458692752}]})";
  Body body("meta", text);
  EXPECT_EQ(body.fields(), "UPDATED page 0 2016-03-23T00:25:52Z 0");
  EXPECT_EQ(body.id(), crypto::hex(crypto::sha256(text).view()));
}

TEST(Rules, ReadMicrosoftGraph) {
  const std::string text =
      R"({"value":[{"subscriptionId":"7f105c7d","clientState":"s","changeType":"deleted",)"
      R"("resourceData":{"@odata.type":"#Microsoft.Graph.Message","id":"AAMk"}},)"
      R"({"subscriptionId":"7f105c7d","changeType":"updated","resourceData":{}}]})";
  Body body("microsoftgraph", text);
  ASSERT_EQ(body.count.value(), 2U);
  EXPECT_EQ(body.fields(0), "DELETED message AAMk - 7f105c7d");
  EXPECT_EQ(body.fields(1), "UPDATED - - - 7f105c7d");
  EXPECT_EQ(body.id(), crypto::hex(crypto::sha256(text).view()));
}

TEST(Rules, ReadTwiliosForm) {
  const auto form = [](const std::string& text) { return Body("twilio", text, {}, true); };
  Body message = form("MessageSid=SM1&AccountSid=AC1&MessageStatus=sent&Body=a+b");
  EXPECT_EQ(message.fields(), "UPDATED message SM1 - AC1");
  EXPECT_NE(form("MessageSid=SM1&MessageStatus=delivered").id(), message.id());
  EXPECT_EQ(form("MessageStatus=sent&MessageSid=SM1").id(), message.id());
  Body sms = form("SmsSid=SM2&SmsStatus=received");
  EXPECT_EQ(sms.fields(), "UPDATED message SM2 - -");
  Body call = form("CallSid=CA1&CallStatus=ringing");
  EXPECT_EQ(call.fields(), "UPDATED call CA1 - -");
  EXPECT_EQ(form("Body=x").id(), "");
  EXPECT_EQ(form("a=%zz").count.error(), ProviderError::MalformedRequest);
}

TEST(Rules, ReadStandardAndSvix) {
  const std::string text = R"({"type":"contact.list.created","timestamp":)"
                           R"("2022-11-03T20:26:10.344522Z","data":{"id":"1f81eb52"}})";
  Body standard("standard", text, {{"webhook-id", "msg_1"}});
  EXPECT_EQ(standard.fields(), "CREATED contact.list 1f81eb52 2022-11-03T20:26:10Z -");
  EXPECT_EQ(standard.id(), "msg_1");
  Body svix("svix", text, {{"svix-id", "msg_2"}});
  EXPECT_EQ(svix.fields(), "CREATED contact.list 1f81eb52 2022-11-03T20:26:10Z -");
  EXPECT_EQ(svix.id(), "msg_2");
  Body word("standard", R"({"type":"ping"})");
  EXPECT_EQ(word.fields(), "UNKNOWN ping - - -");
}

TEST(Rules, ReadElementsAsTheyStand) {
  Body body("elements",
            R"({"message":{"instanceId":427236,"events":[{"objectId":"7","objectType":"file",)"
            R"("eventType":"MOVED","date":"2016-07-11T17:10:32Z"}]}})",
            {{"Elements-Webhook-Id", "e1"}});
  EXPECT_EQ(body.fields(), "MOVED file 7 2016-07-11T17:10:32Z 427236");
  EXPECT_EQ(body.id(), "e1");
}

TEST(Rules, ReadCloudEventsInBothModes) {
  Body structured("cloudevents",
                  R"({"specversion":"1.0","type":"com.example.object.deleted","source":"/shop",)"
                  R"("id":"A234-1234-1234","time":"2018-04-05T17:31:00Z","subject":"123"})");
  EXPECT_EQ(structured.fields(), "DELETED com.example.object 123 2018-04-05T17:31:00Z /shop");
  Body binary("cloudevents", R"({"type":"not.this","subject":"nor this"})",
              {{"ce-specversion", "1.0"},
               {"ce-type", "com.example.object.deleted"},
               {"ce-source", "/shop"},
               {"ce-id", "A234-1234-1234"},
               {"ce-time", "2018-04-05T17:31:00Z"},
               {"ce-subject", "123"}});
  EXPECT_EQ(binary.fields(), structured.fields());
  EXPECT_EQ(binary.id(), structured.id());
  EXPECT_EQ(structured.id().size(), 64U);
}

TEST(Rules, CompareTheTypeWordWithoutCase) {
  for (const char* word :
       {"create", "Created", "CREATION", "add", "added", "upload", "uploaded", "open", "opened",
        "publish", "published", "new", "copy", "copied", "restore", "restored", "undelete"}) {
    EXPECT_EQ(event_type_of(word), "CREATED") << word;
  }
  for (const char* word : {"delete", "DELETED", "deletion", "remove", "removed", "trash", "trashed",
                           "destroy", "destroyed"}) {
    EXPECT_EQ(event_type_of(word), "DELETED") << word;
  }
  EXPECT_EQ(event_type_of(""), "UNKNOWN");
  EXPECT_EQ(event_type_of("creates"), "UPDATED");
}

TEST(Rules, LeaveOutWhatIsNotThereOrCanNotBeRead) {
  Body empty("stripe", "{}");
  EXPECT_EQ(empty.fields(), "UNKNOWN - - - -");
  EXPECT_EQ(empty.id(), "");
  Body odd("stripe", R"({"id":[],"created":"soon","data":[1],"type":7})");
  EXPECT_EQ(odd.fields(), "UNKNOWN - - - -");
  Body far("meta", R"({"entry":[{"id":1,"time":999999999999}]})");
  EXPECT_EQ(far.fields(), "UPDATED - 1 - 1") << "a year of five digits";
  Body no_list("hubspot", R"({"objectId":1})");
  EXPECT_EQ(no_list.count.value(), 1U);
  Body twice("stripe", R"({"id":"a","id":"b"})");
  EXPECT_EQ(twice.count.error(), ProviderError::MalformedJson);
}

TEST(Rules, HoldAtMost5000Objects) {
  const auto many = [](std::size_t count) {
    std::string text = "[";
    for (std::size_t i = 0; i < count; ++i) text += (i == 0 ? "{}" : ",{}");
    return Body("hubspot", text + "]").count;
  };
  EXPECT_EQ(many(kObjectsMax).value(), kObjectsMax);
  EXPECT_EQ(many(kObjectsMax + 1).error(), ProviderError::TooManyObjects);
}

TEST(Rules, ReadEverySample) {
  for (const Provider& row : providers()) {
    if (row.form == NormalForm::Box) continue;
    const bool form = row.sample_type != "application/json" && row.sample.front() != '{';
    Lines lines;
    if (!row.sample_field.name.empty()) {
      lines.emplace_back(row.sample_field.name, row.sample_field.value);
    }
    Body body(row.key, sample_body(row, 1, 2), lines, form);
    ASSERT_TRUE(body.count) << row.key;
    const auto object = body.normalizer.object(0);
    ASSERT_TRUE(object) << row.key;
    EXPECT_FALSE(object->object_type.empty()) << row.key;
    EXPECT_FALSE(object->object_id.empty()) << row.key;
    EXPECT_NE(object->event_type, "UNKNOWN") << row.key;
  }
}

}  // namespace
}  // namespace eventrelay::providers
