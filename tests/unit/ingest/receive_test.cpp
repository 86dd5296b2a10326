// The whole ingest policy: sentences of one request and what comes of it.
#include "ingest/receive.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "common/providers/scheme.hpp"

namespace eventrelay::ingest {
namespace {

constexpr std::string_view kStamp = "2020-01-01T00:00:00-07:00";
const WallTime kNow = *providers::parse_stamp(providers::Stamp::Rfc3339, "2020-01-01T07:00:30Z");
constexpr std::string_view kJson = "application/json; charset=utf-8";
constexpr std::string_view kForm = "application/x-www-form-urlencoded";
const std::string kBody = R"({"type":"webhook_event","id":"evt_1","created_at":)"
                          R"("2016-07-11T10:10:32-07:00","trigger":"FILE.UPLOADED",)"
                          R"("source":{"id":"73","type":"file"},"additional_info":[]})";

InstanceConfig instance(std::uint64_t id, const std::string& element, const std::string& user = {},
                        bool enabled = true) {
  InstanceConfig config;
  config.id = id;
  config.element = element;
  config.oauth_user_id = user;
  config.events_enabled = enabled;
  config.callback_url = "https://callback.example/" + std::to_string(id);
  return config;
}

Config config_of(std::vector<InstanceConfig> instances) {
  Config config;
  config.instances = std::move(instances);
  SourceConfig& box = config.sources["box"];
  box.keys = {Secret("SamplePrimaryKey"), Secret("SampleSecondaryKey")};
  box.v1_enabled = true;
  box.v1_token = Secret("shared");
  config.sources["github"].keys = {Secret("mysecret")};
  config.sources["slack"].keys = {Secret("slackkey")};
  return config;
}

// A receiver and one request after the other. Thread: value.
class Ingest {
 public:
  explicit Ingest(Config config)
      : receiver_([&config] {
          Registry registry(config);
          return std::make_shared<const Settings>(Settings{std::move(config), std::move(registry)});
        }()) {}

  // Writes a request with a Box V2 signature over `body`.
  Ingest& box(const std::string& path, const std::string& body = kBody) {
    start(Method::Post, path, kJson, body);
    return sign("box-v2", {Secret("SamplePrimaryKey")}, kStamp);
  }
  Ingest& start(Method method, const std::string& path, std::string_view type, std::string body) {
    head_ = IncomingHead{};
    lines_.clear();
    target_ = "/elements/api-v2/events" + path;
    head_.method = method;
    head_.target = target_;
    head_.content_type = type;
    head_.content_length = body.size();
    size_ = body.size();
    body_ = std::move(body);
    body_.append(kBodyPadding, '#');
    return *this;
  }
  Ingest& sign(std::string_view scheme, const std::vector<Secret>& keys, std::string_view stamp) {
    for (auto& field : providers::sign(*providers::find_scheme(scheme), keys,
                                       {.id = "delivery-1", .timestamp = stamp, .body = body()})) {
      with(field.name, field.value);
    }
    return *this;
  }
  Ingest& with(const std::string& name, const std::string& value) {
    lines_.emplace_back(name, value);
    head_.field_count = 0;
    for (const auto& [n, v] : lines_) head_.add(n, v);
    return *this;
  }
  IncomingHead& head() { return head_; }
  std::string_view body() const { return std::string_view{body_}.substr(0, size_); }
  Receiver& receiver() { return receiver_; }

  // Status 202, 200, or the one of the error.
  int answer(WallTime now = kNow) {
    received_ = {};
    const auto route = receiver_.route(head_);
    if (!route) return answer_row(route.error()).status;
    const auto received = receiver_.receive(head_, *route, body(), now);
    if (!received) return answer_row(received.error()).status;
    received_ = *received;
    return received_.events.empty() ? 200 : 202;
  }
  IngestError error() {
    const auto route = receiver_.route(head_);
    if (!route) return route.error();
    const auto received = receiver_.receive(head_, *route, body(), kNow);
    return received ? IngestError::Internal : received.error();
  }
  const Event& event(std::size_t i = 0) const { return received_.events[i]; }
  std::size_t events() const { return received_.events.size(); }
  std::string_view reason() const { return received_.reason; }
  const Received& received() const { return received_; }

