// How a job ends that is not delivered: it leaves its queue, is written to a topic, and is settled.
#include <algorithm>

#include "tests/unit/relay/scheduler_fixture.hpp"

namespace eventrelay::relay {
namespace {

TEST_F(SchedulerTest, FreesTheSlotOfAJobThatLeavesAndHoldsItsEventUntilItIsSettled) {
  SubscriptionQueue& a = queue({.concurrency = 1});
  HeldEvent& failing = event();
  ASSERT_EQ(admit(failing, {&a}), Admitted::Yes);
  fill(a, 1);
  Job* job = scheduler.next(at(0));
  ASSERT_EQ(scheduler.next(at(0)), nullptr);
  EXPECT_FALSE(scheduler.leave(*job, Answer::Failed, at(0)).has_value());
  EXPECT_EQ(job->attempts_made, 1U);
  EXPECT_NE(scheduler.next(at(0)), nullptr);
  EXPECT_EQ(scheduler.jobs(), 2U);
  EXPECT_EQ(scheduler.held_bytes(), 200U);
  const Finished end = scheduler.settle(*job, End::Done);
  EXPECT_EQ(end.held, &failing);
  EXPECT_TRUE(end.done);
  EXPECT_EQ(scheduler.held_bytes(), 100U);
}

TEST_F(SchedulerTest, HoldsTheOffsetOfAnEventWhoseJobLeftAndWasNotTaken) {
  SubscriptionQueue& a = queue();
  SubscriptionQueue& b = queue();
  HeldEvent& both = event();
  ASSERT_EQ(admit(both, {&a, &b}), Admitted::Yes);
  const std::vector<Job*> jobs = take();
  ASSERT_FALSE(scheduler.leave(*jobs[0], Answer::Failed, at(0)).has_value());
  EXPECT_EQ(scheduler.settle(*jobs[0], End::NotDone).held, nullptr);
  const Finished end = scheduler.finish(*jobs[1], at(0));
  EXPECT_EQ(end.held, &both);
  EXPECT_FALSE(end.done);
}

TEST_F(SchedulerTest, AdmitsAgainWithWhatWasTriedBefore) {
  SubscriptionQueue& a = queue({.concurrency = 1});
  fill(a, 2);
  HeldEvent& parked = event();
  const std::vector<SubscriptionQueue*> queues{&a};
  const WallTime failed{std::chrono::milliseconds{77}};
  ASSERT_EQ(scheduler.admit(parked, queues, JobState{3, CursorId{9}, failed, true}), Admitted::Yes);
  Job* job = scheduler.next(at(0));
  EXPECT_EQ(job->held, &parked);
  EXPECT_EQ(job->attempts_made, 3U);
  EXPECT_EQ(job->cursor, CursorId{9});
  EXPECT_EQ(job->first_failure, failed);
}

TEST_F(SchedulerTest, KeepsTheNextOfAnObjectUntilTheOneThatLeavesIsSettled) {
  SubscriptionQueue& a = queue({.ordering = Ordering::Object});
  HeldEvent& first = event("x");
  HeldEvent& later = event("x");
  for (HeldEvent* held : {&first, &later}) ASSERT_EQ(admit(*held, {&a}), Admitted::Yes);
  Job* job = scheduler.next(at(0));
  ASSERT_FALSE(scheduler.leave(*job, Answer::Failed, at(0)).has_value());
  EXPECT_EQ(scheduler.next(at(0)), nullptr);
  scheduler.settle(*job, End::Done);
  EXPECT_EQ(scheduler.next(at(0))->held, &later);
}

TEST_F(SchedulerTest, TakesWhatWaitsBehindALeavingJobOfItsObject) {
  SubscriptionQueue& a = queue({.ordering = Ordering::Object});
  HeldEvent& first = event("x");
  HeldEvent& second = event("x");
  HeldEvent& third = event("x");
  HeldEvent& other = event("y");
  for (HeldEvent* held : {&first, &second, &third, &other}) {
    ASSERT_EQ(admit(*held, {&a}), Admitted::Yes);
  }
  Job* job = scheduler.next(at(0));
  ASSERT_FALSE(scheduler.leave(*job, Answer::Failed, at(0)).has_value());
  std::vector<Job*> taken;
  scheduler.take_chain(*job, taken);
  ASSERT_EQ(taken.size(), 2U);
  EXPECT_EQ(taken[0]->held, &second);
  EXPECT_EQ(taken[1]->held, &third);
  EXPECT_EQ(scheduler.next(at(0))->held, &other);
  EXPECT_EQ(scheduler.next(at(0)), nullptr);
  // A later event of the same key waits for nobody.
  HeldEvent& fourth = event("x");
  ASSERT_EQ(admit(fourth, {&a}), Admitted::Yes);
  EXPECT_EQ(scheduler.next(at(0))->held, &fourth);
  for (Job* one : taken) EXPECT_TRUE(scheduler.settle(*one, End::Done).done);
  EXPECT_TRUE(scheduler.settle(*job, End::Done).done);
}

TEST_F(SchedulerTest, TakesWhatIsQueuedOfAQueueAndLeavesWhatIsInFlight) {
  SubscriptionQueue& a = queue({.ordering = Ordering::Object, .concurrency = 1});
  SubscriptionQueue& b = queue();
  HeldEvent& flying = event("x", 1);
  HeldEvent& chained = event("x", 1);
  HeldEvent& queued = event("y", 1);
  HeldEvent& behind = event("y", 1);
  HeldEvent& elsewhere = event("z", 2);
  for (HeldEvent* held : {&flying, &chained, &queued, &behind, &elsewhere}) {
    ASSERT_EQ(admit(*held, {&a}), Admitted::Yes);
  }
  ASSERT_EQ(admit(event("x", 1), {&b}), Admitted::Yes);
  Job* job = scheduler.next(at(0));
  ASSERT_EQ(job->held, &flying);
  std::vector<Job*> taken;
  scheduler.take_queued(a, Partition{1}, taken);
  ASSERT_EQ(taken.size(), 3U);
  for (Job* one : taken) {
    EXPECT_NE(one->held, &flying);
    EXPECT_TRUE(scheduler.settle(*one, End::Done).done);
  }
  EXPECT_TRUE(scheduler.finish(*job, at(0)).done);
  std::vector<const HeldEvent*> rest;
  for (Job* one : take()) rest.push_back(one->held);
  EXPECT_EQ(rest.size(), 2U);
  EXPECT_EQ(std::count(rest.begin(), rest.end(), &elsewhere), 1);
}

// A subscription that has left the live path, and is fed by a catch-up read, takes no room of it.
TEST_F(SchedulerTest, TellsWhoFillsThePartitionByTheLivePathAlone) {
  SubscriptionQueue& fed = queue();
  SubscriptionQueue& live = queue();
  std::vector<SubscriptionQueue*> queues{&fed};
  JobState again;
  again.cursor = CursorId{1};
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(scheduler.admit(event(), queues, again), Admitted::Yes);
  }
  HeldEvent& due = event();
  due.event.parked.emplace();
  ASSERT_EQ(admit(due, {&fed}), Admitted::Yes);
  fill(live, 2);
  const auto all = scheduler.largest_crowd(Partition{0}, Scheduler::Whose::Everybody);
  EXPECT_EQ(all.queue, &fed);
  EXPECT_EQ(all.waiting, 4U);
  const auto crowd = scheduler.largest_crowd(Partition{0}, Scheduler::Whose::LivePath);
  EXPECT_EQ(crowd.queue, &live);
  EXPECT_EQ(crowd.waiting, 2U);
}

TEST_F(SchedulerTest, LeavesWhatIsBeingWrittenAloneWhenItsPartitionLeaves) {
  SubscriptionQueue& a = queue();
  HeldEvent& held = event("x", 1);
  ASSERT_EQ(admit(held, {&a}), Admitted::Yes);
  Job* job = scheduler.next(at(0));
  ASSERT_FALSE(scheduler.leave(*job, Answer::Failed, at(0)).has_value());
  std::vector<Finished> finished;
  scheduler.remove(Partition{1}, finished);
  EXPECT_TRUE(finished.empty());
  EXPECT_TRUE(scheduler.settle(*job, End::Done).done);
}

TEST_F(SchedulerTest, EndsAFailedAttemptOfARevokedPartitionWithoutWritingIt) {
  SubscriptionQueue& a = queue();
  HeldEvent& held = event("x", 1);
  ASSERT_EQ(admit(held, {&a}), Admitted::Yes);
  Job* job = scheduler.next(at(0));
  std::vector<Finished> finished;
  scheduler.remove(Partition{1}, finished);
  const std::optional<Finished> end = scheduler.leave(*job, Answer::Failed, at(0));
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->held, &held);
  EXPECT_FALSE(end->done);
}

