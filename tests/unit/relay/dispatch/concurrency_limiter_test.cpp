// The slots kept for responsive queues: what queues that hang may take, however many there are.
#include <algorithm>
#include <memory>
#include <queue>
#include <random>

#include "tests/unit/relay/scheduler_fixture.hpp"

namespace eventrelay::relay {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A shard of 64 slots: eight of them are an eighth.
class ConcurrencyLimiterTest : public ::testing::Test {
 protected:
  SubscriptionQueue& queue(std::uint32_t concurrency = 16) {
    return scheduler.add_queue({.concurrency = concurrency, .breaker = {1U << 30U}});
  }
  void fill(SubscriptionQueue& target, int count, const JobState& state = {}) {
    const std::array<SubscriptionQueue*, 1> one{&target};
    for (int i = 0; i < count; ++i) {
      HeldEvent& held = events_.emplace_back();
      held.bytes = 100;
      ASSERT_EQ(scheduler.admit(held, one, state), Admitted::Yes);
    }
  }
  // Queues `count` jobs as a catch-up read does.
  void feed(SubscriptionQueue& target, int count) {
    JobState reread;
    reread.cursor = CursorId{1};
    fill(target, count, reread);
  }
  // Takes all jobs that may go now.
  std::vector<Job*> take(double second = 0) {
    std::vector<Job*> jobs;
    while (Job* job = scheduler.next(at(second))) jobs.push_back(job);
    return jobs;
  }
  void fail(Job& job, double second) {
    ASSERT_FALSE(scheduler.leave(job, Answer::Failed, at(second)).has_value());
    scheduler.settle(job, End::Done);
  }
  // A queue that has answered once.
  SubscriptionQueue& proven(double second = 0, std::uint32_t concurrency = 16) {
    SubscriptionQueue& one = queue(concurrency);
    fill(one, 1);
    for (Job* job : take(second)) scheduler.finish(*job, at(second));
    return one;
  }
  static std::size_t of(const std::vector<Job*>& jobs, const SubscriptionQueue& queue) {
    return static_cast<std::size_t>(
        std::count_if(jobs.begin(), jobs.end(), [&](Job* job) { return job->queue == &queue; }));
  }

  Scheduler scheduler{{.in_flight_max = 64}};