 private:
  Receiver receiver_;
  IncomingHead head_;
  std::vector<std::pair<std::string, std::string>> lines_;
  std::string target_;
  std::string body_;
  std::size_t size_ = 0;
  Received received_;
};

TEST(Receive, TurnsASignedBoxCallIntoOneEvent) {
  Ingest ingest(config_of({instance(427236, "box")}));
  ASSERT_EQ(ingest.box("/box/NDI3MjM2").answer(), 202);
  ASSERT_EQ(ingest.events(), 1U);
  const Event& event = ingest.event();
  EXPECT_EQ(event.provider_id, "evt_1");
  EXPECT_EQ(event.element, "box");
  EXPECT_EQ(event.instance.value, 427236U);
  EXPECT_EQ(event.event_type, "CREATED");
  EXPECT_EQ(event.object_type, "file");
  EXPECT_EQ(event.object_id, "73");
  EXPECT_EQ(event.date, "2016-07-11T17:10:32Z");
  EXPECT_EQ(event.received, kNow);
  EXPECT_EQ(event.content_type, kJson);
  EXPECT_EQ(event.body, kBody);
  EXPECT_EQ(event.body.data(), ingest.body().data()) << "where it lies";
  EXPECT_FALSE(event.parked);
}

TEST(Receive, AChangeOfInstancesCountsFromTheNextRequestOn) {
  Config config = config_of({instance(1, "box")});
  Registry registry(config);
  const auto settings = std::make_shared<const Settings>(Settings{config, std::move(registry)});
  const Registry other(config_of({instance(2, "box")}));
  const UpdatePtr update = update_settings(
      *settings, Changes{{InstanceId{1}, nullptr}, {InstanceId{2}, other.share(InstanceId{2})}});
  Ingest ingest(config);
  Receiver former(settings);
  ingest.box("/box/1");
  const auto under_way = former.route(ingest.head());
  ASSERT_TRUE(under_way);
  Receiver next(former, update->settings);
  EXPECT_FALSE(next.route(ingest.head()));
  const auto received = former.receive(ingest.head(), *under_way, ingest.body(), kNow);
  ASSERT_TRUE(received);
  ASSERT_EQ(received->events.size(), 1U);
  EXPECT_EQ(received->events[0].instance.value, 1U);
  ingest.box("/box/2");
  EXPECT_FALSE(former.route(ingest.head()));
  const auto route = next.route(ingest.head());
  ASSERT_TRUE(route);
  EXPECT_EQ(route->source, under_way->source);  // compiled once
  ingest.box("/box");                           // the only one of its element
  const auto only = next.route(ingest.head());
  ASSERT_TRUE(only);
  const auto event = next.receive(ingest.head(), *only, ingest.body(), kNow);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->events[0].instance.value, 2U);
}

// An instance's own keys count on its own URL, and from its next request on when they change.
TEST(Receive, AnInstancesOwnKeysCountInsteadOfTheSources) {
  InstanceConfig own = instance(1, "box");
  own.vendor_key = Secret("own");
  const Config config = config_of({own, instance(2, "box")});
  Ingest ingest(config);
  EXPECT_EQ(ingest.box("/box/1").answer(), 401) << "the source's key";
  const auto with_own = [&](const std::string& path) {
    return ingest.start(Method::Post, path, kJson, kBody)
        .sign("box-v2", {Secret("own")}, kStamp)
        .answer();
  };
  EXPECT_EQ(with_own("/box/1"), 202);
  EXPECT_EQ(with_own("/box/2"), 401);
  EXPECT_EQ(ingest.box("/box/2").answer(), 202);

  Registry registry(config);
  const auto settings = std::make_shared<const Settings>(Settings{config, std::move(registry)});
  own.vendor_key = Secret("rotated");
  const Registry other(config_of({own}));
  const UpdatePtr update =
      update_settings(*settings, Changes{{InstanceId{1}, other.share(InstanceId{1})}});
  const auto status = [&ingest](Receiver& receiver) -> int {
    const auto route = receiver.route(ingest.head());
    if (!route) return answer_row(route.error()).status;
    const auto received = receiver.receive(ingest.head(), *route, ingest.body(), kNow);
    return received ? 202 : answer_row(received.error()).status;
  };
  Receiver former(settings);
  ingest.start(Method::Post, "/box/1", kJson, kBody).sign("box-v2", {Secret("own")}, kStamp);
  EXPECT_EQ(status(former), 202);
  Receiver next(former, update->settings);
  EXPECT_EQ(status(next), 401);
  ingest.start(Method::Post, "/box/1", kJson, kBody).sign("box-v2", {Secret("rotated")}, kStamp);
  EXPECT_EQ(status(next), 202);
  EXPECT_EQ(status(former), 401);
}

TEST(Receive, GivesAProvidersRetryTheSameEventIdAndANewTrace) {
  Ingest ingest(config_of({instance(427236, "box"), instance(2, "box")}));
  ASSERT_EQ(ingest.box("/box/427236").answer(), 202);
  const std::string id{ingest.event().id};
  const std::string trace{ingest.event().traceparent};
  ASSERT_EQ(ingest.box("/box/427236").answer(kNow + std::chrono::minutes{5}), 202);
  EXPECT_EQ(ingest.event().id, id);
  EXPECT_NE(ingest.event().traceparent, trace);
  ASSERT_EQ(ingest.box("/box/2").answer(), 202);
  EXPECT_NE(ingest.event().id, id) << "another instance, another event";
}

TEST(Receive, MakesUpAnIdWhereTheProviderGivesNone) {
  Ingest ingest(config_of({instance(1, "box")}));
  std::set<std::string> ids;
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(ingest.box("/box/1", "{}").answer(), 202);
    ids.emplace(ingest.event().id);
    EXPECT_EQ(ingest.event().event_type, "UNKNOWN");
  }
  EXPECT_EQ(ids.size(), 100U);
}