TEST_F(SchedulerTest, FreesARetiredQueueWithTheLastJobThatLeaves) {
  SubscriptionQueue& a = queue();
  const std::uint32_t index = a.index;
  fill(a, 1);
  Job* job = scheduler.next(at(0));
  ASSERT_FALSE(scheduler.leave(*job, Answer::Answered, at(0)).has_value());
  std::vector<Finished> finished;
  scheduler.retire(a, finished);
  EXPECT_TRUE(scheduler.is_live(index));
  EXPECT_TRUE(scheduler.settle(*job, End::Done).done);
  EXPECT_FALSE(scheduler.is_live(index));
}

TEST_F(SchedulerTest, TellsWhatIsInFlightOfAPartitionAndWhatOfItLastHadNoAnswer) {
  SubscriptionQueue& answers = queue();
  SubscriptionQueue& fails = queue();
  ASSERT_EQ(admit(event("a", 0), {&fails}), Admitted::Yes);
  for (Job* const job : take()) fail(*job);
  ASSERT_EQ(admit(event("a", 0), {&answers}), Admitted::Yes);
  ASSERT_EQ(admit(event("b", 0), {&fails}), Admitted::Yes);
  ASSERT_EQ(admit(event("c", 1), {&answers}), Admitted::Yes);
  ASSERT_EQ(take(5).size(), 3U);
  std::vector<Job*> jobs;
  scheduler.in_flight_of(Partition{0}, TimePoint::max(), jobs);
  EXPECT_EQ(jobs.size(), 2U);
  jobs.clear();
  scheduler.in_flight_of(Partition{0}, at(4), jobs);
  ASSERT_EQ(jobs.size(), 1U);
  EXPECT_EQ(jobs[0]->queue, &fails);
  EXPECT_FALSE(scheduler.abandon(*jobs[0], at(5)).done);
  jobs.clear();
  scheduler.in_flight_of(Partition{0}, at(4), jobs);
  EXPECT_TRUE(jobs.empty());
}

TEST_F(SchedulerTest, TellsWhatHasBeenInFlightForLong) {
  SubscriptionQueue& queue_of = queue();
  ASSERT_EQ(admit(event("a", 0), {&queue_of}), Admitted::Yes);
  ASSERT_EQ(take(1000).size(), 1U);
  ASSERT_EQ(admit(event("b", 0), {&queue_of}), Admitted::Yes);
  ASSERT_EQ(take(1200).size(), 1U);
  std::vector<Job*> jobs;
  scheduler.in_flight_of(Partition{0}, at(999), jobs);
  EXPECT_TRUE(jobs.empty());
  scheduler.in_flight_of(Partition{0}, at(1100), jobs);
  ASSERT_EQ(jobs.size(), 1U);
  EXPECT_EQ(jobs[0]->held->event.object_id, "a");
}

}  // namespace
}  // namespace eventrelay::relay
