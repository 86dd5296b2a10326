// Detached subscriptions: the log is their queue, nobody waits for them, nothing is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <thread>

#include "common/process/admin.hpp"
#include "tests/component/relay/flow.hpp"
#include "tests/support/http_probe.hpp"

namespace eventrelay::relay::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr std::uint64_t kOther = 7;

// One receiver for several subscriptions, told apart by path. Thread: any, atomics.
struct Endpoint {
  std::atomic<bool> held{false};  // no answer while it is
  std::atomic<int> may{1 << 30};  // so many answers, then none until more are allowed
  std::atomic<int> gone{0};       // so many answers are 410
  std::atomic<int> failing{0};    // so many answers are 500
  std::atomic<int> slow_ms{0};
  Arrived arrived;  // what was answered with 200
};

Server::Script serving(Endpoint& main, Endpoint& other) {
  return [&main, &other](Peer& peer) {
    for (std::string request; !(request = peer.read_request()).empty();) {
      Endpoint& here = request.rfind("POST /other", 0) == 0 ? other : main;
      while (here.held) Relay::pause();
      for (; here.may.fetch_sub(1) <= 0; Relay::pause()) ++here.may;
      eventrelay::test::be_slow(milliseconds(here.slow_ms.load()));
      if (here.gone.fetch_sub(1) > 0) {
        peer.write("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n");
        continue;
      }
      if (here.failing.fetch_sub(1) > 0) {
        peer.write("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
        continue;
      }
      here.arrived.take(request);
      peer.write(kAnswer);
    }
  };
}

// One subscription beside the other, in the same partition.
struct Scene {
  Endpoint main;
  Endpoint other;
  Server server{serving(main, other)};
  Flow flow;
  int partition = kafka::partition_of(std::to_string(kInstance), kPartitions);

  [[nodiscard]] std::shared_ptr<const Settings> settings(
      const std::string& delivery = "concurrency: 2", int after = 8,
      const std::string& memory = "64MiB") const {
    const std::string both =
        "allow_private_addresses: true, " + delivery +
        "}\n  - id: 7\n    name: other\n    element: box\n    configuration:\n"
        "      event.notification.enabled: true\n      event.notification.callback.url: "
        "http://127.0.0.1:" +
        std::to_string(server.port()) +
        "/other\n    delivery: {allow_http: true, allow_private_addresses: true";
    const std::string more = "relay: {shards: 1, drain_timeout: 5s, memory_max: " + memory +
                             "}\ndetach: {after: " + std::to_string(after) +
                             ", sweep_interval: 100ms}\n";
    return flow.load(Flow::url(server.port()), both, more);
  }
  void write(int first, int count, int objects = 1) {
    Flow::Fields fields;
    fields.partition = partition;
    fields.objects = objects;
    flow.write(first, count, fields);
  }
  void write_other(int first, int count) {
    Flow::Fields fields;
    fields.partition = partition;
    fields.instance = kOther;
    flow.write(first, count, fields);
  }
  [[nodiscard]] bool says(Relay& relay, const std::string& text) const {
    return eventually([&] { return relay.service().status().find(text) != std::string::npos; });
  }
};

// The admin listener of a service, with a thread for its loop. Thread: the test's.
class Admin {
 public:
  explicit Admin(Service& service) {
    service.mount(server_);
    server_.open("127.0.0.1:0");
    thread_ = std::thread([this] { control_.run(); });
  }
  ~Admin() {
    asio::post(control_, [this] { server_.close(); });
    control_.stop();
    thread_.join();
  }

  eventrelay::testing::RawResponse ask(const std::string& method, const std::string& target) {
    eventrelay::testing::HttpProbe probe(server_.address());
    probe.send(method + " " + target +
               " HTTP/1.1\r\nHost: 127.0.0.1\r\n"
               "Content-Type: application/json\r\nContent-Length: 0\r\n\r\n");
    return probe.read();
  }

 private:
  asio::io_context control_{1};
  AdminServer server_{control_};
  std::thread thread_;
};

TEST(RelayDetach, KeepsABacklogInTheLogWhileOthersOfThePartitionFlow) {
  Scene scene;
  scene.main.held = true;
  scene.write(0, 200);
  scene.write_other(1000, 200);
  Relay relay(scene.settings());
  ASSERT_TRUE(eventually([&] { return scene.other.arrived.distinct() == 200; }))
      << scene.other.arrived.distinct() << relay.service().status();
  EXPECT_TRUE(scene.says(relay, "\"detached\":1"));
  EXPECT_TRUE(eventually([&] { return relay.of_partition(scene.partition, "position") == 400; }));
  // What is in flight, and what its queue may hold: not the backlog.
  EXPECT_LE(relay.of_partition(scene.partition, "unfinished"), 8);
  scene.main.held = false;
  ASSERT_TRUE(eventually([&] { return scene.main.arrived.distinct() == 200; }))
      << scene.main.arrived.distinct() << relay.service().status();
  EXPECT_TRUE(scene.says(relay, "\"detached\":0"));
  EXPECT_TRUE(scene.says(relay, "\"attached\":0")) << relay.service().status();
  EXPECT_EQ(scene.main.arrived.total(), 200U);
  EXPECT_TRUE(eventually([&] { return relay.of_partition(scene.partition, "committed") == 400; }));
  scene.write(200, 50);
  EXPECT_TRUE(eventually([&] { return scene.main.arrived.distinct() == 250; }));
  EXPECT_TRUE(relay.drain());
}

// Nobody waits behind a subscription whose answers take so long: its events arrive, and it stays.
void expect_it_stays(int slow_ms, int events) {
  Scene scene;
  scene.main.slow_ms = slow_ms;
  scene.write(0, events);
  Relay relay(scene.settings());
  ASSERT_TRUE(eventually([&] {
    return scene.main.arrived.distinct() == static_cast<std::size_t>(events);
  })) << scene.main.arrived.distinct()
      << relay.service().status();
  const std::string metrics = relay.service().exporter().expose();
  EXPECT_THAT(metrics, HasSubstr("eventrelay_relay_detaches_total 0"));
  EXPECT_THAT(metrics,
              HasSubstr("eventrelay_relay_events_consumed_total " + std::to_string(events)));
  EXPECT_TRUE(relay.drain());
}

// Its first answer comes late, and its queue is full long before.
TEST(RelayDetach, LeavesWhoIsMerelySlowWhereItIsIfNobodyWaitsBehindIt) {
  expect_it_stays(200, 24);
}

// It looks as if it did not answer: its first answer comes long after its queue is full.
TEST(RelayDetach, LeavesWhoIsSlowerThanThatWhereItIsLikewise) {
  expect_it_stays(900, 12);
}

// Its events behind the other's are seen while its queue is not empty, and it could not take them.
TEST(RelayDetach, FindsAgainWhoHadSomethingToDoWhenItsEventsWereSeen) {
  Scene scene;
  scene.main.held = true;
  scene.other.held = true;
  scene.write_other(1000, 16);
  scene.write(0, 20);
  scene.write_other(1016, 20);
  // An event of a third one, of which none has come so far, might be there.
  Relay relay(
      scene.settings("timeout: 60s, concurrency: 2}\n  - id: 8\n    name: third\n    element: box\n"
                     "    configuration:\n      event.notification.enabled: true\n"
                     "      event.notification.callback.url: http://127.0.0.1:8443/\n"
                     "    delivery: {allow_http: true, allow_private_addresses: true"));
  // All that the other one may have at once is under way.
  ASSERT_TRUE(eventually([&] {
    return relay.service().exporter().expose().find("eventrelay_relay_swept_records_total 3") !=
           std::string::npos;
  })) << relay.service().status();
  scene.other.held = false;
  EXPECT_TRUE(eventually([&] { return scene.other.arrived.distinct() == 36; }))
      << scene.other.arrived.distinct() << relay.service().status();
  scene.main.held = false;
  EXPECT_TRUE(eventually([&] { return scene.main.arrived.distinct() == 20; }))
      << scene.main.arrived.distinct() << relay.service().status();
  EXPECT_TRUE(relay.drain());
}

// Long before its attempts run into their time-out, and its breaker opens.
TEST(RelayDetach, MakesRoomInAFullShardByWhoDoesNotAnswer) {
  Scene scene;
  scene.main.held = true;
  constexpr int kLarge = 360;  // of 6 kB: more than the shard may hold
  for (int i = 0; i < kLarge; ++i) scene.write(50 * i + 7, 1);
  scene.write_other(100'000, 50);
  Relay relay(scene.settings("timeout: 60s, concurrency: 2", 1000, "4MiB"));
  EXPECT_TRUE(eventually([&] { return scene.other.arrived.distinct() == 50; }))
      << scene.other.arrived.distinct() << relay.service().status();
  EXPECT_TRUE(scene.says(relay, "\"detached\":1")) << relay.service().status();
  scene.main.held = false;
  EXPECT_TRUE(eventually([&] { return scene.main.arrived.distinct() == kLarge; }))
      << scene.main.arrived.distinct() << relay.service().status();
  EXPECT_TRUE(relay.drain());
}

TEST(RelayDetach, GoesOnAfterARestartWithoutSendingTwice) {
  Scene scene;
  scene.main.slow_ms = 5;
  scene.write(0, 600);
  scene.write_other(100'000, 50);  // behind it: for their sake it is detached
  for (int round = 0; round < 3; ++round) {
    const std::size_t before = scene.main.arrived.distinct();
    scene.main.may = 60;
    Relay relay(scene.settings());
    ASSERT_TRUE(eventually([&] { return scene.main.arrived.distinct() >= before + 60; }))
        << relay.service().status();
    EXPECT_TRUE(scene.says(relay, "\"detached\":1")) << relay.service().status();
    EXPECT_TRUE(relay.drain([&] { scene.main.may = 1 << 30; }));
  }
  EXPECT_LT(scene.main.arrived.distinct(), 600U);
  Relay relay(scene.settings());
  ASSERT_TRUE(eventually([&] { return scene.main.arrived.distinct() == 600; }))
      << scene.main.arrived.distinct() << relay.service().status();
  EXPECT_EQ(scene.main.arrived.total(), 600U);
  EXPECT_TRUE(relay.drain());
}

TEST(RelayDetach, SwitchesOffWhoSaysThatItIsGoneUntilItIsSwitchedOn) {
  Scene scene;
  scene.main.gone = 1;
  scene.write(0, 100);
  Relay relay(scene.settings("concurrency: 1"));
  ASSERT_TRUE(scene.says(relay, "\"paused\":1")) << relay.service().status();
  const std::size_t came = scene.main.arrived.distinct();
  scene.write(100, 20);
  EXPECT_TRUE(eventually([&] { return relay.of_partition(scene.partition, "position") == 120; }));
  EXPECT_EQ(scene.main.arrived.distinct(), came);
  EXPECT_THAT(relay.service().exporter().expose(),
              HasSubstr("eventrelay_relay_dead_letters_total{reason=\"gone\"} 1"));

  Admin admin(relay.service());
  const auto post = [&](const std::string& target, const std::string& method = "POST") {
    return admin.ask(method, target);
  };
  EXPECT_EQ(post("/api/v1/subscriptions/on?id=5").status, 404);
  EXPECT_EQ(post("/api/v1/subscriptions/on").status, 400);
  EXPECT_EQ(post("/api/v1/subscriptions/on?id=427236", "GET").status, 405);
  EXPECT_THAT(post("/api/v1/subscriptions/off?id=427236").body, HasSubstr("\"changed\":false"));
  const auto on = post("/api/v1/subscriptions/on?id=427236");
  EXPECT_EQ(on.status, 200) << on.body;
  EXPECT_THAT(on.body, HasSubstr("\"changed\":true"));
  ASSERT_TRUE(eventually([&] { return scene.main.arrived.distinct() == 119; }))
      << scene.main.arrived.distinct() << relay.service().status();
  EXPECT_EQ(scene.main.arrived.total(), 119U);
  EXPECT_EQ(post("/api/v1/subscriptions/off?id=427236").status, 200);
  scene.write(120, 10);
  EXPECT_TRUE(scene.says(relay, "\"paused\":1"));
  EXPECT_EQ(post("/api/v1/subscriptions/on?id=427236").status, 200);
  EXPECT_TRUE(eventually([&] { return scene.main.arrived.distinct() == 129; }));
  EXPECT_TRUE(relay.drain());
}

// Numbers of one object in the order in which they were taken.
std::map<int, std::vector<int>> by_object(const Arrived& arrived, int objects) {
  std::map<int, std::vector<int>> order;
  for (const std::string& request : arrived.requests()) {
    const int number = std::stoi(Arrived::header(request, "Elements-Webhook-Id").substr(6));
    order[number % objects].push_back(number);
  }
  return order;
}

TEST(RelayDetach, KeepsTheOrderOfAnObjectWhileItsFailedEventWaits) {
  Scene scene;
  scene.main.failing = 3;  // three objects wait for 100 ms
  scene.write(0, 200, 5);
  Relay relay(scene.settings("ordering: object", 1000));
  ASSERT_TRUE(eventually([&] { return scene.main.arrived.distinct() == 200; }))
      << scene.main.arrived.distinct() << relay.service().status();
  EXPECT_EQ(scene.main.arrived.total(), 200U);
  for (const auto& [object, order] : by_object(scene.main.arrived, 5)) {
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end())) << "object " << object;
  }
  EXPECT_TRUE(scene.says(relay, "\"blocked\":0"));
  EXPECT_TRUE(eventually([&] { return relay.of_partition(scene.partition, "committed") == 200; }));
  EXPECT_TRUE(relay.drain());
}

TEST(RelayDetach, KeepsTheOrderOfABlockedObjectOverARestart) {
  Scene scene;
  scene.main.failing = 1;
  scene.write(0, 100, 4);
  {
    Relay relay(scene.settings("ordering: object, retry_delays: [400ms]", 1000));
    ASSERT_TRUE(eventually([&] { return scene.main.arrived.distinct() >= 75; }))
        << scene.main.arrived.distinct() << relay.service().status();
    EXPECT_TRUE(relay.drain());
  }
  Relay relay(scene.settings("ordering: object, retry_delays: [400ms]", 1000));
  ASSERT_TRUE(eventually([&] { return scene.main.arrived.distinct() == 100; }))
      << scene.main.arrived.distinct() << relay.service().status();
  EXPECT_EQ(scene.main.arrived.total(), 100U);
  for (const auto& [object, order] : by_object(scene.main.arrived, 4)) {
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end())) << "object " << object;
  }
  EXPECT_TRUE(relay.drain());
}

TEST(RelayDetach, EndsTheEntriesOfASubscriptionThatIsGone) {
  Scene scene;
  scene.main.held = true;
  scene.write(0, 100);
  Relay relay(scene.settings());
  ASSERT_TRUE(scene.says(relay, "\"detached\":1")) << relay.service().status();
  // Only the other one is left.
  const auto rest = scene.flow.load(Flow::url(scene.server.port()), {}, {}, kOther);
  relay.reload(rest);
  scene.main.held = false;
  EXPECT_TRUE(scene.says(relay, "\"detached\":0")) << relay.service().status();
  EXPECT_TRUE(eventually([&] { return relay.of_partition(scene.partition, "committed") == 100; }))
      << relay.service().status();
  EXPECT_LE(scene.main.arrived.distinct(), 8U);
  EXPECT_TRUE(relay.drain());
}

}  // namespace
}  // namespace eventrelay::relay::test