TEST(Receive, BeginsATraceOfItsOwn) {
  Ingest ingest(config_of({instance(1, "box")}));
  const std::string theirs = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  ASSERT_EQ(ingest.box("/box/1").with("traceparent", theirs).answer(), 202);
  const std::string_view ours = ingest.event().traceparent;
  ASSERT_EQ(ours.size(), 55U);
  EXPECT_EQ(ours.substr(0, 3), "00-");
  EXPECT_EQ(ours.find("0af7651916cd43dd8448eb211c80319c"), std::string_view::npos);
  EXPECT_EQ(ingest.event().tracestate, "");
}

TEST(Receive, RefusesBeforeItReadsABody) {
  Ingest ingest(config_of({instance(1, "box"), instance(9, "github")}));
  const std::vector<std::pair<std::string, IngestError>> rows{
      {"/box/2", IngestError::UnknownInstance},    {"/box/9", IngestError::UnknownInstance},
      {"/github/1", IngestError::UnknownInstance}, {"/jira", IngestError::UnknownElement},
      {"/Box", IngestError::UnknownElement},       {"/box/x", IngestError::UnknownInstance},
      {"/box/1/2", IngestError::UnknownPath},      {"", IngestError::UnknownPath}};
  for (const auto& [path, error] : rows) {
    ingest.box(path);
    const auto route = ingest.receiver().route(ingest.head());
    ASSERT_FALSE(route) << path;
    EXPECT_EQ(route.error(), error) << path;
    EXPECT_EQ(ingest.answer(), 404) << path;
  }
}

TEST(Receive, SaysWhichMethodsThereAre) {
  Ingest ingest(config_of({instance(1, "box"), instance(9, "github")}));
  for (const Method method : {Method::Get, Method::Options, Method::Other}) {
    ingest.start(method, "/github/9", kJson, "{}");
    EXPECT_EQ(ingest.answer(), 405);
    EXPECT_EQ(ingest.receiver().allowed_methods(ingest.head()), "POST");
  }
  ingest.start(Method::Other, "/box/1", kJson, "{}");
  EXPECT_EQ(ingest.answer(), 405);
  EXPECT_EQ(ingest.receiver().allowed_methods(ingest.head()), "GET, POST");
}

TEST(Receive, HoldsTheLimitsOfTheSource) {
  Config config = config_of({instance(1, "box"), instance(9, "github")});
  config.ingest.body_max = 2048;
  config.sources["github"].body_max = 4096;
  config.sources["github"].chunked = true;
  Ingest ingest(std::move(config));
  ingest.box("/box/1");
  ingest.head().content_length = 2048;
  EXPECT_TRUE(ingest.receiver().route(ingest.head()));
  ingest.head().content_length = 2049;
  EXPECT_EQ(ingest.error(), IngestError::BodyTooLarge);
  ingest.start(Method::Post, "/github/9", kJson, "{}");
  ingest.head().content_length = 4096;
  EXPECT_EQ(ingest.receiver().route(ingest.head())->body_max, 4096U);
  ingest.head().content_length = 4097;
  EXPECT_EQ(ingest.error(), IngestError::BodyTooLarge);
  ingest.head().content_length = 0;
  ingest.head().chunked = true;
  EXPECT_TRUE(ingest.receiver().route(ingest.head())->chunked);
  ingest.box("/box/1");
  ingest.head().chunked = true;
  EXPECT_EQ(ingest.error(), IngestError::TransferEncoding);
}

TEST(Receive, TakesJsonByItsNameOrWithoutOne) {
  Ingest ingest(config_of({instance(9, "github")}));
  const std::vector<std::pair<std::string, int>> rows{
      {"application/json", 202},
      {"Application/JSON;charset=utf-8", 202},
      {"application/json ; a=b", 202},
      {"application/cloudevents+json", 202},
      {"text/json", 202},
      {"", 202},
      {"text/plain", 415},
      {"application/x-www-form-urlencoded", 400},  // GitHub sends forms, with `payload`
      {"application/jsonp", 415},
      {"/json", 415},
      {"application/json\xC3\xA9", 415},
      {"application/json;a=\xC3\xA9", 415},
      {"application/json;" + std::string(300, 'a'), 415}};
  for (const auto& [type, status] : rows) {
    ingest.start(Method::Post, "/github/9", type, "{}").sign("github", {Secret("mysecret")}, "");
    EXPECT_EQ(ingest.answer(), status) << type;
  }
}

