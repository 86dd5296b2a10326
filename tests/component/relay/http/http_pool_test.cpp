// Connections and their pool against a real peer on loopback: reuse, faults in every phase, limits,
// and where they refuse to connect at all.
#include "relay/http/http_pool.hpp"

#include <gtest/gtest.h>

#include <condition_variable>

#include "tests/component/relay/peer.hpp"
#include "tests/support/eventually.hpp"

namespace eventrelay::relay::test {
namespace {

using metrics::Outcome;
using std::chrono::milliseconds;

// Answers every request with `answer`.
Server::Script always(const std::string& answer) {
  return [answer](Peer& peer) {
    while (!peer.read_request().empty()) peer.write(answer);
  };
}

// An address whose listen queue is full: connecting to it hangs. Thread: the test's.
class DeadAddress {
 public:
  DeadAddress(const char* address, std::uint16_t port) : full_(context_, asio::ip::tcp::v4()) {
    full_.set_option(asio::socket_base::reuse_address(true));
    full_.bind({asio::ip::make_address(address), port});
    full_.listen(0);
    for (int i = 0; i < 3; ++i) {
      fill_.emplace_back(context_, asio::ip::tcp::v4());
      fill_.back().non_blocking(true);
      const auto target = full_.local_endpoint();
      (void)::connect(fill_.back().native_handle(), target.data(),
                      static_cast<socklen_t>(target.size()));
    }
  }
  [[nodiscard]] std::uint16_t port() const { return full_.local_endpoint().port(); }