 private:
  std::deque<HeldEvent> events_;
};

// Thousands of subscriptions that come back at once never keep a fresh event waiting: neither for
// a slot nor for its turn behind all of them.
TEST_F(ConcurrencyLimiterTest, LeavesAQuarterToFreshEventsWhileCatchUpsFeedOthers) {
  std::vector<SubscriptionQueue*> queues;
  for (int i = 0; i < 100; ++i) queues.push_back(&proven());
  SubscriptionQueue& live = proven();
  for (SubscriptionQueue* one : queues) feed(*one, 3);
  EXPECT_EQ(take().size(), 48U);
  EXPECT_TRUE(scheduler.behind_waits());
  EXPECT_FALSE(scheduler.slots_scarce());
  fill(live, 3);
  EXPECT_EQ(of(take(), live), 3U);
}

TEST_F(ConcurrencyLimiterTest, GivesASlotThatIsFreeAgainToWhoCatchUpsFeed) {
  std::vector<SubscriptionQueue*> queues;
  for (int i = 0; i < 100; ++i) queues.push_back(&proven());
  for (SubscriptionQueue* one : queues) feed(*one, 1);
  std::vector<Job*> jobs = take();
  std::size_t sent = jobs.size();
  while (!jobs.empty()) {
    scheduler.finish(*jobs.back(), at(1));
    jobs.pop_back();
    for (Job* next : take(1)) jobs.push_back(next);
    sent = std::max(sent, jobs.size());
  }
  EXPECT_EQ(sent, 48U);
  EXPECT_FALSE(scheduler.behind_waits());
  EXPECT_EQ(scheduler.jobs(), 0U);
}

// It is back on the live path, and is treated like all others.
TEST_F(ConcurrencyLimiterTest, TakesAQueueForCaughtUpOnceItsEventsAreFresh) {
  SubscriptionQueue& one = proven();
  feed(one, 1);
  for (Job* job : take()) scheduler.finish(*job, at(0));
  SubscriptionQueue& other = proven(0, 64);
  fill(other, 56);
  EXPECT_EQ(take().size(), 56U);
  fill(one, 1);
  EXPECT_EQ(of(take(), one), 1U);
}

TEST_F(ConcurrencyLimiterTest, KeepsHalfFromQueuesThatNeverAnswered) {
  std::vector<SubscriptionQueue*> queues;
  for (int i = 0; i < 10; ++i) fill(*queues.emplace_back(&queue()), 16);
  EXPECT_EQ(take().size(), 32U);
  for (const SubscriptionQueue* one : queues) EXPECT_GE(one->in_flight, 3U) << "not shared evenly";
}

TEST_F(ConcurrencyLimiterTest, GivesTheFirstAttemptOfANewQueueMoreThanTheNextOnes) {
  for (int i = 0; i < 10; ++i) fill(queue(), 16);
  EXPECT_EQ(take().size(), 32U);
  std::vector<SubscriptionQueue*> fresh;
  for (int i = 0; i < 40; ++i) fill(*fresh.emplace_back(&queue()), 5);
  EXPECT_EQ(take().size(), 16U);
  for (const SubscriptionQueue* one : fresh) EXPECT_LE(one->in_flight, 1U);
  EXPECT_EQ(scheduler.in_flight(), 48U);
}

TEST_F(ConcurrencyLimiterTest, GivesTheFirstAttemptOfOneThatFailedLessThanThatOfANewOne) {
  SubscriptionQueue& failed = queue();
  fill(failed, 1);
  fail(*take().at(0), 0);
  for (int i = 0; i < 40; ++i) fill(queue(), 1);
  EXPECT_EQ(take().size(), 40U);
  fill(failed, 1);
  EXPECT_TRUE(take().empty());
  fill(queue(), 1);
  EXPECT_EQ(take().size(), 1U);
}

// While new ones answer, enough is read for them; while they do not, others' events are looked for
// behind theirs.
TEST_F(ConcurrencyLimiterTest, CountsFirstAttemptsAmongThoseThatAnswerWhileSomeAreAnswered) {
  for (int i = 0; i < 100; ++i) fill(queue(), 1);
  std::vector<Job*> jobs = take();
  ASSERT_EQ(jobs.size(), 48U);
  EXPECT_EQ(scheduler.answering(), 0U);
  EXPECT_FALSE(scheduler.new_ones_wait());
  scheduler.finish(*jobs.at(0), at(0.5));
  EXPECT_EQ(take(0.5).size(), 1U);
  EXPECT_EQ(scheduler.answering(), 48U);
  EXPECT_TRUE(scheduler.new_ones_wait());
  scheduler.look(at(0.7));
  EXPECT_EQ(scheduler.answering(), 0U);
  EXPECT_FALSE(scheduler.new_ones_wait());
  fail(*jobs.at(1), 0.7);
  scheduler.finish(*jobs.at(2), at(0.7));
  EXPECT_EQ(scheduler.answering(), 46U) << "one that failed counts no more";
}

// An attempt that may last is begun with a copy of its event.
TEST_F(ConcurrencyLimiterTest, TellsWhoseAttemptsMayLast) {
  SubscriptionQueue& fast = queue();
  EXPECT_TRUE(scheduler.may_last(fast)) << "nobody has answered yet";
  fill(fast, 1);
  scheduler.finish(*take(1).at(0), at(1.01));
  EXPECT_FALSE(scheduler.may_last(fast));
  SubscriptionQueue& slow = queue();
  EXPECT_FALSE(scheduler.may_last(slow)) << "first attempts are answered";
  fill(slow, 1);
  scheduler.finish(*take(1.02).at(0), at(1.2));
  EXPECT_TRUE(scheduler.may_last(slow));
  fill(fast, 1);
  fail(*take(2).at(0), 2.01);
  EXPECT_TRUE(scheduler.may_last(fast));
}

TEST_F(ConcurrencyLimiterTest, LetsWhoAnswersHaveWhatIsLeft) {
  SubscriptionQueue& healthy = proven();
  SubscriptionQueue& other = proven();
  for (int i = 0; i < 100; ++i) fill(queue(), 5);
  EXPECT_EQ(take().size(), 48U);
  fill(healthy, 16);
  EXPECT_EQ(take().size(), 8U);
  // Of the last eighth a queue gets slots only while it has fewer than kFew in flight.
  EXPECT_EQ(scheduler.in_flight(), 56U);
  EXPECT_TRUE(scheduler.slots_scarce());
  fill(other, 16);
  EXPECT_EQ(take(0.1).size(), ConcurrencyLimiter::kFew);
}

TEST_F(ConcurrencyLimiterTest, AnAnswerLetsAQueueHaveMoreAtOnce) {
  for (int i = 0; i < 9; ++i) fill(queue(), 16);
  const std::vector<Job*> flying = take();
  ASSERT_EQ(flying.size(), 32U);
  SubscriptionQueue& answers = *flying.front()->queue;
  scheduler.finish(*flying.front(), at(0.1));
  const std::vector<Job*> more = take(0.1);
  EXPECT_EQ(answers.in_flight, 15U) << "all it has";
  EXPECT_GT(more.size(), of(more, answers))
      << "its slots are not those of the unresponsive any more";
}

TEST_F(ConcurrencyLimiterTest, ASlotThatIsFreeGoesToWhoWaitsForIt) {
  std::vector<SubscriptionQueue*> queues;
  for (int i = 0; i < 60; ++i) fill(*queues.emplace_back(&queue()), 5);
  const std::vector<Job*> flying = take();
  ASSERT_EQ(flying.size(), 48U);
  // A queue that failed gets no more slots than others that failed; those that wait are new.
  for (int i = 0; i < 12; ++i) {
    fail(*flying[static_cast<std::size_t>(i)], 5);
    const std::vector<Job*> next = take(5);
    ASSERT_EQ(next.size(), 1U);
    EXPECT_EQ(next[0]->queue, queues[static_cast<std::size_t>(48 + i)]);
  }
}

TEST_F(ConcurrencyLimiterTest, HoldsBackWhoHasFallenSilent) {
  SubscriptionQueue& healthy = proven();
  std::vector<SubscriptionQueue*> queues;
  for (int i = 0; i < 5; ++i) queues.push_back(&proven());
  for (SubscriptionQueue* one : queues) fill(*one, 7);
  EXPECT_EQ(take(0.1).size(), 35U);
  for (SubscriptionQueue* one : queues) fill(*one, 7);
  EXPECT_EQ(take(0.2).size(), 21U) << "all but the last eighth: it is not silent yet";
  for (SubscriptionQueue* one : queues) fill(*one, 1);
  EXPECT_TRUE(scheduler.slots_scarce());
  EXPECT_TRUE(take(0.2 + 0.75).empty());
  EXPECT_FALSE(scheduler.slots_scarce()) << "nobody who answers waits";
  fill(healthy, 10);
  EXPECT_EQ(of(take(1), healthy), ConcurrencyLimiter::kFew);
}

TEST_F(ConcurrencyLimiterTest, OneAnswerInAWhileIsEnough) {
  SubscriptionQueue& slow = proven(0, 60);
  for (int i = 0; i < 3; ++i) fill(queue(), 1);
  ASSERT_EQ(take().size(), 3U);
  fill(slow, 50);
  std::deque<Job*> flying;
  double now = 0;
  for (; now < 10; now += 0.4) {
    for (Job* job : take(now)) flying.push_back(job);
    EXPECT_FALSE(slow.unresponsive) << now;
    scheduler.finish(*flying.front(), at(now));
    flying.pop_front();
    fill(slow, 1);
  }
  for (; now < 11; now += 0.1) take(now);
  EXPECT_TRUE(slow.unresponsive);
}

TEST_F(ConcurrencyLimiterTest, IsNotSilentWhileNothingIsAsked) {
  SubscriptionQueue& idle = proven(0);
  fill(idle, 1);
  Job* job = take(100).at(0);
  EXPECT_FALSE(idle.unresponsive);
  scheduler.finish(*job, at(100.1));
  take(200);
  EXPECT_FALSE(idle.unresponsive);
}

TEST_F(ConcurrencyLimiterTest, ALoneEndpointHasAllButTheLastEighthAfterItsFirstAnswer) {
  SubscriptionQueue& slow = queue(64);
  fill(slow, 200);
  std::vector<Job*> first = take(0);
  EXPECT_EQ(first.size(), 32U);
  scheduler.finish(*first[0], at(5));
  EXPECT_EQ(take(5).size(), 56U - 31U);
}

TEST_F(ConcurrencyLimiterTest, AShardOfFewSlotsKeepsNone) {
  for (std::uint32_t most = 1; most < 8; ++most) {
    Scheduler small({.in_flight_max = most});
    const std::array<SubscriptionQueue*, 1> one{&small.add_queue({})};
    std::deque<HeldEvent> held(20);
    for (HeldEvent& event : held) ASSERT_EQ(small.admit(event, one), Admitted::Yes);
    std::uint32_t sent = 0;
    while (small.next({}) != nullptr) ++sent;
    EXPECT_EQ(sent, most);
  }
}

TEST_F(ConcurrencyLimiterTest, ForgetsAQueueThatRetiresWhileItWaits) {
  for (int i = 0; i < 48; ++i) fill(queue(), 1);
  const std::vector<Job*> flying = take();
  SubscriptionQueue& waits = queue();
  fill(waits, 2);
  const std::uint32_t index = waits.index;
  ASSERT_TRUE(take().empty());
  std::vector<Finished> finished;
  scheduler.retire(waits, finished);
  EXPECT_FALSE(scheduler.is_live(index));
  for (Job* job : flying) scheduler.finish(*job, at(1));
  EXPECT_TRUE(take(1).empty());
  EXPECT_EQ(scheduler.in_flight(), 0U);
}

// In a shard of any size some queues hang from the first moment and others begin to later. A job of
// a responsive queue is dispatched at once, however many queues hang and however long.
class Outage {
 public:
  explicit Outage(std::uint64_t seed) : random_(seed), seed_(seed) {
    const std::uint32_t most = bounds_.in_flight_max;
    for (std::size_t i = 1 + up_to(most * 4); i > 0; --i) add(Kind::Hangs);
    // Together they can have fewer than the last eighth before it is known that they hang.
    for (std::size_t i = up_to(most / 8 / ConcurrencyLimiter::kFew + 1); i > 0; --i)
      add(Kind::Turns);
    const std::size_t few = std::max<std::size_t>(1, most / 16);
    for (std::size_t i = 1 + up_to(few); i > 0; --i) add(Kind::Answers);
  }

