// The whole relay between the embedded broker and a receiver: what arrives, what is committed, and
// what happens when members come, go and stop.
#include "tests/component/relay/flow.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/kafka/tools/topic_reader.hpp"
#include "common/registry/instance_maker.hpp"
#include "tests/support/eventually.hpp"

namespace eventrelay::relay::test {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

// Counts each request and answers 200.
Server::Script counting(Arrived& arrived, Duration delay = Duration::zero()) {
  return [&arrived, delay](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      eventrelay::test::be_slow(delay);
      arrived.take(request);
      peer.write(kAnswer);
    }
  };
}

// Lets the events of `slow` wait while `held`, answers 200 to all others at once.
Server::Script holding(Arrived& arrived, const std::set<std::string>& slow,
                       const std::atomic<bool>& held) {
  return [&arrived, slow, &held](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      const std::string id = Arrived::header(request, "Elements-Webhook-Id");
      if (held && slow.contains(id)) {
        while (held) Relay::pause();
        return;
      }
      arrived.take(request);
      peer.write(kAnswer);
    }
  };
}

TEST(RelayFlow, DeliversEveryEventOnceSignedAndByteForByte) {
  Arrived arrived;
  Server server(counting(arrived));
  Flow flow;
  flow.write(0, 400);
  Relay relay(flow.load(Flow::url(server.port())));
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 400; })) << arrived.distinct();
  EXPECT_TRUE(eventually([&] { return relay.ready(); }));
  for (const std::string& request : arrived.requests()) {
    const std::string body = Arrived::body(request);
    EXPECT_EQ(Arrived::header(request, "Elements-Webhook-Signature"), expected_signature(body));
    const std::string id = Arrived::header(request, "Elements-Webhook-Id");
    EXPECT_THAT(body, HasSubstr(Flow::body_of(std::stoi(id.substr(6)))));
    EXPECT_EQ(Arrived::header(request, "Content-Type"), "application/json");
    EXPECT_TRUE(Arrived::header(request, "Eventrelay-Attempt").empty());
  }
  EXPECT_TRUE(arrived.repeated().empty());
  EXPECT_LE(server.connections(), 16);
  EXPECT_TRUE(eventually([&] { return relay.of_partition(1, "committed") == 100; }));
  const std::string metrics = relay.service().exporter().expose();
  EXPECT_THAT(metrics, HasSubstr("eventrelay_relay_deliveries_total{outcome=\"ok\"} 400"));
  EXPECT_THAT(metrics, HasSubstr("eventrelay_relay_events_consumed_total 400"));
  EXPECT_THAT(metrics, HasSubstr("eventrelay_relay_assigned_partitions 4"));
  EXPECT_TRUE(relay.drain());
}

TEST(RelayFlow, FoldsWhatAProviderSentTwiceAndNothingElse) {
  Arrived arrived;
  Server server(counting(arrived));
  Flow flow;
  const std::string id = "01234567-89ab-8def-8edc-ba9876543210";
  const std::string other_instance = "11234567-89ab-8def-8edc-ba9876543210";
  const std::string no_provider_id = "21234567-89ab-8def-8edc-ba9876543210";
  const auto write = [&](const std::string& derived, const std::string& provider, int number) {
    Flow::Fields fields;
    fields.partition = 1;
    fields.provider_id = provider;
    fields.derived_id = derived;
    flow.write(number, 1, fields);
  };
  write(id, "p-1", 0);
  write(other_instance, "p-1", 1);  // the same webhook for somebody else
  write(id, "p-1", 2);
  write(no_provider_id, "", 3);
  write(no_provider_id, "", 4);
  write(id, "p-1", 5);
  Relay relay(flow.load(Flow::url(server.port())));
  ASSERT_TRUE(eventually([&] { return relay.of_partition(1, "committed") == 6; }));
  EXPECT_EQ(arrived.times(id), 1);
  EXPECT_EQ(arrived.times(other_instance), 1);
  EXPECT_EQ(arrived.times(no_provider_id), 2);
  EXPECT_THAT(relay.service().exporter().expose(), HasSubstr("eventrelay_relay_folded_total 2"));
  // Another consumer, which has not read the first of them, takes the second.
  EXPECT_TRUE(relay.drain());
  write(id, "p-1", 6);
  Relay next(flow.load(Flow::url(server.port())));
  ASSERT_TRUE(eventually([&] { return next.of_partition(1, "committed") == 7; }));
  EXPECT_EQ(arrived.times(id), 2);
}

