// What happens when Kafka, the client or the process itself is in trouble.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "common/base/start_error.hpp"
#include "tests/component/ingest/rig.hpp"

namespace eventrelay::ingest::test {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

// Shorter than in production, so that the tests are; deadlines are looked at four times a second.
[[nodiscard]] SessionLimits short_limits() {
  return {.head = milliseconds{300}, .body = milliseconds{300}, .idle = milliseconds{600}};
}

[[nodiscard]] int status_of(Client& client) {
  const auto answer = client.answer();
  return answer ? answer->status : 0;
}

// Sends events one after the other on connections of its own until told to stop; a connection is
// replaced only where the server has said that it closes. Thread: its own.
class Load {
 public:
  Load(std::uint16_t port, int clients) {
    for (int i = 0; i < clients; ++i) threads_.emplace_back([this, port] { run(port); });
  }
  ~Load() { stop(); }
  void stop() {
    stopping_ = true;
    for (auto& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  std::atomic<int> accepted{0};
  std::atomic<int> refused{0};
  std::atomic<int> broken{0};  // a request without an answer
  std::atomic<int> unconnected{0};

 private:
  void run(std::uint16_t port) {
    std::optional<Client> client;
    for (int i = 0; !stopping_; ++i) {
      try {
        if (!client) client.emplace(port);
      } catch (const std::exception&) {
        ++unconnected;
        return;
      }
      try {
        client->send(BoxEvent{.id = std::to_string(i)}.request());
        const auto answer = client->answer();
        if (!answer) throw std::runtime_error("closed without an answer");
        ++(answer->status == 202 ? accepted : refused);
        if (answer->fields.count("connection") > 0) client.reset();
      } catch (const std::exception&) {
        ++broken;
        client.reset();
      }
    }
  }
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

TEST(IngestSession, RefusesAtTheHeadWhileKafkaStallsAndRecovers) {
  Rig rig({.ingest = "  ack_timeout: 4s\n"});
  rig.cluster().set_round_trip(1, milliseconds{3000});
  Client waiting = rig.client();
  waiting.send(BoxEvent{.id = "waiting"}.request());
  const TimePoint stuck = monotonic_now();
  ASSERT_TRUE(eventually([&] { return rig.shard().figures().stalled; }));
  Client client = rig.client();
  // No body is sent: the refusal does not wait for it.
  client.send(BoxEvent{}.head("", "Content-Length: 500"));
  const auto answer = client.answer();
  EXPECT_LT(monotonic_now() - stuck, milliseconds{1500});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503);
  EXPECT_EQ(answer->fields.count("retry-after"), 1U);
  EXPECT_TRUE(client.closed());
  EXPECT_GE(rig.slab().ingest_rejected_total.read(metrics::Reject::Backpressure), 1U);
  rig.cluster().set_round_trip(1, milliseconds{0});
  EXPECT_EQ(status_of(waiting), 202);
  EXPECT_TRUE(eventually([&] {
    Client again = rig.client();
    again.send(BoxEvent{.id = "after"}.request());
    return status_of(again) == 202;
  }));
}

TEST(IngestSession, Answers503WhenTheAcknowledgementDoesNotCome) {
  Rig rig({.ingest = "  ack_timeout: 300ms\n"});
  rig.cluster().set_round_trip(1, milliseconds{1500});
  Client client = rig.client();
  client.send(BoxEvent{.id = "late"}.request());
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503);
  EXPECT_EQ(answer->fields.count("retry-after"), 1U);
  // The record was on its way: the provider's next attempt carries the same event id.
  rig.cluster().set_round_trip(1, milliseconds{0});
  EXPECT_EQ(rig.records(1).size(), 1U);
}

TEST(IngestSession, StoresTheEventOfAClientThatWentAway) {
  Rig rig;
  rig.cluster().set_round_trip(1, milliseconds{400});
  {
    Client client = rig.client();
    client.send(BoxEvent{.id = "orphan"}.request());
    ASSERT_TRUE(eventually([&] { return rig.shard().figures().inflight == 1; }));
  }
  // Others use the connection's place meanwhile.
  rig.cluster().set_round_trip(1, milliseconds{0});
  Client client = rig.client();
  client.send(BoxEvent{.id = "present"}.request());
  EXPECT_EQ(status_of(client), 202);
  EXPECT_EQ(rig.records(2).size(), 2U);
  EXPECT_TRUE(eventually([&] { return rig.shard().figures().connections == 1; }));
}

TEST(IngestSession, TellsASlowHead408) {
  Rig rig({.limits = short_limits()});
  Client client = rig.client();
  client.send("POST /elements/api-v2/events/box/NDI3MjM2 HTTP/1.1\r\nHost: ");
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 408);
  EXPECT_TRUE(client.closed());
}

TEST(IngestSession, TellsASlowBody408) {
  Rig rig({.limits = short_limits()});
  Client client = rig.client();
  client.send(BoxEvent{}.head("", "Content-Length: 500") + R"({"type":)");
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 408);
  EXPECT_TRUE(client.closed());
}