  void run() {
    // The healthy ones are known before it begins.
    for (Member& one : members_) {
      if (one.kind != Kind::Hangs) send_one(one, true);
    }
    turn_at_ = now_ + seconds{1 + static_cast<int>(up_to(4))};
    const TimePoint end = now_ + seconds{20};
    while (now_ < end && !::testing::Test::HasFatalFailure()) {
      step();
      now_ += milliseconds{1 + up_to(4)};
    }
    EXPECT_GT(answered_, 100U) << seed_;
  }

 private:
  enum class Kind : std::uint8_t { Answers, Hangs, Turns };
  struct Member {
    Kind kind;
    SubscriptionQueue* queue;
    TimePoint next{};
  };
  struct Flight {
    TimePoint end;
    Job* job;
    bool hangs;
    bool operator<(const Flight& other) const { return end > other.end; }
  };

  std::size_t up_to(std::size_t n) { return random_() % n; }

  void add(Kind kind) {
    QueueConfig config;
    config.concurrency = static_cast<std::uint32_t>(1 + up_to(16));
    config.jobs_max = 20;
    config.breaker.trip_after = up_to(2) == 0 ? 10 : 1U << 30U;
    members_.push_back({kind, &scheduler_.add_queue(config)});
  }

  void send_one(Member& member, bool answer) {
    const std::array<SubscriptionQueue*, 1> one{member.queue};
    if (free_.empty()) free_.push_back(&held_.emplace_back());
    HeldEvent& event = *free_.back();
    event.bytes = 100;
    if (scheduler_.admit(event, one) == Admitted::Full) return;
    free_.pop_back();
    if (answer) free_.push_back(scheduler_.finish(*scheduler_.next(now_), now_).held);
  }