TEST(RelayFlow, RepeatsAfterARestartOnlyWhatWasUnfinished) {
  Arrived arrived;
  std::atomic<bool> held{true};
  Server server(holding(arrived, {Flow::id_of(4), Flow::id_of(6), Flow::id_of(21)}, held));
  Flow flow;
  flow.write(0, 200);
  {
    Relay first(flow.load(Flow::url(server.port())));
    ASSERT_TRUE(eventually([&] { return arrived.distinct() == 197; })) << arrived.distinct();
    EXPECT_TRUE(first.drain());
  }
  held = false;
  Relay second(flow.load(Flow::url(server.port())));
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 200; })) << arrived.distinct();
  ASSERT_TRUE(eventually([&] { return second.of_partition(1, "committed") == 50; }));
  EXPECT_THAT(second.service().status(), Not(HasSubstr("\"already_done\":0")));
  EXPECT_TRUE(arrived.repeated().empty()) << arrived.total();
  EXPECT_TRUE(second.drain());
}

TEST(RelayFlow, SendsNothingTwiceWhenItIsDrainedUnderLoad) {
  Arrived arrived;
  Server server(counting(arrived, milliseconds(5)));
  Flow flow;
  flow.write(0, 2000);
  {
    Relay first(flow.load(Flow::url(server.port())));
    ASSERT_TRUE(eventually([&] { return arrived.distinct() > 300; }));
    EXPECT_TRUE(first.drain());
    EXPECT_THAT(first.service().not_ready(), testing::Contains(HasSubstr("draining")));
  }
  EXPECT_LT(arrived.distinct(), 2000U);
  Relay second(flow.load(Flow::url(server.port())));
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 2000; })) << arrived.distinct();
  EXPECT_EQ(arrived.total(), 2000U);
  EXPECT_TRUE(second.drain());
}

// The embedded broker refuses every commit while members come and go, which a real one does not;
// so what was done since the last commit comes twice here, and only loss can be judged.
TEST(RelayFlow, LosesNothingWhenASecondMemberComesAndTheFirstLeaves) {
  Arrived arrived;
  Server server(counting(arrived, milliseconds(10)));
  Flow flow;
  flow.write(0, 6000);
  Relay first(flow.load(Flow::url(server.port())));
  ASSERT_TRUE(eventually([&] { return arrived.distinct() > 300; }));
  Relay second(flow.load(Flow::url(server.port())));
  ASSERT_TRUE(eventually([&] { return second.owned() == 2 && first.owned() == 2; }));
  EXPECT_TRUE(first.drain());
  ASSERT_TRUE(eventually([&] { return second.owned() == 4; }));
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 6000; }, std::chrono::seconds(60)))
      << arrived.distinct();
  EXPECT_TRUE(eventually([&] { return second.of_partition(2, "committed") == 1500; }));
  EXPECT_TRUE(second.drain());
}

TEST(RelayFlow, StopsAPartitionAtARecordOfAnUnknownVersion) {
  Arrived arrived;
  Server server(counting(arrived));
  Flow flow;
  flow.write(0, 8);
  Flow::Fields unknown;
  unknown.partition = 2;
  unknown.version = "2";
  flow.write(100, 1, unknown);
  flow.write(8, 8);
  Relay relay(flow.load(Flow::url(server.port())));
  // Two of the second eight stand behind the record that can not be read.
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 14; })) << arrived.distinct();
  ASSERT_TRUE(eventually(
      [&] { return relay.service().status().find("\"stopped\"") != std::string::npos; }));
  EXPECT_THAT(relay.service().not_ready(),
              testing::Contains(HasSubstr("partition 2 stopped: offset 2")));
  EXPECT_THAT(relay.service().status(), HasSubstr("\"stopped\":\"offset 2"));
  EXPECT_TRUE(eventually([&] { return relay.of_partition(2, "committed") == 2; }));
  EXPECT_EQ(arrived.times(Flow::id_of(10)), 0);
  EXPECT_TRUE(relay.drain());
}

// The value of a series; nothing: it has no sample.
std::optional<double> scraped(Relay& relay, const std::string& series) {
  const std::string text = relay.service().exporter().expose();
  const std::size_t at = text.find("\neventrelay_" + series + " ");
  if (at == std::string::npos) return std::nullopt;
  return std::stod(text.substr(at + series.size() + 13, 24));
}