TEST(Receive, LetsNothingUnsignedThrough) {
  Ingest ingest(config_of({instance(1, "box")}));
  ingest.start(Method::Post, "/box/1", kJson, kBody);
  EXPECT_EQ(ingest.error(), IngestError::SignatureMissing);
  ingest.sign("box-v2", {Secret("another key")}, kStamp);
  EXPECT_EQ(ingest.error(), IngestError::SignatureWrong);
  EXPECT_EQ(ingest.box("/box/1").answer(kNow + std::chrono::minutes{15}), 401);
  EXPECT_EQ(ingest.box("/box/1").answer(kNow - std::chrono::minutes{15}), 401);
  ingest.box("/box/1").with("BOX-SIGNATURE-PRIMARY",
                            "6TfeAW3A1PASkgboxxA5yqHNKOwFyMWuEXny/FPD5hI=");
  EXPECT_EQ(ingest.error(), IngestError::DuplicateHeader);
}

TEST(Receive, JudgesTheSignatureBeforeTheDocument) {
  Ingest ingest(config_of({instance(1, "box")}));
  ingest.start(Method::Post, "/box/1", kJson, "{not json");
  EXPECT_EQ(ingest.error(), IngestError::SignatureMissing);
  ingest.box("/box/1", "{not json");
  EXPECT_EQ(ingest.error(), IngestError::MalformedJson);
  ingest.box("/box/1", "");
  EXPECT_EQ(ingest.error(), IngestError::MalformedJson);
}

TEST(Receive, WidensTheWindowWhereTheSourceSaysSo) {
  Config config = config_of({instance(1, "box")});
  config.sources["box"].window_past = std::chrono::minutes{20};
  Ingest ingest(std::move(config));
  EXPECT_EQ(ingest.box("/box/1").answer(kNow + std::chrono::minutes{15}), 202);
  EXPECT_EQ(ingest.box("/box/1").answer(kNow + std::chrono::minutes{21}), 401);
}

TEST(Receive, StoresNothingWhereEventsAreDisabled) {
  Ingest ingest(config_of({instance(1, "box", "u", false)}));
  EXPECT_EQ(ingest.box("/box/1").answer(), 200);
  EXPECT_EQ(ingest.reason(), "events are disabled for this instance");
}

TEST(Receive, SendsAnAppWideCallToTheOnlyInstance) {
  Ingest one(config_of({instance(1, "box"), instance(9, "github")}));
  ASSERT_EQ(one.box("/box").answer(), 202);
  EXPECT_EQ(one.event().instance.value, 1U);
  Ingest two(config_of({instance(1, "box"), instance(2, "box")}));
  EXPECT_EQ(two.box("/box").answer(), 404);
  Ingest none(config_of({instance(9, "github")}));
  EXPECT_EQ(none.box("/box").answer(), 404);
}

TEST(Receive, FansOutToTheInstancesThatAHeaderNames) {
  Ingest ingest(config_of({instance(1, "box"), instance(2, "box"), instance(3, "box", "", false),
                           instance(9, "github")}));
  ASSERT_EQ(ingest.box("/box").with("element-instances", "2, 1").answer(), 202);
  ASSERT_EQ(ingest.events(), 2U);
  EXPECT_EQ(ingest.event(0).instance.value, 2U);
  EXPECT_EQ(ingest.event(1).instance.value, 1U);
  EXPECT_NE(ingest.event(0).id, ingest.event(1).id);
  EXPECT_EQ(ingest.event(0).body, ingest.event(1).body);
  ASSERT_EQ(ingest.box("/box").with("Element-Instances", "1,3").answer(), 202);
  EXPECT_EQ(ingest.events(), 1U) << "events of 3 are disabled";
  EXPECT_EQ(ingest.box("/box").with("Element-Instances", "3").answer(), 200);
  EXPECT_EQ(ingest.box("/box").with("Element-Instances", "1,4").answer(), 404);
  EXPECT_EQ(ingest.box("/box").with("Element-Instances", "1,9").answer(), 404);
  EXPECT_EQ(ingest.box("/box").with("Element-Instances", "one").answer(), 400);
  ingest.box("/box").with("Element-Instances", "1").with("Element-Instances", "2");
  EXPECT_EQ(ingest.error(), IngestError::DuplicateHeader);
}

TEST(Receive, TakesOtherProvidersWithTheirStableIds) {
  Ingest ingest(config_of({instance(9, "github"), instance(10, "slack")}));
  ingest.start(Method::Post, "/github/9", kJson, R"({"id":"not this"})");
  ingest.sign("github", {Secret("mysecret")}, "");
  ASSERT_EQ(ingest.answer(), 202);
  EXPECT_EQ(ingest.event().provider_id, "delivery-1");
  EXPECT_EQ(ingest.event().event_type, "UNKNOWN");
  EXPECT_EQ(ingest.event().object_id, "");
  ingest.start(Method::Post, "/slack/10", kJson, R"({"event_id":"Ev1"})");
  ingest.sign("slack", {Secret("slackkey")}, "1577862030");
  ASSERT_EQ(ingest.answer(), 202);
  EXPECT_EQ(ingest.event().provider_id, "Ev1");
}

