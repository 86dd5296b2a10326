// The resolver's cache: single flight, lifetimes, bounds; and c-ares before a name server of ours.
#include "relay/http/resolver.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <mutex>

#include "relay/http/cares_names.hpp"
#include "tests/component/relay/peer.hpp"

namespace eventrelay::relay {
namespace {

using std::chrono::milliseconds;

// Counts lookups; blocks them while `closed`.
struct Gate {
  LookupAnswer answer(const Addresses& addresses, std::optional<Duration> ttl = {}) {
    ++lookups;
    std::unique_lock lock(mutex);
    wake.wait(lock, [this] { return !closed; });
    return LookupAnswer{addresses, ttl};
  }
  void open() {
    const std::lock_guard lock(mutex);
    closed = false;
    wake.notify_all();
  }

  std::atomic<int> lookups{0};
  std::mutex mutex;
  std::condition_variable wake;
  bool closed = false;
};

ResolverOptions options_of(test::Lookup lookup) {
  ResolverOptions options;
  options.names = std::make_shared<test::ScriptedNames>(std::move(lookup));
  return options;
}

const Addresses kOne{asio::ip::make_address("192.0.2.1")};

class ResolverTest : public testing::Test {
 protected:
  Resolved ask(Resolver& resolver, const std::string& host) {
    Resolved got;
    resolver.lookup(host, context.get_executor(), [&](Resolved answer) { got = answer; });
    run_until([&] { return got != nullptr; });
    return got;
  }
  void run_until(const std::function<bool()>& ready) {
    const TimePoint end = monotonic_now() + std::chrono::seconds(10);
    while (!ready() && monotonic_now() < end) {
      context.restart();
      context.run_one_for(milliseconds(5));
    }
  }