TEST(IngestSession, ClosesASilentConnectionWithoutAWord) {
  Rig rig({.limits = short_limits()});
  Client fresh = rig.client();
  EXPECT_TRUE(fresh.closed());
  Client idle = rig.client();
  idle.send(BoxEvent{}.request());
  EXPECT_EQ(status_of(idle), 202);
  EXPECT_TRUE(idle.closed());
}

TEST(IngestSession, EndsAConnectionThatIsNeverDoneSendingAfterARefusal) {
  Rig rig({.limits = {.linger = milliseconds{300}}});
  Client client = rig.client();
  client.send(BoxEvent{}.head("", "Content-Length: 3000000"));
  EXPECT_EQ(status_of(client), 413);
  EXPECT_TRUE(eventually([&] {
    client.try_send("x");
    return rig.shard().figures().connections == 0;
  }));
}

TEST(IngestSession, RefusesABodyBeyondTheMemoryBudget) {
  Rig rig({.ingest = "  body_max: 4MiB\n  memory_max: 16MiB\n"});
  const std::string head = BoxEvent{}.head("", "Content-Length: 4000000");
  Client first = rig.client();
  Client second = rig.client();
  first.send(head + "{");
  second.send(head + "{");
  ASSERT_TRUE(eventually([&] { return rig.shard().figures().inflight == 2; }));
  Client client = rig.client();
  client.send(head);
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503);
  EXPECT_EQ(answer->fields.count("retry-after"), 1U);
  Client small = rig.client();
  small.send(BoxEvent{}.request());
  EXPECT_EQ(status_of(small), 202);
}

// Every wait for Kafka is over in time for providers that hang up after 3 s.
TEST(IngestSession, AnswersWithinTwoAndAHalfSecondsUnlessToldOtherwise) {
  Rig rig({.sources = "    ack_timeout: 300ms\n"});
  rig.cluster().set_round_trip(1, milliseconds{6000});
  Client own = rig.client();
  own.send(BoxEvent{.id = "source"}.request());
  TimePoint begin = monotonic_now();
  EXPECT_EQ(status_of(own), 503);
  EXPECT_LT(monotonic_now() - begin, milliseconds{1000});

  Rig plain;
  plain.cluster().set_round_trip(1, milliseconds{6000});
  Client client = plain.client();
  client.send(BoxEvent{.id = "default"}.request());
  begin = monotonic_now();
  EXPECT_EQ(status_of(client), 503);
  EXPECT_LT(monotonic_now() - begin, milliseconds{2500});
  plain.cluster().set_round_trip(1, milliseconds{0});
  rig.cluster().set_round_trip(1, milliseconds{0});
}

TEST(IngestListener, LetsNoOtherProcessShareItsPort) {
  Rig rig;
  // Another process takes its port as a first shard does.
  try {
    const Rig other({.port = rig.port()});
    FAIL() << "two processes share a port";
  } catch (const StartError& error) {
    EXPECT_THAT(error.what(), HasSubstr("in use"));
  }
  // The other shards of this one join it.
  const Rig second({.port = rig.port(), .share = Port::Join});
  const Rig third({.port = rig.port(), .share = Port::Join});
  EXPECT_EQ(third.port(), rig.port());
}

// A client that dials and says nothing.
[[nodiscard]] int silent_client(const Rig& rig) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(rig.port());
  peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(socket, reinterpret_cast<sockaddr*>(&peer), sizeof peer), 0);
  return socket;
}

TEST(IngestTls, CutsTheOldestHandshakeForANewOne) {
  Rig rig({.handshakes_max = 16, .wire = Wire::Tls});
  std::vector<int> half;
  for (int i = 0; i < 200; ++i) half.push_back(silent_client(rig));
  EXPECT_TRUE(eventually([&] { return rig.shard().figures().handshakes_cut >= 184; }));
  EXPECT_LE(rig.shard().figures().handshakes, 16U);
  // Beside them a genuine client is served.
  Client client = rig.client();
  client.send(BoxEvent{}.request());
  EXPECT_EQ(status_of(client), 202);
  char byte = 0;
  EXPECT_EQ(::recv(half.front(), &byte, 1, 0), 0);  // the first was cut
  for (const int socket : half) ::close(socket);
  EXPECT_TRUE(eventually([&] { return rig.shard().figures().handshakes == 0; }));
  rig.on_shard([&] { EXPECT_LE(rig.shard().admission().bytes().used(), 64U << 10); });
}

TEST(IngestTls, HandshakesCountInTheMemoryBudget) {
  // Half of 16 MiB are for bodies and handshakes, and half of that for handshakes.
  Rig rig({.ingest = "  memory_max: 16MiB\n", .wire = Wire::Tls});
  std::vector<int> half;
  for (int i = 0; i < 400; ++i) {
    half.push_back(silent_client(rig));
  }
  EXPECT_TRUE(eventually([&] { return rig.shard().figures().handshakes_cut > 300; }));
  rig.on_shard([&] {
    EXPECT_LE(rig.shard().admission().bytes().used(), 4U << 20);
    EXPECT_GE(rig.shard().admission().bytes().used(), 3U << 20);
  });
  for (const int socket : half) ::close(socket);
}