TEST(ReceiveBoxV1, FansOutToEveryInstanceOfAUser) {
  Ingest ingest(
      config_of({instance(1, "box", "u1"), instance(2, "box", "u2"), instance(3, "box", "u2"),
                 instance(4, "box", "u3"), instance(5, "github", "u1")}));
  const std::string form = R"(userId=["u1","u2","u2","nobody"]&event=uploaded&itemId=73)"
                           "&itemType=file&newItemId=&token=shared&x=y";
  ASSERT_EQ(ingest.start(Method::Post, "/box", kForm, form).answer(), 202);
  ASSERT_EQ(ingest.events(), 3U);
  const Event& event = ingest.event(0);
  EXPECT_EQ(event.instance.value, 1U);
  EXPECT_EQ(ingest.event(1).instance.value, 2U);
  EXPECT_EQ(ingest.event(2).instance.value, 3U);
  EXPECT_EQ(event.event_type, "CREATED");
  EXPECT_EQ(event.object_type, "file");
  EXPECT_EQ(event.object_id, "73");
  EXPECT_EQ(event.date, "");
  EXPECT_EQ(event.content_type, kForm);
  EXPECT_EQ(event.body, R"(userId=["u1","u2","u2","nobody"]&event=uploaded&itemId=73)"
                        "&itemType=file&newItemId=&x=y")
      << "all but the token";
  EXPECT_EQ(event.provider_id.size(), 64U);
  const std::string id{event.id};
  ASSERT_EQ(ingest.start(Method::Post, "/box", kForm, form).answer(), 202);
  EXPECT_EQ(ingest.event(0).id, id) << "the same call at the same time is the same event";
}

TEST(ReceiveBoxV1, TakesAGetWithAQuery) {
  Ingest ingest(config_of({instance(1, "box", "u1")}));
  const std::string query = "userId=%5B%22u1%22%5D&event=moved&itemId=1&token=shared";
  ASSERT_EQ(ingest.start(Method::Get, "/box?" + query, "", "").answer(), 202);
  const std::string stored = query.substr(0, query.find("&token"));
  EXPECT_EQ(ingest.event().body, stored);
  EXPECT_EQ(ingest.event().content_type, kForm);
  EXPECT_EQ(ingest.event().event_type, "UPDATED");
  ASSERT_EQ(ingest.start(Method::Post, "/box?" + query, "", "").answer(), 202);
  EXPECT_EQ(ingest.event().body, stored) << "a POST with nothing but a query";
}

TEST(ReceiveBoxV1, GoesToTheInstanceOfItsUrl) {
  Ingest ingest(config_of({instance(1, "box", "u1"), instance(2, "box", "u2")}));
  ASSERT_EQ(
      ingest.start(Method::Post, "/box/2", kForm, "userId=u1&event=moved&token=shared").answer(),
      202);
  ASSERT_EQ(ingest.events(), 1U);
  EXPECT_EQ(ingest.event().instance.value, 2U);
}

TEST(ReceiveBoxV1, AnswersByTheTable) {
  const std::vector<std::pair<std::string, int>> rows{
      {"userId=u1&event=moved&token=shared", 202},
      {R"(userId=["u1"]&token=shared)", 202},
      {R"(userId=["u9"]&token=shared)", 200},
      {"userId=[]&token=shared", 200},
      {"token=shared", 200},
      {"userId=u1&token=Shared", 401},
      {"userId=u1&token=shared+", 401},
      {"userId=u1&token=", 401},
      {"userId=u1", 401},
      {"", 401},
      {"userId=u1&token=shared&token=shared", 400},
      {"userId=u1&token=%", 400},
      {"userId=[u1&token=shared", 400},
  };
  for (const auto& [form, status] : rows) {
    Ingest ingest(config_of({instance(1, "box", "u1")}));
    EXPECT_EQ(ingest.start(Method::Post, "/box", kForm, form).answer(), status) << form;
    if (status == 200) {
      EXPECT_EQ(ingest.reason(), form == "token=shared"
                                     ? "the call has no parameter userId"
                                     : "no user of this call belongs to an instance");
    }
  }
}

TEST(ReceiveBoxV1, IsAGetOrAPost) {
  const std::string form = "userId=u1&event=moved&token=shared";
  for (const Method method : {Method::Head, Method::Options, Method::Other}) {
    Ingest ingest(config_of({instance(1, "box", "u1")}));
    EXPECT_EQ(ingest.start(method, "/box?" + form, "", "").answer(), 405);
    EXPECT_EQ(ingest.start(method, "/box", kForm, form).answer(), 405);
  }
}

TEST(ReceiveBoxV1, StoresTheTokenNowhere) {
  for (const char* form :
       {"token=shared&userId=u1&event=moved", "userId=u1&token=shared&event=moved",
        "userId=u1&event=moved&token=shared", "userId=u1&event=moved&%74oken=%73hared",
        "&&userId=u1&event=moved&token=shared&"}) {
    Ingest ingest(config_of({instance(1, "box", "u1")}));
    ASSERT_EQ(ingest.start(Method::Post, "/box", kForm, form).answer(), 202) << form;
    const std::string_view body = ingest.event().body;
    EXPECT_EQ(body.find("hared"), std::string_view::npos) << body;
    EXPECT_EQ(body.find("oken"), std::string_view::npos) << body;
    EXPECT_NE(body.find("userId=u1&event=moved"), std::string_view::npos) << body;
  }
}