  asio::io_context context{1};
  Gate gate;
};

TEST_F(ResolverTest, AnswersLiteralsAtOnce) {
  Resolver resolver(options_of([&](const std::string&) { return gate.answer(kOne); }));
  ASSERT_NE(resolver.find("127.0.0.1"), nullptr);
  ASSERT_NE(resolver.find("2001:db8::1"), nullptr);
  EXPECT_EQ(resolver.find("localhost"), nullptr);
  EXPECT_EQ(gate.lookups, 0);
}

TEST_F(ResolverTest, AsksOncePerNameAndRemembers) {
  Resolver resolver(options_of([&](const std::string&) { return gate.answer(kOne); }));
  EXPECT_EQ(ask(resolver, "a.test")->addresses, kOne);
  ASSERT_NE(resolver.find("a.test"), nullptr);
  EXPECT_EQ(ask(resolver, "a.test")->addresses, kOne);
  EXPECT_EQ(gate.lookups, 1);
}

TEST_F(ResolverTest, AsksOnceForAllWhoWait) {
  gate.closed = true;
  Resolver resolver(options_of([&](const std::string&) { return gate.answer(kOne); }));
  int answers = 0;
  for (int i = 0; i < 100; ++i) {
    resolver.lookup("a.test", context.get_executor(), [&](const Resolved&) { ++answers; });
  }
  gate.open();
  run_until([&] { return answers == 100; });
  EXPECT_EQ(answers, 100);
  EXPECT_EQ(gate.lookups, 1);
}

TEST_F(ResolverTest, KeepsAnAnswerAtLeastForTheFloor) {
  ResolverOptions options =
      options_of([&](const std::string&) { return gate.answer(kOne, Duration::zero()); });
  options.ttl_floor = std::chrono::hours(1);
  options.ttl_ceiling = std::chrono::hours(2);
  Resolver resolver(options);
  static_cast<void>(ask(resolver, "a.test"));
  EXPECT_NE(resolver.find("a.test"), nullptr);
  EXPECT_EQ(gate.lookups, 1);
}

TEST_F(ResolverTest, ForgetsAnAnswerThatIsStaleForTooLong) {
  ResolverOptions options =
      options_of([&](const std::string&) { return gate.answer(kOne, std::chrono::hours(1)); });
  options.ttl_floor = options.stale_max = Duration::zero();
  options.ttl_ceiling = milliseconds(20);
  Resolver resolver(options);
  static_cast<void>(ask(resolver, "a.test"));
  run_until([&] { return resolver.find("a.test") == nullptr; });
  static_cast<void>(ask(resolver, "a.test"));
  EXPECT_EQ(gate.lookups, 2);
}

// Expired at once, so that each look is one at an expired answer.
ResolverOptions expiring(test::Lookup lookup) {
  ResolverOptions options = options_of(std::move(lookup));
  options.ttl_floor = options.ttl_ceiling = options.negative = Duration::zero();
  return options;
}

TEST_F(ResolverTest, ServesAnExpiredAnswerWhileTheNewOneIsFetched) {
  const Addresses two{asio::ip::make_address("192.0.2.2")};
  Resolver resolver(
      expiring([&](const std::string&) { return gate.answer(gate.lookups == 0 ? kOne : two); }));
  EXPECT_EQ(ask(resolver, "a.test")->addresses, kOne);
  {
    const std::lock_guard lock(gate.mutex);
    gate.closed = true;
  }
  for (int i = 0; i < 10; ++i) {
    ASSERT_NE(resolver.find("a.test"), nullptr);
    EXPECT_EQ(resolver.find("a.test")->addresses, kOne);
  }
  run_until([&] { return gate.lookups == 2; });
  EXPECT_EQ(gate.lookups, 2) << "one question at a time";
  gate.open();
  run_until([&] { return resolver.find("a.test")->addresses == two; });
  EXPECT_EQ(resolver.find("a.test")->addresses, two);
}

TEST_F(ResolverTest, ServesTheOldAnswerWhileNoNameServerAnswers) {
  Resolver resolver(expiring([&](const std::string&) {
    LookupAnswer found = gate.answer(kOne);
    if (gate.lookups > 1) found = LookupAnswer{{}, {}, "no server", true};
    return found;
  }));
  static_cast<void>(ask(resolver, "a.test"));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(ask(resolver, "a.test")->addresses, kOne);
  run_until([&] { return gate.lookups > 3; });
  EXPECT_EQ(ask(resolver, "a.test")->addresses, kOne);
}

TEST_F(ResolverTest, BelievesThatANameIsGone) {
  Resolver resolver(expiring([&](const std::string&) {
    LookupAnswer found = gate.answer(kOne);
    if (gate.lookups > 1) found = LookupAnswer{{}, {}, "no such name", false};
    return found;
  }));
  static_cast<void>(ask(resolver, "a.test"));
  run_until([&] { return resolver.find("a.test") == nullptr; });
  EXPECT_EQ(ask(resolver, "a.test")->reason, "no such name");
}

TEST_F(ResolverTest, RemembersThatANameHasNoAddress) {
  Resolver resolver(options_of([&](const std::string&) { return gate.answer({}); }));
  EXPECT_TRUE(ask(resolver, "none.test")->addresses.empty());
  EXPECT_TRUE(ask(resolver, "none.test")->addresses.empty());
  EXPECT_EQ(gate.lookups, 1);
}

TEST_F(ResolverTest, AnswersNoWhenTooManyWaitAtLimit) {
  gate.closed = true;
  ResolverOptions options = options_of([&](const std::string&) { return gate.answer(kOne); });
  options.waiting_max = 3;
  Resolver resolver(options);
  int answered = 0;
  int empty = 0;
  for (int i = 0; i < 5; ++i) {
    resolver.lookup("n" + std::to_string(i), context.get_executor(), [&](const Resolved& answer) {
      ++answered;
      empty += answer->addresses.empty() ? 1 : 0;
    });
  }
  run_until([&] { return answered == 2; });
  EXPECT_EQ(empty, 2);
  gate.open();
  run_until([&] { return answered == 5; });
  EXPECT_EQ(empty, 2);
}

TEST_F(ResolverTest, KeepsNoMoreNamesThanItsBoundAtLimit) {
  ResolverOptions options = options_of([&](const std::string&) { return gate.answer(kOne); });
  options.entries_max = 2;
  Resolver resolver(options);
  for (const char* host : {"a", "b", "c", "d"}) static_cast<void>(ask(resolver, host));
  int known = 0;
  for (const char* host : {"a", "b", "c", "d"}) known += resolver.find(host) != nullptr ? 1 : 0;
  EXPECT_EQ(known, 2);
  EXPECT_NE(resolver.find("d"), nullptr);
}

TEST_F(ResolverTest, KeepsNoMoreThanSixteenAddressesOfAName) {
  Resolver resolver(
      options_of([&](const std::string&) { return gate.answer(Addresses(100, kOne.front())); }));
  EXPECT_EQ(ask(resolver, "many.test")->addresses.size(), Resolver::kAddressesMax);
}

TEST_F(ResolverTest, StopsWhileALookupIsUnderWay) {
  gate.closed = true;
  Resolver resolver(options_of([&](const std::string&) { return gate.answer(kOne); }));
  resolver.lookup("a.test", context.get_executor(), [](const Resolved&) { FAIL(); });
  run_until([&] { return gate.lookups == 1; });
  resolver.stop();
  gate.open();
  context.restart();
  context.poll();
}

// --- c-ares -------------------------------------------------------------------------------------

// A name server on loopback: "slow..." is answered after `delay`, "drop6..." has its question for
// IPv6 dropped, "none..." does not exist, "lame..." is not answered, "void..." has no address,
// "refused..." and "failed..." have a code, "loop..." is another name of itself, "short..."
// promises more than it holds, "cut..." comes without TCP to follow. Thread: its own.
class NameServer {
 public:
  explicit NameServer(Duration delay)
      : delay_(delay), socket_(context_, {asio::ip::address_v4::loopback(), 0}) {
    receive();
    thread_ = std::thread([this] { context_.run(); });
  }
  ~NameServer() {
    context_.stop();
    thread_.join();
  }
  [[nodiscard]] std::string address() const {
    return "127.0.0.1:" + std::to_string(socket_.local_endpoint().port());
  }
  std::atomic<int> questions{0};

