// What limits one subscription: turns by bytes, tokens, retry budget, slow start; and what the
// shell is told about one that does not keep up.
#include <algorithm>
#include <array>
#include <map>
#include <random>

#include "tests/unit/relay/scheduler_fixture.hpp"

namespace eventrelay::relay {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

JobState tried_once() {
  JobState state;
  state.attempts_made = 1;
  return state;
}

double as_seconds(TimePoint time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

// The largest number of times that lie within any stretch of `length`.
std::size_t most_within(const std::vector<TimePoint>& times, Duration length) {
  std::size_t most = 0;
  std::size_t first = 0;
  for (std::size_t i = 0; i < times.size(); ++i) {
    while (times[i] - times[first] >= length) ++first;
    most = std::max(most, i - first + 1);
  }
  return most;
}

class SchedulerLimits : public SchedulerTest {
 protected:
  void admit_retries(SubscriptionQueue& target, int count) {
    const std::array<SubscriptionQueue*, 1> one{&target};
    for (int i = 0; i < count; ++i) {
      ASSERT_EQ(scheduler.admit(event(), one, tried_once()), Admitted::Yes);
    }
  }

  // Keeps `target` busy with fresh events that are taken at once; the times of its attempts.
  std::vector<TimePoint> send_for(SubscriptionQueue& target, double from, double until,
                                  double late = 0) {
    std::vector<TimePoint> sent;
    double now = from;
    while (now < until) {
      while (!target.full()) fill(target, 1);
      for (Job* job : take(now)) {
        sent.push_back(at(now));
        scheduler.finish(*job, at(now));
      }
      const auto due = scheduler.next_due();
      now = std::max(due ? as_seconds(*due) : now, now + 1e-6) + late;
    }
    return sent;
  }
};

// For any rate, gaps and lateness no stretch of time has more attempts than its share and a burst.
TEST_F(SchedulerLimits, TokensKeepTheRateOverEveryStretchOfTime) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed);
    Scheduler limited(SchedulerBounds{});
    const auto rate = static_cast<std::uint32_t>(1 + random() % 2000);
    const std::array<SubscriptionQueue*, 1> one{
        &limited.add_queue({.concurrency = 1024, .rate = rate, .jobs_max = 5000})};
    std::deque<HeldEvent> held(5000);
    std::vector<TimePoint> sent;
    TimePoint now{seconds{1}};
    std::size_t next = 0;
    while (sent.size() < held.size()) {
      for (std::uint64_t n = random() % 200; n > 0 && next < held.size(); --n) {
        ASSERT_EQ(limited.admit(held[next++], one), Admitted::Yes);
      }
      while (Job* const job = limited.next(now)) {
        sent.push_back(now);
        limited.finish(*job, now);
      }
      const auto due = limited.next_due();
      now = std::max(now, due.value_or(now)) + milliseconds{random() % 30};
    }
    const double burst = std::max(1.0, 0.1 * rate);
    for (const double stretch : {0.01, 0.1, 1.0, 3.0}) {
      const auto length =
          std::chrono::duration_cast<Duration>(std::chrono::duration<double>(stretch));
      ASSERT_LE(static_cast<double>(most_within(sent, length)), rate * stretch + burst + 1)
          << "seed " << seed << " rate " << rate << " stretch " << stretch;
    }
  }
}

TEST_F(SchedulerLimits, RetriesKeepWithinTheirBudgetAndLetFreshEventsPass) {
  SubscriptionQueue& a = queue({.concurrency = 2, .jobs_max = 1000, .breaker = {1U << 30U}});
  admit_retries(a, 200);
  std::size_t retries = 0;
  double now = 1;
  for (; now < 11; now += 0.01) {
    fill(a, 1);  // a hundred fresh ones a second
    for (Job* job : take(now)) {
      if (job->attempts_made > 0) ++retries;
      fail(*job, now);
    }
  }
  // In 10 s: a fifth of all attempts, two a second for the two slots, and what was saved up.
  const double attempts = 1000 + static_cast<double>(retries);
  EXPECT_LE(retries, attempts / 5 + 2 * 11 + RetryBudget::kBurst + 1);
  EXPECT_GE(retries, 195U);
  EXPECT_EQ(a.jobs, 200 - retries) << "a fresh event waited behind retries";
}

TEST_F(SchedulerLimits, LetsABacklogOfRetriesGoAtOnceWhereTheyAreTaken) {
  SubscriptionQueue& a = queue({.concurrency = 2, .jobs_max = 1000});
  admit_retries(a, 900);
  std::size_t sent = 0;
  while (Job* job = scheduler.next(at(1))) {
    scheduler.finish(*job, at(1));
    ++sent;
  }
  EXPECT_EQ(sent, 900U);
}