TEST(ReceiveBoxV1, CountsWhatIsNotStored) {
  Ingest ingest(config_of({instance(1, "box", "u1"), instance(2, "box", "u2", false)}));
  ASSERT_EQ(ingest.start(Method::Post, "/box", kForm, "to_user_ids=u1&token=shared").answer(), 200);
  EXPECT_EQ(ingest.received().not_stored, metrics::NotStored::NoUserParameter);
  ASSERT_EQ(ingest.start(Method::Post, "/box", kForm, "userId=u9&token=shared").answer(), 200);
  EXPECT_EQ(ingest.received().not_stored, metrics::NotStored::NoUser);
  ASSERT_EQ(ingest.start(Method::Post, "/box", kForm, "userId=u2&token=shared").answer(), 200);
  EXPECT_EQ(ingest.received().not_stored, metrics::NotStored::Disabled);
}

TEST(ReceiveBoxV1, IsRefusedUnlessEnabledWithAToken) {
  const std::string form = "userId=u1&event=moved&token=";
  Config config = config_of({instance(1, "box", "u1")});
  config.sources["box"].v1_token.reset();
  Ingest without_token(std::move(config));
  EXPECT_EQ(without_token.start(Method::Post, "/box", kForm, form).answer(), 401);

  config = config_of({instance(1, "box", "u1")});
  config.sources["box"].v1_enabled = false;
  Ingest disabled(std::move(config));
  EXPECT_EQ(disabled.start(Method::Post, "/box", kForm, form + "shared").answer(), 415);
  EXPECT_EQ(disabled.start(Method::Get, "/box?" + form + "shared", "", "").answer(), 405);
}

TEST(ReceiveBoxV1, DoesNotOpenADoorBesideTheSignature) {
  Ingest ingest(config_of({instance(1, "box", "u1")}));
  ingest.start(Method::Post, "/box/1?token=shared", kJson, kBody);
  EXPECT_EQ(ingest.error(), IngestError::SignatureMissing);
  ingest.start(Method::Post, "/github/1", kForm, "userId=u1&token=shared");
  EXPECT_EQ(ingest.answer(), 404);
}

TEST(ReceiveBoxV1, MakesAtMost256EventsAtLimit) {
  std::vector<InstanceConfig> instances;
  for (std::uint64_t id = 1; id <= kEventsMax + 1; ++id) {
    instances.push_back(instance(id, "box", "u1"));
  }
  Ingest ingest(config_of(std::move(instances)));
  EXPECT_EQ(ingest.start(Method::Post, "/box", kForm, "userId=u1&token=shared").answer(), 503);
}

Config config_with(const std::string& element, const std::string& scheme, const std::string& key,
                   std::vector<InstanceConfig> instances) {
  Config config;
  config.instances = std::move(instances);
  config.sources[element].scheme = scheme;
  config.sources[element].keys = {Secret(key)};
  config.sources[element].token = Secret("token");
  return config;
}

TEST(ReceiveHandshake, IsAnsweredAndStoresNothing) {
  Ingest dropbox(config_with("dropbox", "", "k", {instance(1, "dropbox")}));
  ASSERT_EQ(dropbox.start(Method::Get, "/dropbox/1?challenge=abc", "", "").answer(), 200);
  EXPECT_EQ(dropbox.received().reply, "abc");
  EXPECT_EQ(dropbox.received().handshake, metrics::HandshakeKind::Dropbox);
  EXPECT_EQ(dropbox.start(Method::Get, "/dropbox", "", "").answer(), 405) << "no challenge";
  EXPECT_EQ(dropbox.receiver().allowed_methods(dropbox.head()), "GET, POST");
  EXPECT_EQ(dropbox.start(Method::Get, "/dropbox?challenge=%0A", "", "").answer(), 400);
  EXPECT_EQ(dropbox.start(Method::Get, "/dropbox/7?challenge=abc", "", "").answer(), 404);

  Ingest meta(config_with("meta", "", "k", {instance(1, "meta")}));
  const std::string query = "hub.mode=subscribe&hub.challenge=11&hub.verify_token=";
  ASSERT_EQ(meta.start(Method::Get, "/meta?" + query + "token", "", "").answer(), 200);
  EXPECT_EQ(meta.received().reply, "11");
  EXPECT_EQ(meta.start(Method::Get, "/meta?" + query + "other", "", "").answer(), 401);

  Ingest graph(config_with("microsoftgraph", "", "", {instance(1, "microsoftgraph")}));
  ASSERT_EQ(graph.start(Method::Post, "/microsoftgraph?validationToken=a%20b+c", "text/plain", "")
                .answer(),
            200);
  EXPECT_EQ(graph.received().reply, "a b c");

  Ingest events(config_with("cloudevents", "", "k", {instance(1, "cloudevents")}));
  events.start(Method::Options, "/cloudevents", "", "").with("WebHook-Request-Origin", "e.example");
  ASSERT_EQ(events.answer(), 200);
  EXPECT_EQ(events.received().reply, "");
  EXPECT_EQ(events.received().fields, "WebHook-Allowed-Origin: e.example\r\nAllow: POST\r\n");
  EXPECT_EQ(events.start(Method::Options, "/cloudevents", "", "").answer(), 405);
  EXPECT_EQ(events.receiver().allowed_methods(events.head()), "OPTIONS, POST");
}