double unix_seconds() {
  return static_cast<double>(unix_ms(wall_now())) / 1000;
}

TEST(RelayFlow, TellsSinceWhenTheOldestUnreadEventWaits) {
  Arrived arrived;
  Server server(counting(arrived));
  Flow flow;
  flow.write(0, 8);
  Relay relay(flow.load(Flow::url(server.port())));
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 8; })) << arrived.distinct();
  const std::string oldest = "relay_oldest_unread_timestamp_seconds";
  EXPECT_TRUE(eventually([&] { return !scraped(relay, oldest); }));  // all is read: no sample
  const double before = unix_seconds();
  Flow::Fields unknown;
  unknown.partition = 2;
  unknown.version = "2";
  flow.write(100, 1, unknown);
  flow.write(8, 8);
  // What stands behind the record that can not be read is not read either.
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 14; })) << arrived.distinct();
  ASSERT_TRUE(eventually([&] { return scraped(relay, oldest).has_value(); }));
  const double since = *scraped(relay, oldest);
  EXPECT_GE(since, before - 1);
  EXPECT_LE(since, unix_seconds());
  eventrelay::test::be_slow(milliseconds(700));
  EXPECT_EQ(scraped(relay, oldest), since);  // it grows older
  EXPECT_TRUE(relay.drain());
}

// The delay that is ours: what an event waits for its own slow subscriber is no part of it.
TEST(RelayFlow, CountsTheAgeOfFirstAttemptsWithoutWaitsForASlowSubscriber) {
  Arrived arrived;
  Server server(counting(arrived, milliseconds(150)));
  Flow flow;
  Relay relay(flow.load(Flow::url(server.port()), "allow_private_addresses: true, concurrency: 1"));
  ASSERT_TRUE(eventually([&] { return relay.owned() == 4 && relay.ready(); }));
  flow.write(0, 20);
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 20; })) << arrived.distinct();
  const std::string name = "relay_first_attempt_age_seconds";
  ASSERT_TRUE(eventually([&] { return scraped(relay, name + "_count") == 20.0; }));
  EXPECT_EQ(scraped(relay, name + "_bucket{le=\"1\"}"), 20.0);
  // The whole way of the last took as long as the subscriber needed for all of them.
  EXPECT_LT(*scraped(relay, "relay_event_age_seconds_bucket{le=\"1\"}"), 10.0);
  EXPECT_TRUE(relay.drain());
}

TEST(RelayFlow, CountsAnEventOfADeletedInstanceAsDone) {
  Arrived arrived;
  Server server(counting(arrived));
  Flow flow;
  Relay relay(flow.load(Flow::url(server.port())));
  relay.apply(Changes{{InstanceId{kInstance}, nullptr}});
  flow.write(0, 40);
  ASSERT_TRUE(eventually([&] { return relay.of_partition(3, "committed") == 10; }));
  EXPECT_TRUE(eventually(
      [&] { return relay.service().status().find("\"unmatched\":40,") != std::string::npos; }));
  EXPECT_THAT(relay.service().status(), HasSubstr("\"unknown_instances\":[]"));
  EXPECT_EQ(arrived.total(), 0U);
  EXPECT_TRUE(relay.drain());
}

TEST(RelayFlow, LetsTheEventsOfAnUnknownInstanceWaitForItAndHoldNobodyUp) {
  Arrived arrived;
  Server server(counting(arrived));
  Flow flow;
  const std::string url = Flow::url(server.port());
  Flow::Fields stranger;
  stranger.instance = 99;
  flow.write(0, 40, stranger);
  Relay relay(flow.load(url));
  flow.write(100, 8);
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 8; })) << arrived.distinct();
  ASSERT_TRUE(eventually([&] { return relay.of_partition(3, "committed") == 12; }));
  EXPECT_THAT(relay.service().status(),
              HasSubstr("\"unknown_instances\":[{\"instance\":99,\"events\":40,"));
  relay.apply(
      Changes{{InstanceId{99}, flow.load(url, {}, {}, 99)->registry.share(InstanceId{99})}});
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 48; })) << arrived.distinct();
  EXPECT_TRUE(arrived.repeated().empty());
  EXPECT_TRUE(eventually([&] {
    return relay.service().status().find("\"unknown_instances\":[]") != std::string::npos;
  }));
  EXPECT_TRUE(relay.drain());
}