 private:
  static constexpr std::size_t kHead = 12;

  void receive() {
    socket_.async_receive_from(asio::buffer(bytes_), from_, [this](ErrorCode error, std::size_t n) {
      if (error) return;
      if (n > kHead) answer(std::string(bytes_.data(), n));
      receive();
    });
  }
  void answer(std::string question) {
    ++questions;
    std::string name;
    std::size_t at = kHead;
    while (question[at] != 0) {
      const auto size = static_cast<std::size_t>(question[at]);
      name += question.substr(at + 1, size) + ".";
      at += size + 1;
    }
    const bool v6 = question[at + 2] == 28;
    question.resize(at + 5);  // without what follows the question
    question[2] = '\x81';
    question[3] = name.starts_with("none") ? '\x83' : '\x80';
    question[9] = question[11] = 0;
    question[7] = 0;
    if (name.starts_with("lame") || (v6 && name.starts_with("drop6"))) return;
    if (name.starts_with("refused")) question[3] = '\x85';
    if (name.starts_with("failed")) question[3] = '\x82';
    if (name.starts_with("cut")) question[2] = '\x83';
    if (name.starts_with("short")) question[7] = 5;
    if (name.starts_with("loop")) {
      question[7] = 1;
      question += std::string("\xC0\x0C\0\5\0\1\0\0\0\x07\0\2\xC0\x0C", 14);
    }
    const bool odd = question[3] != '\x80' || question[2] != '\x81' || question[7] != 0;
    if (!v6 && !odd && !name.starts_with("void")) {
      question[7] = 1;
      question += std::string("\xC0\x0C\0\1\0\1\0\0\0\x07\0\4\x7F\0\0\1", 16);
    }
    const auto timer = std::make_shared<asio::steady_timer>(context_);
    timer->expires_after(name.starts_with("slow") ? delay_ : Duration::zero());
    timer->async_wait([this, timer, question, to = from_](ErrorCode) {
      ErrorCode ignored;
      socket_.send_to(asio::buffer(question), to, 0, ignored);
    });
  }