TEST_F(SchedulerLimits, RestsForItsRetriesUntilTheFloorOrAFreshEvent) {
  SubscriptionQueue& a = queue({.concurrency = 1, .breaker = {1U << 30U}});
  admit_retries(a, 100);
  double now = 1;
  while (Job* job = scheduler.next(at(now))) fail(*job, now);
  EXPECT_EQ(a.jobs, 100U - RetryBudget::kBurst - 1 - (RetryBudget::kBurst / 5))
      << "what was saved up, one of the floor, and what those attempts gave";
  ASSERT_TRUE(scheduler.next_due().has_value());
  EXPECT_LE(*scheduler.next_due(), at(now + 1));
  fill(a, 1);
  Job* fresh = scheduler.next(at(now));
  ASSERT_NE(fresh, nullptr);
  EXPECT_EQ(fresh->attempts_made, 0U);
  scheduler.finish(*fresh, at(now));
  // Five attempts since the last retry pay for the next one.
  const std::vector<Job*> paid = take(now);
  ASSERT_EQ(paid.size(), 1U);
  fail(*paid[0], now);
  ASSERT_EQ(scheduler.next(at(now)), nullptr);
  // From here on only the floor allows retries: one a second, and the shell is woken for each.
  std::size_t gone = 0;
  while (now < 11) {
    ASSERT_TRUE(scheduler.next_due().has_value());
    now = as_seconds(*scheduler.next_due()) + 1e-9;
    while (Job* job = scheduler.next(at(now))) {
      fail(*job, now);
      ++gone;
    }
  }
  EXPECT_GE(gone, 10U);
  EXPECT_LE(gone, 14U);
}

TEST_F(SchedulerLimits, StartsSlowlyOnceTheBreakerHasClosed) {
  SubscriptionQueue& a =
      queue({.concurrency = 64, .jobs_max = 500, .slow_start = 20, .breaker = {3, seconds{1}}});
  fill(a, 3);
  for (Job* job : take(1)) fail(*job, 1);
  ASSERT_EQ(scheduler.circuits_open(), 1U);
  fill(a, 1);
  ASSERT_EQ(take(1.5).size(), 0U);
  std::vector<Job*> probe = take(2);
  ASSERT_EQ(probe.size(), 1U);
  scheduler.finish(*probe[0], at(2));
  ASSERT_EQ(scheduler.circuits_open(), 0U);

  const std::vector<TimePoint> sent = send_for(a, 2, 17);
  std::map<int, std::uint32_t> by_second;
  for (const TimePoint time : sent) ++by_second[static_cast<int>(as_seconds(time) - 2)];
  for (const auto& [second, count] : by_second) {
    EXPECT_LE(count, 20U << (second / 5)) << "second " << second;
    EXPECT_GE(count, (20U << (second / 5)) * 85 / 100 - 2) << "second " << second;
  }
  EXPECT_EQ(by_second.size(), 15U);
}

TEST_F(SchedulerLimits, CallsWhatFellBehindAtItsOwnPace) {
  SubscriptionQueue& a = queue({.concurrency = 64, .jobs_max = 500, .slow_start = 20});
  // The endpoint takes 200 attempts a second, so the rate does not limit it.
  double now = 1;
  for (; now < 4; now += 0.005) {
    fill(a, 1);
    for (Job* job : take(now)) scheduler.finish(*job, at(now));
  }
  scheduler.fall_behind(a, at(now));
  EXPECT_GE(a.slow.rate(), 180U);
  EXPECT_LE(a.slow.rate(), 220U);
  const std::size_t first = send_for(a, now, now + 4.9).size();
  EXPECT_LE(first, 5U * 220U);
  const std::size_t second = send_for(a, now + 5.1, now + 9.9).size();
  EXPECT_GT(second, first * 3 / 2);
  EXPECT_LE(second, 5U * 440U);

  scheduler.caught_up(a);
  EXPECT_TRUE(a.slow.active());
  double later = now + 10;
  for (; a.slow.active() && later < now + 60; later += 0.01) {
    if (!a.has_queued()) fill(a, 1);
    for (Job* job : take(later)) scheduler.finish(*job, at(later));
  }
  EXPECT_FALSE(a.slow.active());
}