// Ingest may have been told before that its events are enabled; what it accepted is not lost.
TEST(RelayFlow, LetsTheEventsOfAnInstanceWaitThatIsNotEnabledYet) {
  Arrived arrived;
  Server server(counting(arrived));
  Flow flow;
  const auto enabled = flow.load(Flow::url(server.port()));
  const InstancePtr instance = enabled->registry.share(InstanceId{kInstance});
  auto off = std::make_shared<Instance>(*instance);
  off->events_enabled = false;
  const Registry none;
  const auto settings = std::make_shared<Settings>(*enabled);
  settings->registry =
      none.with_sources(enabled->config).apply(Changes{{InstanceId{kInstance}, off}});
  flow.write(0, 40);
  Relay relay(settings);
  ASSERT_TRUE(eventually([&] { return relay.of_partition(3, "committed") == 10; }));
  EXPECT_THAT(relay.service().status(), HasSubstr("\"unknown_instances\":[{\"instance\":"));
  EXPECT_EQ(arrived.total(), 0U);
  relay.apply(Changes{{InstanceId{kInstance}, instance}});
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 40; })) << arrived.distinct();
  // Disabled by a change, nobody wants its events any more.
  relay.apply(Changes{{InstanceId{kInstance}, off}});
  flow.write(40, 40);
  ASSERT_TRUE(eventually([&] { return relay.of_partition(3, "committed") == 20; }));
  EXPECT_THAT(relay.service().status(), HasSubstr("\"unknown_instances\":[]"));
  EXPECT_EQ(arrived.total(), 40U);
  EXPECT_TRUE(relay.drain());
}

TEST(RelayFlow, GivesAnEventUpWhoseInstanceNeverComes) {
  Arrived arrived;
  Server server(counting(arrived));
  Flow flow;
  Flow::Fields stranger;
  stranger.instance = 99;
  flow.write(0, 1, stranger);
  Relay relay(flow.load(Flow::url(server.port()), {},
                        "relay: {shards: 1, drain_timeout: 5s, unknown_instance_wait: 250ms}\n"));
  kafka::TopicReader dead(flow.client_config(), "t.dead", kafka::From::Beginning);
  std::optional<kafka::Message> message;
  const TimePoint end = monotonic_now() + kPatience;
  while (!message && monotonic_now() < end) message = dead.next(milliseconds(100));
  ASSERT_TRUE(message);
  const auto event = message->event();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->id, Flow::id_of(0));
  ASSERT_TRUE(event->parked);
  EXPECT_EQ(event->parked->reason, "unknown_instance");
  EXPECT_EQ(event->parked->dead_class, kPipelineFailure);
  EXPECT_EQ(arrived.total(), 0U);
  EXPECT_TRUE(relay.drain());
}

InstancePtr instance_at(std::uint64_t id, const std::string& url) {
  static InstanceMaker maker(AnyPort::Yes);
  InstanceConfig config;
  config.id = id;
  config.element = "box";
  config.events_enabled = true;
  config.callback_url = url;
  config.delivery.allow_http = true;
  config.delivery.signature = Signature::None;
  return maker.make(std::move(config));
}

// One of 10,000 gets another address while another one's request is under way: that request ends
// as it began, its connections stay, and the change is in force at once.
TEST(RelayFlow, TouchesNobodyElseWhenOneOfTenThousandInstancesChanges) {
  Arrived arrived;
  std::atomic<bool> held{true};
  Server server([&](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      const bool first = Arrived::header(request, "Elements-Webhook-Id") == Flow::id_of(0);
      while (first && held) Relay::pause();
      arrived.take(request);
      peer.write(kAnswer);
    }
  });
  Arrived moved;
  Server fresh(counting(moved));
  Flow flow;
  Relay relay(flow.load(Flow::url(server.port())));
  Changes all;
  for (std::uint64_t id = 1000; id < 11'000; ++id) {
    all.push_back({InstanceId{id}, instance_at(id, Flow::url(server.port()))});
  }
  relay.apply(std::move(all));
  Flow::Fields one;
  one.instance = 1001;
  flow.write(0, 40, one);
  Flow::Fields other;
  other.instance = 1002;
  flow.write(100, 4, other);
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 43; })) << arrived.distinct();
  const int connections = server.connections();

  const TimePoint begun = monotonic_now();
  relay.apply(Changes{{InstanceId{1002}, instance_at(1002, Flow::url(fresh.port()))}});
  const auto applied =
      std::chrono::duration_cast<std::chrono::microseconds>(monotonic_now() - begun);
  RecordProperty("apply_us", static_cast<int>(applied.count()));
  flow.write(200, 4, other);
  ASSERT_TRUE(eventually([&] { return moved.distinct() == 4; })) << moved.distinct();
  EXPECT_LT(applied, std::chrono::seconds(1));
  EXPECT_EQ(server.connections(), connections);
  held = false;
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 44; })) << arrived.distinct();
  EXPECT_TRUE(arrived.repeated().empty());
  for (const std::string& request : arrived.requests()) {
    EXPECT_TRUE(Arrived::header(request, "Eventrelay-Attempt").empty());
  }
  EXPECT_TRUE(relay.drain());
}

