// The resolver's cache: single flight, lifetimes, bounds.
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <mutex>

#include "relay/http/resolver.hpp"

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
  Resolver resolver({.lookup = [&](const std::string&) { return gate.answer(kOne); }});
  ASSERT_NE(resolver.find("127.0.0.1"), nullptr);
  ASSERT_NE(resolver.find("2001:db8::1"), nullptr);
  EXPECT_EQ(resolver.find("localhost"), nullptr);
  EXPECT_EQ(gate.lookups, 0);
}

TEST_F(ResolverTest, AsksOncePerNameAndRemembers) {
  Resolver resolver({.lookup = [&](const std::string&) { return gate.answer(kOne); }});
  EXPECT_EQ(*ask(resolver, "a.test"), kOne);
  ASSERT_NE(resolver.find("a.test"), nullptr);
  EXPECT_EQ(*ask(resolver, "a.test"), kOne);
  EXPECT_EQ(gate.lookups, 1);
}

TEST_F(ResolverTest, AsksOnceForAllWhoWait) {
  gate.closed = true;
  Resolver resolver({.lookup = [&](const std::string&) { return gate.answer(kOne); }});
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
  Resolver resolver(
      {.ttl_floor = std::chrono::hours(1),
       .ttl_ceiling = std::chrono::hours(2),
       .lookup = [&](const std::string&) { return gate.answer(kOne, Duration::zero()); }});
  static_cast<void>(ask(resolver, "a.test"));
  EXPECT_NE(resolver.find("a.test"), nullptr);
}

TEST_F(ResolverTest, ForgetsAnAnswerAtTheCeiling) {
  Resolver resolver(
      {.ttl_floor = Duration::zero(),
       .ttl_ceiling = milliseconds(20),
       .lookup = [&](const std::string&) { return gate.answer(kOne, std::chrono::hours(1)); }});
  static_cast<void>(ask(resolver, "a.test"));
  run_until([&] { return resolver.find("a.test") == nullptr; });
  static_cast<void>(ask(resolver, "a.test"));
  EXPECT_EQ(gate.lookups, 2);
}

TEST_F(ResolverTest, RemembersThatANameHasNoAddress) {
  Resolver resolver({.lookup = [&](const std::string&) { return gate.answer({}); }});
  EXPECT_TRUE(ask(resolver, "none.test")->empty());
  EXPECT_TRUE(ask(resolver, "none.test")->empty());
  EXPECT_EQ(gate.lookups, 1);
}

TEST_F(ResolverTest, AnswersNoWhenTooManyWaitAtLimit) {
  gate.closed = true;
  Resolver resolver({.threads = 1, .waiting_max = 3, .lookup = [&](const std::string&) {
                       return gate.answer(kOne);
                     }});
  int answered = 0;
  int empty = 0;
  for (int i = 0; i < 5; ++i) {
    resolver.lookup("n" + std::to_string(i), context.get_executor(), [&](const Resolved& answer) {
      ++answered;
      empty += answer->empty() ? 1 : 0;
    });
  }
  run_until([&] { return answered == 2; });
  EXPECT_EQ(empty, 2);
  gate.open();
  run_until([&] { return answered == 5; });
  EXPECT_EQ(empty, 2);
}

TEST_F(ResolverTest, KeepsNoMoreNamesThanItsBoundAtLimit) {
  Resolver resolver({.threads = 1, .entries_max = 2, .lookup = [&](const std::string&) {
                       return gate.answer(kOne);
                     }});
  for (const char* host : {"a", "b", "c", "d"}) static_cast<void>(ask(resolver, host));
  int known = 0;
  for (const char* host : {"a", "b", "c", "d"}) known += resolver.find(host) != nullptr ? 1 : 0;
  EXPECT_EQ(known, 2);
  EXPECT_NE(resolver.find("d"), nullptr);
}

TEST_F(ResolverTest, KeepsNoMoreThanSixteenAddressesOfAName) {
  Resolver resolver(
      {.lookup = [&](const std::string&) { return gate.answer(Addresses(100, kOne.front())); }});
  EXPECT_EQ(ask(resolver, "many.test")->size(), Resolver::kAddressesMax);
}

TEST_F(ResolverTest, StopsWhileALookupBlocks) {
  gate.closed = true;
  {
    Resolver resolver(
        {.threads = 1, .lookup = [&](const std::string&) { return gate.answer(kOne); }});
    resolver.lookup("a.test", context.get_executor(), [](const Resolved&) { FAIL(); });
    run_until([&] { return gate.lookups == 1; });
    std::thread opener([&] { gate.open(); });
    resolver.stop();
    opener.join();
  }
  context.restart();
  context.poll();
}

TEST(SystemLookup, FindsLocalhost) {
  const LookupAnswer answer = system_lookup("localhost");
  ASSERT_FALSE(answer.addresses.empty());
  EXPECT_TRUE(answer.addresses.front().is_loopback());
}

}  // namespace
}  // namespace eventrelay::relay