  void step() {
    while (!flying_.empty() && flying_.top().end <= now_) {
      const Flight flight = flying_.top();
      flying_.pop();
      Finished ended;
      if (flight.hangs) {
        ASSERT_FALSE(scheduler_.leave(*flight.job, Answer::Failed, now_).has_value());
        ended = scheduler_.settle(*flight.job, End::Done);
      } else {
        ended = scheduler_.finish(*flight.job, now_);
        ++answered_;
      }
      free_.push_back(ended.held);
      send();
    }
    for (Member& one : members_) {
      if (one.next > now_) continue;
      const bool busy = one.kind != Kind::Answers;
      one.next = now_ + milliseconds{busy ? 20 : 40 + up_to(60)};
      send_one(one, false);
    }
    send();
    // No job of a responsive queue waits for another queue.
    for (const Member& one : members_) {
      if (one.kind != Kind::Answers || !one.queue->has_queued()) continue;
      const std::uint32_t mine = std::min(one.queue->config.concurrency, ConcurrencyLimiter::kFew);
      ASSERT_GE(one.queue->in_flight, mine) << "seed " << seed_;
    }
  }

  void send() {
    while (Job* const job = scheduler_.next(now_)) {
      const Member& member = members_[job->queue->index];
      const bool hangs =
          member.kind == Kind::Hangs || (member.kind == Kind::Turns && now_ >= turn_at_);
      const milliseconds takes = hangs ? milliseconds{15'000} : milliseconds{1 + up_to(40)};
      flying_.push({now_ + takes, job, hangs});
    }
  }

  std::mt19937_64 random_;
  std::uint64_t seed_;
  SchedulerBounds bounds_{.in_flight_max = static_cast<std::uint32_t>(16 + up_to(240))};
  Scheduler scheduler_{bounds_};
  std::vector<Member> members_;
  std::deque<HeldEvent> held_;
  std::vector<HeldEvent*> free_;
  std::priority_queue<Flight> flying_;
  TimePoint now_{seconds{1}};
  TimePoint turn_at_{};
  std::size_t answered_ = 0;
};

TEST(ConcurrencyLimiter, WhoAnswersNeverWaitsForWhoHangs) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Outage(seed).run();
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace eventrelay::relay
