// What a client sees on a real socket: answers, keep-alive, framing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "ingest/source_meter.hpp"
#include "tests/component/ingest/rig.hpp"

namespace eventrelay::ingest::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

[[nodiscard]] Answer answer_to(Rig& rig, const std::string& request) {
  Client client = rig.client();
  client.send(request);
  const auto answer = client.answer();
  return answer ? *answer : Answer{};
}

// The event ids of a 202, without quotes.
[[nodiscard]] std::string event_id(const Answer& answer) {
  const std::string_view start = R"({"eventIds":[")";
  EXPECT_THAT(answer.body, StartsWith(start));
  return answer.body.substr(start.size(), 36);
}

TEST(IngestSession, StoresTheEventByteForByteBeforeItAnswers202) {
  Rig rig;
  const BoxEvent event;
  const Answer answer = answer_to(rig, event.request());
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(answer.fields.at("content-type"), "application/json");
  const auto records = rig.records(1);
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].value, event.body());
  EXPECT_EQ(records[0].key, "427236");
  EXPECT_EQ(records[0].id, event_id(answer));
  EXPECT_EQ(records[0].provider_id, event.id);
  EXPECT_EQ(records[0].element, "box");
  EXPECT_EQ(records[0].content_type, "application/json");
  EXPECT_EQ(rig.slab().ingest_events_total.read(), 1U);
  EXPECT_EQ(rig.slab().ingest_requests_total.read(metrics::Code::k202), 1U);
}

TEST(IngestSession, GivesTheSameEventIdToTheProvidersRetry) {
  Rig rig;
  const BoxEvent event;
  Client client = rig.client();
  client.send(event.request());
  const auto first = client.answer();
  client.send(event.request());
  const auto second = client.answer();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(event_id(*first), event_id(*second));
}

TEST(IngestSession, KeepsTheConnectionForManyRequests) {
  Rig rig;
  Client client = rig.client();
  for (int i = 0; i < 50; ++i) {
    client.send(BoxEvent{.id = "event-" + std::to_string(i)}.request());
    const auto answer = client.answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 202);
  }
  EXPECT_EQ(rig.slab().ingest_connections_total.read(), 1U);
  EXPECT_EQ(rig.records(50).size(), 50U);
}

TEST(IngestSession, AnswersPipelinedRequestsInOrder) {
  Rig rig;
  Client client = rig.client();
  std::string all;
  for (int i = 0; i < 40; ++i) {
    all += BoxEvent{.id = "event-" + std::to_string(i), .filler = static_cast<std::size_t>(i * 97)}
               .request();
  }
  all += "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n";
  client.send(all);
  std::vector<std::string> ids;
  for (int i = 0; i < 40; ++i) {
    const auto answer = client.answer();
    ASSERT_TRUE(answer) << i;
    ASSERT_EQ(answer->status, 202) << i;
    ids.push_back(event_id(*answer));
  }
  const auto last = client.answer();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->status, 404);
  std::map<std::string, std::string> provider_ids;
  for (const StoredRecord& record : rig.records(40)) provider_ids[record.id] = record.provider_id;
  ASSERT_EQ(provider_ids.size(), 40U);
  for (std::size_t i = 0; i < 40; ++i) {
    EXPECT_EQ(provider_ids.at(ids[i]), "event-" + std::to_string(i));
  }
}

TEST(IngestSession, TakesARequestInSingleBytes) {
  Rig rig;
  Client client = rig.client();
  const BoxEvent event{.filler = 20};
  for (const char byte : event.request()) client.send({&byte, 1});
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 202);
  const auto records = rig.records(1);
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].value, event.body());
}

TEST(IngestSession, TakesABodyOfManyBuffersAndTheRequestBehindIt) {
  Rig rig;
  Client client = rig.client();
  const BoxEvent large{.id = "large", .filler = 700'000};
  client.send(large.request() + BoxEvent{.id = "small"}.request());
  for (int i = 0; i < 2; ++i) {
    const auto answer = client.answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 202);
  }
  bool found = false;
  for (const auto& record : rig.records(2)) {
    if (record.provider_id == "large") found = record.value == large.body();
  }
  EXPECT_TRUE(found);
  std::size_t held = 1;
  rig.on_shard([&] { held = rig.shard().admission().bytes().used(); });
  EXPECT_EQ(held, 0U);
}