TEST(RelayFlow, ReadsPartitionsToTheirEndAlthoughTheQueueIsFull) {
  Arrived arrived;
  std::atomic<bool> open{false};
  Server server([&](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      while (!open) Relay::pause();
      arrived.take(request);
      peer.write(kAnswer);
    }
  });
  Arrived others;
  Server other(counting(others));
  Flow flow;
  flow.write(0, 3000);  // a queue holds 1000
  // Events of others wait behind them, of one in each partition.
  std::string delivery = "allow_private_addresses: true, concurrency: 4, timeout: 20s";
  for (int id = 0; id < kPartitions; ++id) {
    Flow::Fields fields;
    fields.instance = static_cast<std::uint64_t>(10 + id);
    fields.partition = id;
    flow.write(3000 + id, 1, fields);
    delivery += "}\n  - id: " + std::to_string(fields.instance) +
                "\n    name: other\n    element: box\n    configuration:\n"
                "      event.notification.enabled: true\n      event.notification.callback.url: " +
                Flow::url(other.port()) +
                "\n    delivery: {allow_http: true, allow_private_addresses: true";
  }
  Relay relay(flow.load(Flow::url(server.port()), delivery));
  EXPECT_TRUE(eventually([&] {
    std::int64_t read = 0;
    for (int id = 0; id < kPartitions; ++id) read += relay.of_partition(id, "position");
    return read == 3000 + kPartitions;
  })) << relay.service().status();
  EXPECT_TRUE(eventually([&] { return others.distinct() == kPartitions; }));
  EXPECT_EQ(relay.service().status().find("\"detached\":0"), std::string::npos);
  open = true;
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 3000; })) << arrived.distinct();
  EXPECT_EQ(arrived.total(), 3000U);
  EXPECT_EQ(others.total(), std::size_t{kPartitions});
  EXPECT_TRUE(eventually([&] { return relay.of_partition(0, "committed") == 751; }));
  EXPECT_TRUE(relay.drain());
}

TEST(RelayFlow, DeliversWhatWaitsToTheNewAddressAfterAReload) {
  Arrived arrived;
  Server old([](Peer& peer) {
    while (!peer.read_request().empty()) {
      peer.write("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    }
  });
  Server fresh(counting(arrived));
  Flow flow("100ms, 1s, 20s");
  flow.write(0, 20);
  Relay relay(flow.load(Flow::url(old.port())));
  ASSERT_TRUE(eventually([&] { return old.connections() > 0; }));
  relay.reload(flow.load(Flow::url(fresh.port())));
  ASSERT_TRUE(eventually([&] { return arrived.distinct() == 20; })) << arrived.distinct();
  EXPECT_TRUE(eventually([&] { return relay.of_partition(0, "committed") == 5; }));
  EXPECT_TRUE(relay.drain());
}

TEST(RelayFlow, ConnectsToNoPrivateAddressUnlessAllowed) {
  Arrived arrived;
  Server server(counting(arrived));
  Flow flow;
  flow.write(0, 4);
  Relay relay(flow.load("http://127.0.0.1:" + std::to_string(server.port()) + "/",
                        "ports: [" + std::to_string(server.port()) + "]"));
  ASSERT_TRUE(eventually([&] {
    return relay.service().status().find("\"outcome\":\"blocked\"") != std::string::npos;
  }));
  EXPECT_EQ(server.connections(), 0);
  EXPECT_TRUE(relay.drain());
}

}  // namespace
}  // namespace eventrelay::relay::test
