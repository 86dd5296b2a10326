#include "tests/unit/relay/scheduler_fixture.hpp"

namespace eventrelay::relay {
namespace {

using std::chrono::seconds;

TEST_F(SchedulerTest, SendsInTheOrderOfTheLog) {
  SubscriptionQueue& a = queue();
  HeldEvent& first = event();
  HeldEvent& second = event();
  ASSERT_EQ(admit(first, {&a}), Admitted::Yes);
  ASSERT_EQ(admit(second, {&a}), Admitted::Yes);
  EXPECT_EQ(scheduler.next(at(0))->held, &first);
  EXPECT_EQ(scheduler.next(at(0))->held, &second);
  EXPECT_EQ(scheduler.next(at(0)), nullptr);
}

TEST_F(SchedulerTest, FinishesAnEventWithItsLastJob) {
  SubscriptionQueue& a = queue();
  SubscriptionQueue& b = queue();
  HeldEvent& held = event();
  ASSERT_EQ(admit(held, {&a, &b}), Admitted::Yes);
  EXPECT_EQ(scheduler.held_bytes(), 100U);
  const std::vector<Job*> jobs = take();
  ASSERT_EQ(jobs.size(), 2U);
  EXPECT_EQ(scheduler.finish(*jobs[0], at(0)).held, nullptr);
  const Finished last = scheduler.finish(*jobs[1], at(0));
  EXPECT_EQ(last.held, &held);
  EXPECT_TRUE(last.done);
  EXPECT_EQ(scheduler.held_bytes(), 0U);
  EXPECT_EQ(scheduler.jobs(), 0U);
}

TEST_F(SchedulerTest, KeepsEachQueueWithinItsConcurrencyAtLimit) {
  SubscriptionQueue& a = queue({.concurrency = 2});
  fill(a, 5);
  std::vector<Job*> jobs = take();
  ASSERT_EQ(jobs.size(), 2U);
  scheduler.finish(*jobs[0], at(0));
  EXPECT_EQ(take().size(), 1U);
}

TEST_F(SchedulerTest, KeepsTheShardWithinItsAttemptsAtLimit) {
  Scheduler small({.in_flight_max = 3});
  SubscriptionQueue& a = small.add_queue({});
  std::deque<HeldEvent> held(5);
  std::vector<SubscriptionQueue*> queues{&a};
  for (HeldEvent& one : held) ASSERT_EQ(small.admit(one, queues), Admitted::Yes);
  std::vector<Job*> jobs;
  while (Job* job = small.next(at(0))) jobs.push_back(job);
  ASSERT_EQ(jobs.size(), 3U);
  small.finish(*jobs[1], at(0));
  EXPECT_NE(small.next(at(0)), nullptr);
  EXPECT_EQ(small.next(at(0)), nullptr);
}

TEST_F(SchedulerTest, GivesEachReadyQueueOneTurn) {
  SubscriptionQueue& busy = queue({.concurrency = 100});
  SubscriptionQueue& unresponsive = queue({.concurrency = 100});
  fill(busy, 50);
  fill(unresponsive, 3);
  std::vector<const SubscriptionQueue*> order;
  for (int i = 0; i < 6; ++i) order.push_back(scheduler.next(at(0))->queue);
  EXPECT_EQ(order, (std::vector<const SubscriptionQueue*>{&busy, &unresponsive, &busy,
                                                          &unresponsive, &busy, &unresponsive}));
}

TEST_F(SchedulerTest, RefusesAnEventWholeWhenOneQueueIsFullAtLimit) {
  SubscriptionQueue& full = queue({.jobs_max = 2});
  SubscriptionQueue& open = queue();
  fill(full, 2);
  HeldEvent& held = event();
  EXPECT_EQ(admit(held, {&open, &full}), Admitted::Full);
  EXPECT_EQ(held.jobs, 0U);
  EXPECT_EQ(scheduler.jobs(), 2U);
  EXPECT_FALSE(scheduler.take_room());
  scheduler.finish(*scheduler.next(at(0)), at(0));
  EXPECT_TRUE(scheduler.take_room());
  EXPECT_FALSE(scheduler.take_room());
  EXPECT_EQ(admit(held, {&open, &full}), Admitted::Yes);
}

TEST_F(SchedulerTest, RefusesWhatIsOverItsBytesAtLimit) {
  Scheduler small({.bytes_max = 250});
  std::vector<SubscriptionQueue*> queues{&small.add_queue({})};
  HeldEvent& first = event();
  HeldEvent& second = event();
  HeldEvent& third = event();
  ASSERT_EQ(small.admit(first, queues), Admitted::Yes);
  ASSERT_EQ(small.admit(second, queues), Admitted::Yes);
  EXPECT_EQ(small.admit(third, queues), Admitted::Full);
  small.finish(*small.next(at(0)), at(0));
  EXPECT_TRUE(small.take_room());
  EXPECT_EQ(small.admit(third, queues), Admitted::Yes);
}

TEST_F(SchedulerTest, TakesAnEventLargerThanAllItsBytesAlone) {
  Scheduler small({.bytes_max = 50});
  std::vector<SubscriptionQueue*> queues{&small.add_queue({})};
  EXPECT_EQ(small.admit(event(), queues), Admitted::Yes);
  EXPECT_EQ(small.admit(event(), queues), Admitted::Full);
}

TEST_F(SchedulerTest, SendsOneEventOfAnInstanceAtATime) {
  SubscriptionQueue& a = queue({.ordering = Ordering::Instance});
  for (const std::string_view object : {"x", "y", "z"}) {
    ASSERT_EQ(admit(event(object), {&a}), Admitted::Yes);
  }
  for (int i = 0; i < 3; ++i) {
    const std::vector<Job*> jobs = take();
    ASSERT_EQ(jobs.size(), 1U);
    scheduler.finish(*jobs[0], at(0));
  }
  EXPECT_EQ(scheduler.jobs(), 0U);
}

TEST_F(SchedulerTest, AsksADeadEndpointOncePerCoolDown) {
  SubscriptionQueue& a = queue({.concurrency = 4, .breaker = {3, seconds{1}, seconds{8}}});
  SubscriptionQueue& healthy = queue();
  fill(a, 20);
  for (Job* job : take()) fail(*job, 0);
  EXPECT_EQ(scheduler.circuits_open(), 1U);
  EXPECT_EQ(take(0.5).size(), 0U);
  EXPECT_EQ(scheduler.next_due(), at(1));
  std::vector<Job*> probe = take(1);
  ASSERT_EQ(probe.size(), 1U);
  EXPECT_TRUE(probe[0]->probe);
  fill(healthy, 1);
  EXPECT_EQ(take(1).size(), 1U);
  fail(*probe[0], 1);
  EXPECT_EQ(take(2.9).size(), 0U);
  probe = take(3);
  ASSERT_EQ(probe.size(), 1U);
  scheduler.finish(*probe[0], at(3));
  EXPECT_EQ(scheduler.circuits_open(), 0U);
  EXPECT_EQ(take(3).size(), 4U);
}

TEST_F(SchedulerTest, IgnoresLateAnswersWhileAProbeIsOut) {
  SubscriptionQueue& a = queue({.concurrency = 4, .breaker = {3, seconds{1}, seconds{8}}});
  fill(a, 10);
  const std::vector<Job*> jobs = take();
  ASSERT_EQ(jobs.size(), 4U);
  for (int i = 0; i < 3; ++i) fail(*jobs[static_cast<std::size_t>(i)], 0);
  const std::vector<Job*> probe = take(1);
  ASSERT_EQ(probe.size(), 1U);
  scheduler.finish(*jobs[3], at(1));
  EXPECT_EQ(scheduler.circuits_open(), 1U);
  EXPECT_EQ(take(1).size(), 0U);
  scheduler.finish(*probe[0], at(1));
  EXPECT_EQ(scheduler.circuits_open(), 0U);
}

TEST_F(SchedulerTest, ProbesAgainWhenAProbeWasGivenUp) {
  SubscriptionQueue& a = queue({.breaker = {1, seconds{1}, seconds{8}}});
  fill(a, 1);
  fail(*scheduler.next(at(0)), 0);
  fill(a, 2);
  Job* probe = scheduler.next(at(1));
  ASSERT_NE(probe, nullptr);
  const Finished given_up = scheduler.abandon(*probe, at(1));
  EXPECT_NE(given_up.held, nullptr);
  EXPECT_FALSE(given_up.done);
  EXPECT_NE(scheduler.next(at(1)), nullptr);
}

TEST_F(SchedulerTest, KeepsTheRateOfAQueue) {
  SubscriptionQueue& a = queue({.concurrency = 1000, .rate = 100});
  fill(a, 500);
  std::size_t sent = 0;
  double now = 0;
  while (now < 2) {
    sent += take(now).size();
    ASSERT_TRUE(scheduler.next_due().has_value());
    const TimePoint due = *scheduler.next_due();
    ASSERT_GT(due, at(now));
    now = std::chrono::duration<double>(due.time_since_epoch()).count() + 1e-9;
  }
  EXPECT_GE(sent, 200U);
  EXPECT_LE(sent, 211U);  // two seconds at 100 a second, and the burst of a tenth
}

TEST_F(SchedulerTest, DropsWhatWaitsForARevokedPartition) {
  SubscriptionQueue& a = queue({.ordering = Ordering::Object, .concurrency = 1});
  HeldEvent& flying = event("x", 1);
  HeldEvent& chained = event("x", 1);
  HeldEvent& queued = event("y", 1);
  HeldEvent& other = event("z", 2);
  for (HeldEvent* held : {&flying, &chained, &queued, &other}) {
    ASSERT_EQ(admit(*held, {&a}), Admitted::Yes);
  }
  Job* job = scheduler.next(at(0));
  ASSERT_EQ(job->held, &flying);
  std::vector<Finished> finished;
  scheduler.remove(Partition{1}, finished);
  ASSERT_EQ(finished.size(), 2U);
  for (const Finished& end : finished) EXPECT_FALSE(end.done);
  const Finished end = scheduler.finish(*job, at(0));
  EXPECT_EQ(end.held, &flying);
  EXPECT_TRUE(end.done);
  EXPECT_EQ(scheduler.next(at(0))->held, &other);
}

TEST_F(SchedulerTest, CountsEventsOfARetiredQueueAsDone) {
  SubscriptionQueue& a = queue({.concurrency = 1});
  SubscriptionQueue& b = queue();
  const std::uint32_t index = a.index;
  HeldEvent& both = event();
  ASSERT_EQ(admit(both, {&a, &b}), Admitted::Yes);
  fill(a, 1);
  const std::vector<Job*> jobs = take();
  ASSERT_EQ(jobs.size(), 2U);
  std::vector<Finished> finished;
  scheduler.retire(a, finished);
  ASSERT_EQ(finished.size(), 1U);
  EXPECT_TRUE(finished[0].done);
  EXPECT_TRUE(scheduler.is_live(index));
  for (Job* job : jobs) {
    const Finished end = job->queue == &b ? scheduler.finish(*job, at(0)) : fail(*job);
    if (end.held != nullptr) {
      EXPECT_TRUE(end.done);
    }
  }
  EXPECT_FALSE(scheduler.is_live(index));
  EXPECT_EQ(scheduler.jobs(), 0U);
  EXPECT_EQ(queue().index, index);
}

TEST_F(SchedulerTest, FreesAQueueThatRestsWhenItRetires) {
  SubscriptionQueue& a = queue({.breaker = {1, seconds{1}, seconds{8}}});
  fill(a, 2);
  std::vector<Job*> jobs = take();
  for (Job* job : jobs) fail(*job, 0);
  fill(a, 1);
  EXPECT_EQ(scheduler.next(at(0)), nullptr);
  std::vector<Finished> finished;
  scheduler.retire(a, finished);
  EXPECT_EQ(finished.size(), 1U);
  EXPECT_EQ(scheduler.circuits_open(), 0U);
  EXPECT_EQ(scheduler.next_due(), std::nullopt);
}

TEST_F(SchedulerTest, TakesNewLimitsWhileInUse) {
  SubscriptionQueue& a = queue({.concurrency = 1});
  fill(a, 4);
  ASSERT_EQ(take().size(), 1U);
  scheduler.configure(a, {.concurrency = 3});
  EXPECT_EQ(take().size(), 2U);
}

TEST_F(SchedulerTest, KeepsALowerLimitThatComesWhileTheQueueIsReady) {
  SubscriptionQueue& a = queue({.concurrency = 2});
  fill(a, 5);
  std::vector<Job*> jobs{scheduler.next(at(0))};
  scheduler.configure(a, {.concurrency = 1});
  EXPECT_EQ(take().size(), 0U);
  scheduler.finish(*jobs[0], at(0));
  EXPECT_EQ(take().size(), 1U);
}

}  // namespace
}  // namespace eventrelay::relay