TEST(IngestListener, PausesAtItsConnectionLimitAndGoesOn) {
  Rig rig({.connections_max = 2});
  std::optional<Client> first = rig.client();
  Client second = rig.client();
  ASSERT_TRUE(eventually([&] { return rig.shard().figures().connections == 2; }));
  Client third = rig.client();  // waits in the kernel's queue
  third.send(BoxEvent{}.request());
  EXPECT_FALSE(third.readable(milliseconds{300}));
  first.reset();
  EXPECT_EQ(status_of(third), 202);
}

TEST(IngestSession, ServesOthersBesideTwoThousandSlowConnections) {
  Rig rig;
  std::vector<Client> slow;
  for (int i = 0; i < 2000; ++i) {
    slow.push_back(rig.client());
    slow.back().send("POST /elements/api-v2/events/box/NDI3MjM2 HTTP/1.1\r\nHost: a\r\nX: ");
  }
  Load load(rig.port(), 4);
  EXPECT_TRUE(eventually([&] { return load.accepted >= 2000; }));
  load.stop();
  EXPECT_EQ(load.broken, 0);
  EXPECT_EQ(load.refused, 0);
  EXPECT_TRUE(eventually(
      [&] { return rig.slab().ingest_requests_total.read(metrics::Code::k408) == 2000; }));
}

TEST(IngestShard, ReloadSwapsKeysWithoutFailingARequest) {
  Rig rig;
  Client half = rig.client();
  const BoxEvent old_key;
  const std::string request = old_key.request();
  half.send(request.substr(0, request.size() - 10));
  ASSERT_TRUE(eventually([&] { return rig.shard().figures().inflight == 1; }));
  rig.reload("rotated-key");
  // The request that was under way is judged by the keys it began with.
  half.send(request.substr(request.size() - 10));
  EXPECT_EQ(status_of(half), 202);
  half.send(request);
  EXPECT_EQ(status_of(half), 401);
  half.send(BoxEvent{.key = "rotated-key"}.request());
  EXPECT_EQ(status_of(half), 202);
}

TEST(IngestShard, ReloadUnderLoadFailsNothing) {
  Rig rig;
  Load load(rig.port(), 4);
  for (int i = 0; i < 20; ++i) {
    const int before = load.accepted;
    rig.reload("primary-key");
    ASSERT_TRUE(eventually([&] { return load.accepted > before + 20; }));
  }
  load.stop();
  EXPECT_EQ(load.refused, 0);
  EXPECT_EQ(load.broken, 0);
}

TEST(IngestShard, DrainUnderLoadResetsNoRequest) {
  Rig rig;
  Load load(rig.port(), 8);
  ASSERT_TRUE(eventually([&] { return load.accepted > 500; }));
  std::atomic<bool> drained{false};
  const int before = load.accepted;
  rig.begin_drain(milliseconds{500}, [&] { drained = true; });
  EXPECT_TRUE(eventually([&] { return load.accepted > before + 100; }));  // during the delay
  ASSERT_TRUE(eventually([&] { return drained.load(); }));
  load.stop();
  EXPECT_EQ(load.broken, 0);
  EXPECT_EQ(load.refused, 0);
  EXPECT_EQ(load.unconnected, 8);  // each connected again and was refused
  const auto stored = rig.slab().ingest_events_total.read();
  EXPECT_EQ(stored, static_cast<std::uint64_t>(load.accepted.load()));
}

TEST(IngestShard, DrainAnswersWhatWaitsForKafka) {
  Rig rig;
  rig.cluster().set_round_trip(1, milliseconds{700});
  Client client = rig.client();
  client.send(BoxEvent{}.request());
  ASSERT_TRUE(eventually([&] { return rig.shard().figures().inflight == 1; }));
  std::atomic<bool> drained{false};
  rig.begin_drain(milliseconds{0}, [&] { drained = true; });
  const auto answer = client.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 202);
  EXPECT_EQ(answer->fields.at("connection"), "close");
  EXPECT_TRUE(client.closed());
  EXPECT_TRUE(eventually([&] { return drained.load(); }));
}

TEST(IngestShard, DrainLetsIdleClientsGo) {
  Rig rig;
  Client idle = rig.client();
  idle.send(BoxEvent{}.request());
  EXPECT_EQ(status_of(idle), 202);
  std::atomic<bool> drained{false};
  rig.begin_drain(milliseconds{0}, [&] { drained = true; });
  EXPECT_TRUE(idle.closed());
  EXPECT_TRUE(eventually([&] { return drained.load(); }));
}

}  // namespace
}  // namespace eventrelay::ingest::test