  Duration delay_;
  asio::io_context context_{1};
  asio::ip::udp::socket socket_;
  asio::ip::udp::endpoint from_;
  std::array<char, 1500> bytes_{};
  std::thread thread_;
};

class CaresTest : public ResolverTest {
 protected:
  void begin(const std::string& servers) {
    ResolverOptions options;
    options.names = std::make_shared<CaresNames>(servers);
    resolver.emplace(options);
  }
  NameServer server{milliseconds(1500)};
  std::optional<Resolver> resolver;
};

const Addresses kLoopback{asio::ip::make_address("127.0.0.1")};

TEST_F(CaresTest, ASlowNameHoldsUpNoOther) {
  begin(server.address());
  int slow = 0;
  for (int i = 0; i < 100; ++i) {
    resolver->lookup("slow" + std::to_string(i) + ".test.", context.get_executor(),
                     [&](const Resolved& answer) { slow += answer->addresses == kLoopback; });
  }
  const TimePoint begun = monotonic_now();
  const Resolved fast = ask(*resolver, "fast.test.");
  ASSERT_NE(fast, nullptr) << "it waits for the others";
  EXPECT_EQ(fast->addresses, kLoopback);
  EXPECT_LT(monotonic_now() - begun, milliseconds(700));
  EXPECT_EQ(slow, 0);
  run_until([&] { return slow == 100; });
  EXPECT_EQ(slow, 100);
  EXPECT_LT(monotonic_now() - begun, std::chrono::seconds(5)) << "they were asked for together";
}

TEST_F(CaresTest, AnAnswerDoesNotWaitForTheFamilyWhoseQuestionIsDropped) {
  begin(server.address());
  const TimePoint begun = monotonic_now();
  EXPECT_EQ(ask(*resolver, "drop6.test.")->addresses, kLoopback);
  EXPECT_LT(monotonic_now() - begun, milliseconds(1000));
}

TEST_F(CaresTest, SaysInItsWordsWhyANameHasNoAddress) {
  begin(server.address());
  const Resolved none = ask(*resolver, "none.test.");
  EXPECT_TRUE(none->addresses.empty());
  EXPECT_EQ(none->reason, "Domain name not found");
}

TEST_F(CaresTest, NoAnswerIsTooOddAndHoldsUpAnother) {
  begin(server.address());
  int ended = 0;
  int found = 0;
  const auto ask_for = [&](const std::string& name) {
    resolver->lookup(name, context.get_executor(), [&](const Resolved& answer) {
      ++ended;
      found += answer->addresses.empty() ? 0 : 1;
    });
  };
  for (const char* name : {"void", "refused", "failed", "loop", "short", "cut"}) {
    ask_for(std::string(name) + ".test.");
  }
  for (int i = 0; i < 60; ++i) ask_for("none" + std::to_string(i) + ".test.");
  const TimePoint begun = monotonic_now();
  EXPECT_EQ(ask(*resolver, "fast.test.")->addresses, kLoopback);
  EXPECT_LT(monotonic_now() - begun, milliseconds(700));
  run_until([&] { return ended == 66; });
  EXPECT_EQ(ended, 66);
  EXPECT_EQ(found, 0);
}

TEST_F(CaresTest, TellsHowLongAnAnswerHolds) {
  CaresNames names(server.address());
  std::atomic<std::int64_t> seconds{0};
  names.ask("a.test.", [&](const LookupAnswer& found) {
    seconds =
        std::chrono::duration_cast<std::chrono::seconds>(found.ttl.value_or(Duration{-1})).count();
  });
  run_until([&] { return seconds != 0; });
  EXPECT_EQ(seconds, 7);
}

TEST_F(CaresTest, HonoursTheFileOfHosts) {
  begin(server.address());
  const Resolved found = ask(*resolver, "localhost");
  ASSERT_FALSE(found->addresses.empty());
  EXPECT_TRUE(found->addresses.front().is_loopback());
  EXPECT_EQ(server.questions, 0);
}

TEST_F(CaresTest, StopsWithQuestionsUnderWay) {
  begin(server.address());
  resolver->lookup("lame.test.", context.get_executor(), [](const Resolved&) { FAIL(); });
  run_until([&] { return server.questions > 0; });
  const TimePoint begun = monotonic_now();
  resolver->stop();
  EXPECT_LT(monotonic_now() - begun, milliseconds(500));
  context.restart();
  context.poll();
}

}  // namespace
}  // namespace eventrelay::relay