 private:
  asio::io_context context_;
  asio::ip::tcp::acceptor full_;
  std::vector<asio::ip::tcp::socket> fill_;
};

TEST(HttpPool, SendsTheBytesOfAllPartsInOrder) {
  std::string seen;
  Server server([&](Peer& peer) {
    seen = peer.read_request();
    peer.write(kAnswer);
  });
  Client client;
  TestExchange exchange;
  client.start(exchange, client.pool().endpoint(Client::key(server.port())),
               {"POST /a?b HTTP/1.1\r\nContent-Length: 9\r\n\r\n", "one", "two", "end"});
  ASSERT_TRUE(client.run_until([&] { return exchange.end.has_value(); }));
  EXPECT_EQ(exchange.end->status, 200);
  EXPECT_EQ(seen, "POST /a?b HTTP/1.1\r\nContent-Length: 9\r\n\r\nonetwoend");
}

TEST(HttpPool, UsesAConnectionAgain) {
  Server server(always(kAnswer));
  Client client;
  const auto endpoint = client.pool().endpoint(Client::key(server.port()));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(client.exchange(endpoint).status, 200);
  EXPECT_EQ(server.connections(), 1);
  EXPECT_EQ(client.pool().stats().dials, 1U);
  EXPECT_EQ(client.pool().idle(), 1U);
}

TEST(HttpPool, UsesAConnectionAgainAfterEachAnswerThatIsWhole) {
  const std::vector<std::string> answers{
      "HTTP/1.1 204 No Content\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      "HTTP/1.1 100 Continue\r\n\r\n" + kAnswer,
      "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops",
      "HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"};
  for (const std::string& answer : answers) {
    Server server(always(answer));
    Client client;
    const auto endpoint = client.pool().endpoint(Client::key(server.port()));
    for (int i = 0; i < 3; ++i) EXPECT_NE(client.exchange(endpoint).status, 0) << answer;
    EXPECT_EQ(server.connections(), 1) << answer;
  }
}

TEST(HttpPool, DoesNotKeepAConnectionThatIsNotCertain) {
  const std::vector<std::string> answers{
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", kAnswer + "x",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"};
  for (const std::string& answer : answers) {
    Server server(always(answer));
    Client client;
    const auto endpoint = client.pool().endpoint(Client::key(server.port()));
    for (int i = 0; i < 2; ++i) EXPECT_EQ(client.exchange(endpoint).outcome, Outcome::Ok);
    EXPECT_EQ(server.connections(), 2) << answer;
  }
}

TEST(HttpPool, ReadsUntilTheEndWhenTheAnswerHasNoLength) {
  Server server([](Peer& peer) {
    peer.read_request();
    peer.write("HTTP/1.1 200 OK\r\n\r\nhello");
  });
  Client client;
  const auto endpoint = client.pool().endpoint(Client::key(server.port()));
  EXPECT_EQ(client.exchange(endpoint).outcome, Outcome::Ok);
  EXPECT_EQ(client.pool().connections(), 0U);
}

TEST(HttpPool, NoticesThatAnIdleConnectionWasClosed) {
  Server server([](Peer& peer) {
    peer.read_request();
    peer.write(kAnswer);
  });
  Client client;
  const auto endpoint = client.pool().endpoint(Client::key(server.port()));
  EXPECT_EQ(client.exchange(endpoint).status, 200);
  ASSERT_TRUE(client.run_until([&] { return client.pool().connections() == 0; }));
  EXPECT_EQ(client.exchange(endpoint).status, 200);
  EXPECT_EQ(client.pool().stats().stale, 0U);
}

TEST(HttpPool, SendsAgainAtOnceWhenAKeptConnectionEndsUnderTheRequest) {
  Server server([](Peer& peer) {
    if (!peer.read_request().empty()) peer.write(kAnswer);
    if (peer.number() > 1) return peer.wait_closed();
    peer.read_request();  // and closes without a word
  });
  Client client;
  const auto endpoint = client.pool().endpoint(Client::key(server.port()));
  EXPECT_EQ(client.exchange(endpoint).status, 200);
  EXPECT_EQ(client.exchange(endpoint).status, 200);
  EXPECT_EQ(server.connections(), 2);
  EXPECT_EQ(client.pool().stats().stale, 1U);
}

TEST(HttpPool, SendsAgainOnlyOnce) {
  Server server([](Peer& peer) {
    if (peer.number() == 1 && !peer.read_request().empty()) peer.write(kAnswer);
    peer.read_request();
    peer.reset();
  });
  Client client;
  const auto endpoint = client.pool().endpoint(Client::key(server.port()));
  EXPECT_EQ(client.exchange(endpoint).status, 200);
  EXPECT_EQ(client.exchange(endpoint).outcome, Outcome::Reset);
  EXPECT_EQ(server.connections(), 2);
}

TEST(HttpPool, DoesNotSendAgainWhenSomethingOfTheAnswerHasCome) {
  Server server([](Peer& peer) {
    peer.read_request();
    peer.write(kAnswer);
    peer.read_request();
    peer.write("HTTP/1.1 2");
  });
  Client client;
  const auto endpoint = client.pool().endpoint(Client::key(server.port()));
  EXPECT_EQ(client.exchange(endpoint).status, 200);
  EXPECT_EQ(client.exchange(endpoint).outcome, Outcome::Protocol);
  EXPECT_EQ(server.connections(), 1);
}

TEST(HttpPool, ReportsAFreshConnectionThatIsResetWithoutTryingAgain) {
  Server server([](Peer& peer) {
    peer.read_request();
    peer.reset();
  });
  Client client;
  const auto endpoint = client.pool().endpoint(Client::key(server.port()));
  EXPECT_EQ(client.exchange(endpoint).outcome, Outcome::Reset);
  EXPECT_EQ(server.connections(), 1);
}

TEST(HttpPool, ClosesAConnectionThatSpeaksWithoutBeingAsked) {
  Server server([](Peer& peer) {
    peer.read_request();
    peer.write(kAnswer);
    eventrelay::test::be_slow(milliseconds(50));
    peer.write(kAnswer);
    peer.wait_closed();
  });
  Client client;
  const auto endpoint = client.pool().endpoint(Client::key(server.port()));
  EXPECT_EQ(client.exchange(endpoint).status, 200);
  EXPECT_TRUE(client.run_until([&] { return client.pool().connections() == 0; }));
}

// --- hanging and flooding endpoints -------------------------------------------------------------

TEST(HttpPool, EndsAnAttemptWhenTheEndpointNeverAnswers) {
  Server server([](Peer& peer) { peer.wait_closed(); });
  Client client;
  const auto endpoint = client.pool().endpoint(Client::key(server.port()));
  EXPECT_EQ(client.exchange(endpoint, milliseconds(150)).outcome, Outcome::Timeout);
  EXPECT_EQ(client.pool().connections(), 0U);
}

TEST(HttpPool, TakesTheStatusWhenTheHeadNeverEnds) {
  Server server([](Peer& peer) {
    peer.read_request();
    peer.write("HTTP/1.1 200 OK\r\n");
    peer.wait_closed();
  });
  Client client;
  const auto endpoint = client.pool().endpoint(Client::key(server.port()));
  EXPECT_EQ(client.exchange(endpoint, milliseconds(150)).outcome, Outcome::Ok);
}

TEST(HttpPool, EndsAnAttemptWhenInterimAnswersNeverEnd) {
  Server server([](Peer& peer) {
    peer.read_request();
    while (peer.write("HTTP/1.1 102 Processing\r\n\r\n"))
      eventrelay::test::be_slow(milliseconds(20));
  });
  Client client;
  const auto endpoint = client.pool().endpoint(Client::key(server.port()));
  EXPECT_EQ(client.exchange(endpoint, milliseconds(250)).outcome, Outcome::Timeout);
}

TEST(HttpPool, TakesTheStatusWhenTheBodyNeverEnds) {
  Server server([](Peer& peer) {
    peer.read_request();
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
    peer.wait_closed();
  });
  Client client;
  const auto endpoint = client.pool().endpoint(Client::key(server.port()));
  EXPECT_EQ(client.exchange(endpoint, milliseconds(150)).outcome, Outcome::Ok);
  EXPECT_EQ(client.pool().connections(), 0U);
}

TEST(HttpPool, EndsAnAttemptWhenNobodyAcceptsTheConnection) {
  DeadAddress dead("127.0.0.1", 0);
  PoolOptions options;
  options.connect_timeout = milliseconds(150);
  Client client(options);
  const auto endpoint = client.pool().endpoint(Client::key(dead.port()));
  EXPECT_EQ(client.exchange(endpoint).outcome, Outcome::Timeout);
}

TEST(HttpPool, ReportsARefusedConnection) {
  std::uint16_t port = 0;
  {
    Server server(always(kAnswer));
    port = server.port();
  }
  Client client;
  EXPECT_EQ(client.exchange(client.pool().endpoint(Client::key(port))).outcome, Outcome::Connect);
}

TEST(HttpPool, TakesTheStatusAndClosesOnEndlessFields) {
  Server server([](Peer& peer) {
    peer.read_request();
    peer.write("HTTP/1.1 200 OK\r\n");
    while (peer.write("a: " + std::string(1000, 'b') + "\r\n")) {
    }
  });
  Client client;
  const auto endpoint = client.pool().endpoint(Client::key(server.port()));
  EXPECT_EQ(client.exchange(endpoint).outcome, Outcome::Ok);
  EXPECT_EQ(client.pool().connections(), 0U);
}

TEST(HttpPool, TakesTheStatusOfATenMegabyteAnswerAndReadsNoMoreThanTheBound) {
  std::atomic<std::size_t> sent{0};
  Server server([&](Peer& peer) {
    peer.socket().set_option(asio::socket_base::send_buffer_size(64 << 10));
    peer.read_request();
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n");
    while (sent < 10485760 && peer.write(std::string(16384, 'x'))) sent += 16384;
  });
  Client client;
  const auto endpoint = client.pool().endpoint(Client::key(server.port()));
  EXPECT_EQ(client.exchange(endpoint).outcome, Outcome::Ok);
  EXPECT_EQ(client.pool().connections(), 0U);
  EXPECT_LT(sent, 10485760U);
}

// Begins to read when the sender has found the buffers full.
auto reads_late(std::string& seen) {
  return [&seen](Peer& peer) {
    eventrelay::test::be_slow(milliseconds(50));
    seen = peer.read_request();
    peer.write(kAnswer);
    peer.wait_closed();
  };
}

TEST(HttpPool, SendsARequestLargerThanTheSocketBuffers) {
  const std::string body(8 << 20, 'y');
  std::string seen;
  Server server(reads_late(seen));
  Client client;
  TestExchange exchange;
  const std::string head = "POST / HTTP/1.1\r\nContent-Length: 8388612\r\n\r\n";
  client.start(exchange, client.pool().endpoint(Client::key(server.port())),
               {head, "ab", body, "cd"});
  ASSERT_TRUE(client.run_until([&] { return exchange.end.has_value(); }));
  EXPECT_EQ(exchange.end->status, 200);
  EXPECT_EQ(seen, head + "ab" + body + "cd");
  EXPECT_EQ(client.pool().idle(), 1U);
}

// The next request is composed in the same place.
TEST(HttpPool, SendsTheRestOfARequestWhosePartsWereOverwritten) {
  const std::string body(8 << 20, 'y');
  std::string seen;
  Server server(reads_late(seen));
  class Overwritten final : public Exchange {
   public:
    [[nodiscard]] Parts compose() override {
      composed = true;
      return {asio::buffer(head), asio::buffer(prefix), asio::buffer(*raw), asio::buffer(suffix)};
    }
    void on_done(const Result& result) override { end = result; }

    std::string head = "POST / HTTP/1.1\r\nContent-Length: 16777216\r\n\r\n";
    std::string prefix = std::string((8 << 20) - 2, 'p');
    const std::string* raw = nullptr;
    std::string suffix = "cd";
    bool composed = false;
    std::optional<Result> end;
  };
  Client client;
  Overwritten exchange;
  exchange.raw = &body;
  exchange.deadline = monotonic_now() + kPatience;
  exchange.delivery = Delivery(Delivery::Scheme::Http, {});
  const std::string whole = exchange.head + exchange.prefix + body + exchange.suffix;
  client.pool().start(client.pool().endpoint(Client::key(server.port())), exchange);
  ASSERT_TRUE(client.run_until([&] { return exchange.composed; }));
  for (std::string* const part : {&exchange.head, &exchange.prefix, &exchange.suffix}) {
    part->assign(part->size(), '-');
  }
  ASSERT_TRUE(client.run_until([&] { return exchange.end.has_value(); }));
  EXPECT_EQ(exchange.end->status, 200);
  EXPECT_TRUE(seen == whole);
}

TEST(HttpPool, TakesAnAnswerThatComesBeforeTheRequestHasLeft) {
  Server server([](Peer& peer) {
    peer.write("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    eventrelay::test::be_slow(milliseconds(200));
  });
  Client client;
  TestExchange exchange;
  client.start(exchange, client.pool().endpoint(Client::key(server.port())),
               {"POST / HTTP/1.1\r\nContent-Length: 33554432\r\n\r\n", std::string(32 << 20, 'y')});
  ASSERT_TRUE(client.run_until([&] { return exchange.end.has_value(); }));
  EXPECT_EQ(exchange.end->status, 413);
  EXPECT_EQ(client.pool().idle(), 0U);
}

// --- age ----------------------------------------------------------------------------------------

TEST(HttpPool, ClosesAConnectionThatWasIdleForTooLong) {
  Server server(always(kAnswer));
  PoolOptions options;
  options.slot.idle_max = milliseconds(100);
  Client client(options);
  const auto endpoint = client.pool().endpoint(Client::key(server.port()));
  EXPECT_EQ(client.exchange(endpoint).status, 200);
  EXPECT_EQ(client.pool().idle(), 1U);
  EXPECT_TRUE(client.run_until([&] { return client.pool().connections() == 0; }));
}

TEST(HttpPool, KeepsNoMoreIdleConnectionsThanItsBound) {
  Server server(always(kAnswer));
  PoolOptions options;
  options.idle_in_all = 2;
  Client client(options);
  const auto endpoint = client.pool().endpoint(Client::key(server.port()));
  std::vector<TestExchange> exchanges(5);
  for (TestExchange& exchange : exchanges) {
    client.start(exchange, endpoint, {"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"});
    // The next start() reuses the kept strings; the bytes are sent before.
    ASSERT_TRUE(client.run_until([&] { return server.connections() > 0; }));
    client.context().poll();
  }
  ASSERT_TRUE(client.run_until([&] {
    return std::all_of(exchanges.begin(), exchanges.end(),
                       [](const auto& exchange) { return exchange.end.has_value(); });
  }));
  EXPECT_LE(client.pool().idle(), 2U);
}

// --- names and addresses ------------------------------------------------------------------------

asio::ip::address ip(const char* text) {
  return asio::ip::make_address(text);
}

EndpointKey public_only(std::uint16_t port, const std::string& host) {
  EndpointKey key = Client::key(port);
  key.host = host;
  key.allow_private = false;
  return key;
}

TEST(HttpPool, RefusesLoopbackUnlessAllowed) {
  Server server(always(kAnswer));
  Client client({}, [](const std::string&) { return LookupAnswer{{ip("127.0.0.1")}}; });
  for (const char* host : {"127.0.0.1", "callback.test"}) {
    const auto endpoint = client.pool().endpoint(public_only(server.port(), host));
    EXPECT_EQ(client.exchange(endpoint).outcome, Outcome::Blocked) << host;
  }
  EXPECT_EQ(server.connections(), 0);
}

TEST(HttpPool, RefusesAPortThatIsNotAllowed) {
  Server server(always(kAnswer));
  Client client;
  EndpointKey key = Client::key(server.port());
  key.port_allowed = false;
  EXPECT_EQ(client.exchange(client.pool().endpoint(key)).outcome, Outcome::Blocked);
  EXPECT_EQ(server.connections(), 0);
}

TEST(HttpPool, JudgesEveryAnswerOfANameThatChanges) {
  // No answer is public throughout, so no packet may leave however often it is asked.
  const std::vector<Addresses> answers{{ip("127.0.0.1")},
                                       {ip("203.0.113.1"), ip("127.0.0.1")},
                                       {ip("8.8.8.8"), ip("127.0.0.1")},
                                       {ip("::ffff:127.0.0.1")},
                                       {ip("::1"), ip("2606:4700:4700::1111")},
                                       {ip("169.254.169.254")},
                                       {ip("10.0.0.1")}};
  std::atomic<std::size_t> asked{0};
  Server server(always(kAnswer));
  Client client({}, [&](const std::string&) {
    return LookupAnswer{answers[asked++ % answers.size()], Duration::zero()};
  });
  const auto endpoint = client.pool().endpoint(public_only(server.port(), "rebind.test"));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(client.exchange(endpoint).outcome, Outcome::Blocked) << i;
  }
  EXPECT_EQ(asked, 1000U);
  EXPECT_EQ(server.connections(), 0);
}

TEST(HttpPool, TriesTheNextAddressWhenOneRefuses) {
  Server server(always(kAnswer));
  Client client({}, [](const std::string&) {
    return LookupAnswer{{ip("127.0.0.2"), ip("::1"), ip("127.0.0.1")}};
  });
  EndpointKey key = Client::key(server.port());
  key.host = "many.test";
  EXPECT_EQ(client.exchange(client.pool().endpoint(key)).status, 200);
}

TEST(HttpPool, DialsTheNextAddressWhenOneDoesNotAnswerAndRemembersWhichWorked) {
  Server server(always("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
  const DeadAddress first("127.0.0.2", server.port());
  const DeadAddress second("127.0.0.3", server.port());
  Client client({}, [](const std::string&) {
    return LookupAnswer{{ip("127.0.0.2"), ip("127.0.0.3"), ip("127.0.0.1")}};
  });
  EndpointKey key = Client::key(server.port());
  key.host = "many.test";
  const auto endpoint = client.pool().endpoint(key);
  const TimePoint begun = monotonic_now();
  EXPECT_EQ(client.exchange(endpoint).status, 200);
  const Duration both = monotonic_now() - begun;
  EXPECT_GE(both, milliseconds(500));
  EXPECT_LT(both, milliseconds(2000));
  const TimePoint again = monotonic_now();
  EXPECT_EQ(client.exchange(endpoint).status, 200);
  EXPECT_LT(monotonic_now() - again, milliseconds(200));
}

TEST(HttpPool, ReachesTheLastOfManyDeadAddressesWithFewSockets) {
  Server server(always(kAnswer));
  std::vector<std::unique_ptr<DeadAddress>> dead;
  Addresses addresses;
  for (int i = 2; i <= 8; ++i) {
    const std::string address = "127.0.0." + std::to_string(i);
    dead.push_back(std::make_unique<DeadAddress>(address.c_str(), server.port()));
    addresses.push_back(ip(address.c_str()));
  }
  addresses.push_back(ip("127.0.0.1"));
  Client client({}, [&](const std::string&) { return LookupAnswer{addresses}; });
  EndpointKey key = Client::key(server.port());
  key.host = "many.test";
  const TimePoint begun = monotonic_now();
  EXPECT_EQ(client.exchange(client.pool().endpoint(key), std::chrono::seconds(15)).status, 200);
  EXPECT_LT(monotonic_now() - begun, std::chrono::seconds(4)) << "no dead one is waited for";
}

TEST(HttpPool, BoundsTheTimeOfEachAddressThatDoesNotAnswer) {
  const DeadAddress dead("127.0.0.2", 0);
  PoolOptions options;
  options.connect_timeout = milliseconds(300);
  Client client(options, [](const std::string&) {
    return LookupAnswer{{ip("127.0.0.2"), ip("127.0.0.2"), ip("127.0.0.3")}};
  });
  EndpointKey key = Client::key(dead.port());
  key.host = "dead.test";
  const TimePoint begun = monotonic_now();
  EXPECT_EQ(client.exchange(client.pool().endpoint(key)).outcome, Outcome::Timeout);
  EXPECT_LT(monotonic_now() - begun, milliseconds(1500));
}

TEST(HttpPool, AsksAnotherAddressNextTimeWhenOneTakesTheConnectionAndIsSilent) {
  Server server(always(kAnswer));
  asio::io_context context;
  const asio::ip::tcp::acceptor silent(context, {ip("127.0.0.2"), server.port()});
  Client client({}, [](const std::string&) {
    return LookupAnswer{{ip("127.0.0.2"), ip("127.0.0.1")}};
  });
  EndpointKey key = Client::key(server.port());
  key.host = "many.test";
  const auto endpoint = client.pool().endpoint(key);
  EXPECT_EQ(client.exchange(endpoint, milliseconds(200)).outcome, Outcome::Timeout);
  EXPECT_EQ(client.exchange(endpoint).status, 200);
}

TEST(HttpPool, DoesNotCountTheTimeOfALookupAgainstTheEndpoint) {
  Server server([](Peer& peer) {
    peer.read_request();
    eventrelay::test::be_slow(milliseconds(150));  // the deadline is looked at meanwhile
    peer.write(kAnswer);
  });
  Client client({}, [](const std::string&) {
    eventrelay::test::be_slow(milliseconds(600));
    return LookupAnswer{{ip("127.0.0.1")}};
  });
  EndpointKey key = Client::key(server.port());
  key.host = "slow.test";
  EXPECT_EQ(client.exchange(client.pool().endpoint(key), milliseconds(300)).status, 200);
}

TEST(HttpPool, ReportsANameWithoutAddress) {
  Client client({}, [](const std::string&) { return LookupAnswer{}; });
  EndpointKey key = Client::key(1);
  key.host = "nowhere.test";
  EXPECT_EQ(client.exchange(client.pool().endpoint(key)).outcome, Outcome::Dns);
}

TEST(HttpPool, EndsAnAttemptWhenTheLookupHangs) {
  std::mutex mutex;
  std::condition_variable wake;
  bool over = false;
  PoolOptions options;
  options.lookup_timeout = milliseconds(150);
  Client client(options, [&](const std::string&) {
    std::unique_lock lock(mutex);
    wake.wait(lock, [&] { return over; });
    return LookupAnswer{};
  });
  EndpointKey key = Client::key(1);
  key.host = "slow.test";
  EXPECT_EQ(client.exchange(client.pool().endpoint(key)).outcome, Outcome::Dns);
  const std::lock_guard lock(mutex);
  over = true;
  wake.notify_all();
}

}  // namespace
}  // namespace eventrelay::relay::test