// Of two queues that always have jobs neither gets ahead, in bytes, by more than two turns and two
// of the largest events, whatever the sizes are.
TEST_F(SchedulerLimits, SharesTurnsByBytes) {
  constexpr std::size_t kTurn = 2048;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    std::mt19937_64 random(seed);
    Scheduler fair({.in_flight_max = 1 + static_cast<std::uint32_t>(random() % 4)});
    const std::array<std::size_t, 3> size{1U << (8 + random() % 12), 1U << (8 + random() % 12),
                                          1U << (8 + random() % 12)};
    std::vector<SubscriptionQueue*> queues;
    std::deque<HeldEvent> held;
    std::vector<HeldEvent*> idle;
    for (int i = 0; i < 3; ++i) queues.push_back(&fair.add_queue({.jobs_max = 20}));
    std::array<std::size_t, 3> served{};
    const std::size_t largest = std::max({size[0], size[1], size[2], kTurn});
    std::vector<Job*> flying;
    for (int step = 0; step < 3000; ++step) {
      for (std::size_t i = 0; i < 3; ++i) {
        const std::array<SubscriptionQueue*, 1> one{queues[i]};
        while (!queues[i]->full()) {
          if (idle.empty()) idle.push_back(&held.emplace_back());
          HeldEvent& event = *idle.back();
          idle.pop_back();
          event.bytes = size[i];
          ASSERT_EQ(fair.admit(event, one), Admitted::Yes);
        }
      }
      while (Job* const job = fair.next({})) {
        served[job->queue->index] += std::max(job->held->bytes, kTurn);
        flying.push_back(job);
      }
      std::swap(flying[random() % flying.size()], flying.back());
      idle.push_back(fair.finish(*flying.back(), {}).held);
      flying.pop_back();
    }
    const auto [least, most] = std::minmax_element(served.begin(), served.end());
    ASSERT_LE(*most - *least, 2 * kTurn + 2 * largest) << "seed " << seed;
  }
}

TEST_F(SchedulerLimits, SendsALargeEventAtOnceWhenNobodyElseIsReady) {
  SubscriptionQueue& a = queue();
  HeldEvent& large = event();
  large.bytes = 10U << 20U;
  ASSERT_EQ(admit(large, {&a}), Admitted::Yes);
  EXPECT_NE(scheduler.next(at(0)), nullptr);
}

TEST_F(SchedulerLimits, TellsWhichQueuesAreOpenSinceWhenAndWhatWaitsLongest) {
  SubscriptionQueue& a =
      queue({.concurrency = 2, .jobs_max = 5, .breaker = {2, seconds{1}, seconds{8}}});
  SubscriptionQueue& healthy = queue();
  EXPECT_EQ(a.oldest_queued(), std::nullopt);
  fill(a, 2);
  fill(healthy, 1);
  for (Job* job : take(1)) {
    if (job->queue == &a) {
      fail(*job, 1);
    } else {
      scheduler.finish(*job, at(1));
    }
  }
  std::vector<SubscriptionQueue*> open;
  scheduler.open_queues(open);
  ASSERT_EQ(open, std::vector<SubscriptionQueue*>{&a});
  EXPECT_EQ(healthy.breaker.state(), CircuitBreaker::State::Closed);
  fill(a, 1);
  EXPECT_EQ(scheduler.next(at(1.5)), nullptr);
  fill(a, 4);
  EXPECT_TRUE(a.full());
  EXPECT_EQ(a.oldest_queued(), at(1));

  // A failed probe leaves the breaker open; one that succeeds closes it.
  Job* probe = scheduler.next(at(2));
  ASSERT_NE(probe, nullptr);
  EXPECT_EQ(a.oldest_queued(), at(1.5));
  fail(*probe, 2.5);
  EXPECT_EQ(a.breaker.state(), CircuitBreaker::State::Open);
  probe = scheduler.next(at(9));
  ASSERT_NE(probe, nullptr);
  scheduler.finish(*probe, at(9));
  open.clear();
  scheduler.open_queues(open);
  EXPECT_TRUE(open.empty());
  EXPECT_EQ(a.breaker.state(), CircuitBreaker::State::Closed);
}

TEST_F(SchedulerLimits, ForgetsAnOpenQueueThatRetires) {
  SubscriptionQueue& a = queue({.breaker = {1, seconds{1}, seconds{8}}});
  fill(a, 1);
  fail(*scheduler.next(at(1)), 1);
  std::vector<Finished> finished;
  scheduler.retire(a, finished);
  std::vector<SubscriptionQueue*> open;
  scheduler.open_queues(open);
  EXPECT_TRUE(open.empty());
  EXPECT_EQ(scheduler.circuits_open(), 0U);
}

// --- a wait the endpoint asked for -------------------------------------------------------------