TEST(IngestSession, RemembersWhenASourceWasLastHeardOf) {
  Rig rig;
  const auto heard = [] { return source_meter("box").last_ms(); };
  const std::int64_t before = heard();
  EXPECT_EQ(answer_to(rig, BoxEvent{.key = "wrong"}.request()).status, 401);
  EXPECT_EQ(heard(), before);  // anybody may send what is not genuine
  EXPECT_EQ(answer_to(rig, BoxEvent{}.request()).status, 202);
  EXPECT_GE(heard(), unix_ms(wall_now()) - 10'000);
  const auto gauges = source_gauges();
  const auto& last = gauges.front().samples;
  EXPECT_TRUE(std::any_of(last.begin(), last.end(),
                          [](const auto& sample) { return sample.label_value == "box"; }));
}

TEST(IngestSession, CountsTheKeysThatVerify) {
  Rig rig;
  const auto uses = [](std::size_t slot) { return source_meter("box").uses(slot); };
  const auto primary = uses(0);
  const auto others = uses(1) + uses(2);
  EXPECT_EQ(answer_to(rig, BoxEvent{.key = "wrong"}.request()).status, 401);
  EXPECT_EQ(uses(0), primary);
  EXPECT_EQ(answer_to(rig, BoxEvent{}.request()).status, 202);
  EXPECT_EQ(uses(0), primary + 1);
  EXPECT_EQ(uses(1) + uses(2), others);
}

TEST(IngestSourceMeter, TellsAHundredSourcesApart) {
  for (std::size_t i = 0; i < kSourceMetersMax + 50; ++i) {
    source_meter("source-" + std::to_string(i)).heard(wall_now());
  }
  EXPECT_LE(source_gauges().front().samples.size(), kSourceMetersMax);
  EXPECT_EQ(&source_meter("source-0"), &source_meter("source-0"));
  EXPECT_NE(&source_meter("source-0"), &source_meter("source-1"));
}

TEST(IngestSourceMeter, TellsOfOneCallAMinuteForEachReason) {
  using metrics::NotStored;
  SourceMeter meter;
  const TimePoint begin{std::chrono::hours(1)};
  EXPECT_EQ(meter.not_stored(NotStored::NoUser, begin).value_or(0), 1U);
  for (int i = 1; i < 60; ++i) {
    EXPECT_FALSE(meter.not_stored(NotStored::NoUser, begin + std::chrono::seconds(i)).has_value());
  }
  EXPECT_EQ(meter.not_stored(NotStored::Disabled, begin).value_or(0), 1U);
  EXPECT_EQ(meter.not_stored(NotStored::NoUser, begin + std::chrono::seconds(60)).value_or(0), 60U);
  EXPECT_FALSE(meter.not_stored(NotStored::NoUser, begin + std::chrono::seconds(61)).has_value());
}

TEST(IngestSession, PassesOverEmptyLinesBeforeARequest) {
  Rig rig;
  for (const std::string& lines : {std::string{"\r\n"}, std::string{"\r\n\r\n\r\n"}}) {
    Client client = rig.client();
    client.send(lines + BoxEvent{}.request());
    EXPECT_EQ(client.answer().value().status, 202);
    client.send("\r");  // the line comes in two parts, behind a request, as old clients send it
    for (int turns = 0; turns < 20; ++turns) rig.on_shard([] {});
    client.send("\n" + BoxEvent{.id = "next"}.request());
    EXPECT_EQ(client.answer().value().status, 202);
  }
  Client bare = rig.client();
  bare.send("\n" + BoxEvent{}.request());
  EXPECT_EQ(bare.answer().value().status, 400);
}

TEST(IngestSession, TakesALongHead) {
  Rig rig;
  BoxEvent event;
  for (int i = 0; i < 30; ++i) {
    event.extra += "X-Field-" + std::to_string(i) + ": " + std::string(400, 'v') + "\r\n";
  }
  Client client = rig.client();
  client.send(event.request() + event.request());
  for (int i = 0; i < 2; ++i) {
    const auto answer = client.answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 202);
  }
}