TEST(ReceiveHandshake, ThatIsSignedIsVerifiedFirst) {
  Ingest slack(config_of({instance(10, "slack"), instance(9, "github")}));
  const std::string body = R"({"type":"url_verification","challenge":"xyz"})";
  slack.start(Method::Post, "/slack/10", kJson, body);
  EXPECT_EQ(slack.answer(), 401);
  slack.sign("slack", {Secret("slackkey")}, "1577862030");
  ASSERT_EQ(slack.answer(), 200);
  EXPECT_EQ(slack.received().reply, "xyz");
  slack.start(Method::Post, "/github/9", kJson, "{}").sign("github", {Secret("mysecret")}, "");
  ASSERT_EQ(slack.with("X-GitHub-Event", "ping").answer(), 200);
  EXPECT_EQ(slack.reason(), "ping");
  EXPECT_EQ(slack.received().handshake, metrics::HandshakeKind::Github);
}

TEST(ReceiveHandshake, IsTheElementsUnlessTheSourceSaysAnother) {
  Config config = config_with("own", "dropbox", "k", {instance(1, "own")});
  Ingest own(std::move(config));
  EXPECT_EQ(own.start(Method::Get, "/own?challenge=abc", "", "").answer(), 200)
      << "a source of another name takes the handshake of its scheme's element";
  config = config_with("dropbox", "", "k", {instance(1, "dropbox")});
  config.sources["dropbox"].handshake = "none";
  Ingest none(std::move(config));
  EXPECT_EQ(none.start(Method::Get, "/dropbox?challenge=abc", "", "").answer(), 405);
}

TEST(Receive, ReadsTheFieldsOfOtherProviders) {
  Ingest ingest(config_of({instance(9, "github")}));
  ingest.start(Method::Post, "/github/9", kJson, R"({"action":"opened","issue":{"id":7}})");
  ingest.sign("github", {Secret("mysecret")}, "").with("X-GitHub-Event", "issues");
  ASSERT_EQ(ingest.answer(), 202);
  EXPECT_EQ(ingest.event().event_type, "CREATED");
  EXPECT_EQ(ingest.event().object_type, "issues");
  EXPECT_EQ(ingest.event().object_id, "7");
  Ingest own(config_with("own", "github", "mysecret", {instance(1, "own")}));
  own.start(Method::Post, "/own/1", kJson, R"({"action":"opened","issue":{"id":7}})");
  own.sign("github", {Secret("mysecret")}, "").with("X-GitHub-Event", "issues");
  ASSERT_EQ(own.answer(), 202);
  EXPECT_EQ(own.event().object_id, "7") << "a source of another name";
}

TEST(Receive, TakesGithubsFormWithItsBytesAndSignatureKept) {
  Ingest ingest(config_of({instance(9, "github")}));
  const std::string form =
      "payload=%7B%22action%22%3A%22opened%22%2C%22issue%22%3A%7B%22id%22%3A7"
      "%7D%7D";
  ingest.start(Method::Post, "/github/9", kForm, form).sign("github", {Secret("mysecret")}, "");
  ASSERT_EQ(ingest.with("X-GitHub-Event", "issues").answer(), 202);
  EXPECT_EQ(ingest.event().body, form);
  EXPECT_EQ(ingest.event().content_type, kForm);
  EXPECT_EQ(ingest.event().object_id, "7");
}

std::string hubspot_body(std::size_t objects, const std::string& portal = "1") {
  std::string body = "[";
  for (std::size_t i = 0; i < objects; ++i) {
    body += (i == 0 ? "" : ",") + std::string(R"({"eventId":)") + std::to_string(i) +
            R"(,"portalId":)" + portal + R"(,"subscriptionType":"contact.creation"})";
  }
  return body + "]";
}