TEST_F(SchedulerTest, AQueueThatIsHeldOffSendsNothingBeforeItsTime) {
  QueueConfig config;
  config.concurrency = 4;
  SubscriptionQueue& busy = queue(config);
  SubscriptionQueue& other = queue();
  fill(busy, 60);
  const std::vector<Job*> first = take(0);
  ASSERT_EQ(first.size(), 4U);
  scheduler.hold_off(busy, at(10), at(0));
  for (Job* const job : first) fail(*job, 0);
  EXPECT_TRUE(take(0).empty());
  EXPECT_EQ(scheduler.next_due(), at(10));
  fill(busy, 5);
  fill(other, 3);
  EXPECT_EQ(take(9.999).size(), 3U) << "others go on";
  EXPECT_EQ(take(10).size(), 4U);
}

TEST_F(SchedulerTest, AnEarlierEndOfTheWaitChangesNothing) {
  SubscriptionQueue& target = queue();
  scheduler.hold_off(target, at(10), at(0));
  scheduler.hold_off(target, at(5), at(0));
  fill(target, 1);
  EXPECT_TRUE(take(5).empty());
  EXPECT_EQ(take(10).size(), 1U);
}

TEST_F(SchedulerTest, AQueueThatIsHeldOffIsAmongThoseThatMayNotBeCalledFreely) {
  SubscriptionQueue& target = queue();
  fill(target, 2);
  scheduler.hold_off(target, at(10), at(0));
  EXPECT_TRUE(take(1).empty());
  std::vector<SubscriptionQueue*> open;
  scheduler.open_queues(open);
  EXPECT_EQ(open, std::vector<SubscriptionQueue*>{&target});
  EXPECT_EQ(take(10).size(), 2U);
  open.clear();
  scheduler.open_queues(open);
  EXPECT_TRUE(open.empty());
}

TEST_F(SchedulerTest, ARetryWaitsForItToo) {
  SubscriptionQueue& target = queue();
  scheduler.hold_off(target, at(10), at(0));
  HeldEvent& held = event();
  JobState tried;
  tried.attempts_made = 1;
  std::vector<SubscriptionQueue*> queues{&target};
  ASSERT_EQ(scheduler.admit(held, queues, tried), Admitted::Yes);
  EXPECT_TRUE(take(9).empty());
  EXPECT_EQ(take(10).size(), 1U);
}

// The measured lateness of an attempt counts waiting for a busy shard, not for a busy subscriber.
TEST_F(SchedulerLimits, TellsWhatAnEventWaitedForItsTurnFromWhatItsSubscriptionHeldUp) {
  QueueConfig config;
  config.concurrency = 1;
  SubscriptionQueue& one = queue(config);
  ASSERT_EQ(scheduler.next(at(10)), nullptr);
  fill(one, 3);
  Job* first = scheduler.next(at(12));
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(Scheduler::waited_for_turn(*first, at(12)), seconds(2));
  // The others wait for the only slot that the subscription allows.
  ASSERT_EQ(scheduler.next(at(20)), nullptr);
  scheduler.finish(*first, at(72));
  Job* second = scheduler.next(at(73));
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(Scheduler::waited_for_turn(*second, at(73)), seconds(1));
}

TEST_F(SchedulerLimits, CountsNoWaitForARateOrForWhatGoesBeforeInOrder) {
  QueueConfig paced;
  paced.rate = 1;
  SubscriptionQueue& slow = queue(paced);
  ASSERT_EQ(scheduler.next(at(0)), nullptr);
  fill(slow, 5);
  const std::vector<Job*> jobs = take(0);
  ASSERT_EQ(jobs.size(), 1U);
  scheduler.finish(*jobs[0], at(0));
  TimePoint now = at(0);
  for (int sent = 1; sent < 5;) {
    Job* const job = scheduler.next(now);
    if (job == nullptr) {
      now = scheduler.next_due().value();
      continue;
    }
    EXPECT_EQ(Scheduler::waited_for_turn(*job, now), Duration::zero());
    scheduler.finish(*job, now);
    ++sent;
  }
  QueueConfig ordered;
  ordered.ordering = Ordering::Object;
  SubscriptionQueue& chain = queue(ordered);
  fill(chain, 2);
  Job* const first = scheduler.next(at(100));
  ASSERT_NE(first, nullptr);
  scheduler.finish(*first, at(160));
  Job* const second = scheduler.next(at(160));
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(Scheduler::waited_for_turn(*second, at(160)), Duration::zero());
}

}  // namespace
}  // namespace eventrelay::relay