TEST(IngestSession, AsksForTheBodyWithContinue) {
  Rig rig;
  Client client = rig.client();
  BoxEvent event{.extra = "Expect: 100-continue\r\n"};
  const std::string body = event.body();
  client.send(event.head(body, "Content-Length: " + std::to_string(body.size())));
  auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 100);
  client.send(body);
  answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 202);
}

TEST(IngestSession, SaysTheVerdictInsteadOfContinue) {
  Rig rig;
  Client client = rig.client();
  client.send(BoxEvent{.extra = "Expect: 100-continue\r\n"}.head("", "Content-Length: 2000000"));
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
  EXPECT_TRUE(client.closed());
}

[[nodiscard]] std::string chunked(std::string_view body, std::size_t chunk) {
  std::string coded;
  while (!body.empty()) {
    const std::string_view part = body.substr(0, chunk);
    std::array<char, 32> size{};
    std::snprintf(size.data(), size.size(), "%zx\r\n", part.size());
    coded += std::string(size.data()) + std::string(part) + "\r\n";
    body.remove_prefix(part.size());
  }
  return coded + "0\r\n\r\n";
}

TEST(IngestSession, TakesChunkedBodiesWhereAllowed) {
  Rig rig({.ingest = "  chunked: true\n"});
  Client client = rig.client();
  for (const std::size_t filler : {10U, 9000U, 300'000U}) {
    const BoxEvent event{.id = "chunked-" + std::to_string(filler), .filler = filler};
    const std::string body = event.body();
    client.send(event.head(body, "Transfer-Encoding: chunked") + chunked(body, 777) +
                BoxEvent{}.request());
    for (int i = 0; i < 2; ++i) {
      const auto answer = client.answer();
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->status, 202) << answer->body;
    }
  }
  for (const auto& record : rig.records(6)) {
    if (record.provider_id == "chunked-300000") {
      EXPECT_EQ(record.value, (BoxEvent{.id = "chunked-300000", .filler = 300'000}.body()));
    }
  }
}

TEST(IngestSession, RefusesAChunkedBodyBeyondTheLimit) {
  Rig rig({.ingest = "  chunked: true\n  body_max: 2KiB\n"});
  Client client = rig.client();
  const BoxEvent event{.filler = 4000};
  client.send(event.head(event.body(), "Transfer-Encoding: chunked") + chunked(event.body(), 100));
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
  EXPECT_TRUE(client.closed());
}

// One row of the answer table over a real socket.
struct Row {
  const char* name;
  std::string request;
  int status;
  bool closes;
};

[[nodiscard]] std::string post(const std::string& target, const std::string& fields,
                               const std::string& body = "") {
  return "POST " + target + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body;
}

[[nodiscard]] std::vector<Row> rows() {
  const std::string events = "/elements/api-v2/events/box/NDI3MjM2";
  const std::string json = "Content-Type: application/json\r\n";
  const std::string empty = json + "Content-Length: 2\r\n";
  BoxEvent wrong_key{.key = "another-key"};
  BoxEvent disabled{.target = "/elements/api-v2/events/box/7"};
  return {
      {"disabled instance", disabled.request(), 200, false},
      {"garbage", "\x01\x02garbage\r\n\r\n", 400, true},
      {"two lengths", post(events, json + "Content-Length: 2\r\nContent-Length: 3\r\n", "{}"), 400,
       true},
      {"unsigned", post(events, empty, "{}"), 401, false},
      {"wrong key", wrong_key.request(), 401, false},
      {"unknown path", post("/nowhere", empty, "{}"), 404, false},
      {"unknown element", post("/elements/api-v2/events/nix/NDI3MjM2", empty, "{}"), 404, false},
      {"unknown instance", BoxEvent{.target = "/elements/api-v2/events/box/99"}.request(), 404,
       false},
      {"method", "DELETE " + events + " HTTP/1.1\r\nHost: a\r\n\r\n", 405, false},
      {"transfer encoding", post(events, json + "Transfer-Encoding: chunked\r\n", "0\r\n\r\n"), 411,
       true},
      {"body too large", post(events, json + "Content-Length: 1048577\r\n"), 413, true},
      {"target too long", post("/" + std::string(5000, 'a'), empty, "{}"), 414, true},
      {"content encoding", post(events, empty + "Content-Encoding: gzip\r\n", "{}"), 415, true},
      {"content type", post(events, "Content-Type: image/png\r\nContent-Length: 2\r\n", "{}"), 415,
       false},
      {"head too large", post(events, "A: " + std::string(17'000, 'x') + "\r\n"), 431, true},
  };
}

TEST(IngestSession, AnswersEveryRowOfTheTableAndClosesWhereItMust) {
  Rig rig;
  for (const Row& row : rows()) {
    SCOPED_TRACE(row.name);
    Client client = rig.client();
    // What follows must not be served where the connection is in doubt.
    client.send(row.request + BoxEvent{}.request());
    const auto answer = client.answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, row.status) << answer->body;
    if (row.status >= 400) {
      EXPECT_THAT(answer->body, StartsWith(R"({"message":")"));
      EXPECT_THAT(answer->body, HasSubstr(R"("requestId":")"));
    }
    EXPECT_EQ(answer->fields.count("allow"), row.status == 405 ? 1U : 0U);
    EXPECT_EQ(answer->fields.count("connection"), row.closes ? 1U : 0U);
    if (row.closes) {
      EXPECT_TRUE(client.closed());
    } else {
      const auto next = client.answer();
      ASSERT_TRUE(next);
      EXPECT_EQ(next->status, 202);
    }
  }
}

TEST(IngestSession, ClosesAfterTheAnswerWhenTheClientAsksForIt) {
  Rig rig;
  Client client = rig.client();
  client.send(BoxEvent{.extra = "Connection: close\r\n"}.request());
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 202);
  EXPECT_EQ(answer->fields.at("connection"), "close");
  EXPECT_TRUE(client.closed());
}

TEST(IngestSession, AnswersAClientThatHasFinishedSending) {
  Rig rig;
  Client client = rig.client();
  client.send(BoxEvent{}.request());
  client.shut_writing();
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 202);
  EXPECT_TRUE(client.closed());
}

TEST(IngestSession, LetsARefusedClientReadTheAnswerWhileItStillSends) {
  Rig rig;
  Client client = rig.client();
  client.send(BoxEvent{}.head("", "Content-Length: 3000000"));
  client.send(std::string(1'500'000, 'x'));
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
  EXPECT_TRUE(client.closed());
}

TEST(IngestSession, ServesTlsWithTheSameAnswers) {
  Rig rig({.wire = Wire::Tls});
  Client client = rig.client();
  const BoxEvent large{.id = "large", .filler = 200'000};
  client.send(large.request());
  client.send(BoxEvent{}.request() + post("/nowhere", ""));
  for (const int status : {202, 202, 404}) {
    const auto answer = client.answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, status);
  }
  client.send("garbage\r\n\r\n");
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 400);
  EXPECT_TRUE(client.closed());
}

TEST(IngestSession, SurvivesAPlainClientOnATlsPort) {
  Rig rig({.wire = Wire::Tls});
  Client plain(rig.port());
  plain.send(BoxEvent{}.request());
  EXPECT_TRUE(eventually([&] { return plain.readable(std::chrono::milliseconds{1}); }));
  Client client = rig.client();
  client.send(BoxEvent{}.request());
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 202);
}

}  // namespace
}  // namespace eventrelay::ingest::test