TEST(ReceiveObjects, MakesARecordForEveryTwenty) {
  const auto sent = [](Ingest& ingest, const std::string& body) {
    ingest.start(Method::Post, "/hubspot/1", kJson, body);
    return ingest.sign("hubspot-v1", {Secret("k")}, "").answer();
  };
  Ingest ingest(config_with("hubspot", "hubspot-v1", "k", {instance(1, "hubspot")}));
  ASSERT_EQ(sent(ingest, hubspot_body(1)), 202);
  EXPECT_EQ(ingest.event().object_type, "contact");
  EXPECT_EQ(ingest.event().part, "");
  ASSERT_EQ(sent(ingest, hubspot_body(20)), 202);
  ASSERT_EQ(ingest.events(), 1U);
  EXPECT_EQ(ingest.event().part, "");
  EXPECT_EQ(ingest.event().object_type, "") << "several objects are read from the body";
  const std::string body = hubspot_body(41);
  ASSERT_EQ(sent(ingest, body), 202);
  ASSERT_EQ(ingest.events(), 3U);
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(ingest.event(i).part, std::to_string(i + 1) + "/3");
    EXPECT_EQ(ingest.event(i).body, body);
    ids.emplace_back(ingest.event(i).id);
  }
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 3U);
  ASSERT_EQ(sent(ingest, body), 202);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(ingest.event(i).id, ids[i]) << "sent again";
  ASSERT_EQ(sent(ingest, hubspot_body(5000)), 202);
  EXPECT_EQ(ingest.events(), 250U);
  EXPECT_EQ(sent(ingest, hubspot_body(5001)), 413);
}

TEST(ReceiveObjects, GoToTheInstancesWhoseUserTheyName) {
  Ingest ingest(config_with(
      "hubspot", "hubspot-v1", "k",
      {instance(1, "hubspot", "62515"), instance(2, "hubspot", "62516"), instance(3, "hubspot")}));
  const auto sent = [&ingest](const std::string& body) {
    ingest.start(Method::Post, "/hubspot", kJson, body);
    return ingest.sign("hubspot-v1", {Secret("k")}, "").answer();
  };
  ASSERT_EQ(sent(hubspot_body(1, "62516")), 202);
  ASSERT_EQ(ingest.events(), 1U);
  EXPECT_EQ(ingest.event().instance.value, 2U);
  ASSERT_EQ(sent(R"([{"portalId":62515},{"portalId":62516},{"portalId":9}])"), 202);
  ASSERT_EQ(ingest.events(), 2U);
  EXPECT_EQ(sent(hubspot_body(1, "9")), 200);
  EXPECT_EQ(ingest.received().not_stored, metrics::NotStored::NoUser);
  EXPECT_EQ(sent("[{}]"), 404) << "it names nobody, and there are three";
}

TEST(Receive, TakesACloudEventOfAnyType) {
  Ingest ingest(config_with("cloudevents", "", "k", {instance(1, "cloudevents")}));
  ingest.start(Method::Post, "/cloudevents/1", "text/plain", "{not json");
  ingest.with("Authorization", "Bearer k");
  EXPECT_EQ(ingest.answer(), 415);
  ingest.with("ce-id", "1").with("ce-source", "/s").with("ce-type", "shop.order.created");
  ASSERT_EQ(ingest.answer(), 202);
  EXPECT_EQ(ingest.event().object_type, "shop.order");
  EXPECT_EQ(ingest.event().event_type, "CREATED");
  EXPECT_EQ(ingest.event().body, "{not json");
}

TEST(Receive, WantsTheClientStateOfMicrosoftGraph) {
  Ingest ingest(config_with("microsoftgraph", "", "", {instance(1, "microsoftgraph")}));
  ingest.start(Method::Post, "/microsoftgraph/1", kJson,
               R"({"value":[{"clientState":"token","changeType":"created"}]})");
  ASSERT_EQ(ingest.answer(), 202);
  EXPECT_EQ(ingest.event().event_type, "CREATED");
  // Whoever knows it can forge events, so it goes no further.
  EXPECT_EQ(ingest.event().body, R"({"value":[{"clientState":"***","changeType":"created"}]})");
  ingest.start(Method::Post, "/microsoftgraph/1", kJson,
               "\xEF\xBB\xBF{\"value\":[{\"client\\u0053tate\": \"\\u0074oken\",\"a\":1.0},"
               "{\"b\":{\"clientState\":\"token\"},\"clientState\":\"token\"}]}");
  ASSERT_EQ(ingest.answer(), 202);
  EXPECT_EQ(ingest.event().body,
            "\xEF\xBB\xBF{\"value\":[{\"client\\u0053tate\": \"***\",\"a\":1.0},"
            "{\"b\":{\"clientState\":\"***\"},\"clientState\":\"***\"}]}");
  ingest.start(Method::Post, "/microsoftgraph/1", kJson, R"({"value":[{"clientState":"x"}]})");
  EXPECT_EQ(ingest.answer(), 401);
}

TEST(Receiver, NamesASourceThatCannotWork) {
  Config config = config_of({});
  config.sources["own"].scheme = "standard";
  config.sources["own"].keys = {Secret("not base64!")};
  try {
    Ingest ingest(std::move(config));
    FAIL() << "was made";
  } catch (const std::runtime_error& problem) {
    EXPECT_NE(std::string{problem.what()}.find("sources.own.keys"), std::string::npos);
    EXPECT_EQ(std::string{problem.what()}.find("not base64!"), std::string::npos);
  }
}

}  // namespace
}  // namespace eventrelay::ingest
