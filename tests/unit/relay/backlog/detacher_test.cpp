#include "relay/backlog/detacher.hpp"

#include <gtest/gtest.h>

#include <deque>

#include "tests/unit/relay/many_fixture.hpp"

namespace eventrelay::relay {
namespace {

using std::chrono::milliseconds;

constexpr Partition kPartition{3};
constexpr std::uint64_t kMany = 1000;
constexpr std::uint32_t kWindow = 64;

// So many events for each of many subscriptions. Thread: test.
class Log final : public GroupMember {
 public:
  void start() override {}
  std::optional<kafka::Message> next(Partition) override {
    if (next_ > kMany) return std::nullopt;
    records_.push_back(test::made(kPartition, static_cast<std::int64_t>(next_), 1 + next_ / each));
    ++next_;
    return kafka::Message(records_.back());
  }
  void commit_async(std::span<const kafka::Commit>) override {}
  bool committing() const override { return false; }
  bool commit_sync(std::span<const kafka::Commit>) override { return true; }
  bool confirm(const std::string&, const kafka::Commit&, std::uint64_t) override { return true; }
  std::optional<kafka::Watermarks> watermarks(Partition) const override { return std::nullopt; }
  std::int64_t lag() const override { return 0; }
  void read_anew(Partition) override {}
  void release() override {}
  void close(TimePoint, std::function<void()> done) override { done(); }
  bool joined() const override { return true; }

  std::uint64_t each = 1;

 private:
  std::uint64_t next_ = 1;
  std::deque<kafka::MadeRecord> records_;
};

// Thread: test.
class DetacherTest : public ::testing::Test {
 protected:
  DetacherTest() {
    subscriptions_.use(Update{test::settings_of(test::config_of(kMany)), {}, true}, finished_);
    consumer_.attach(log);
    consumer_.guard(detacher_);
    const kafka::Assigned assigned{kPartition, Offset{1}, ""};
    consumer_.assign({&assigned, 1});
    detacher_.add(kPartition, cursors_);
    consumer_.open(kPartition, cursors_);
  }
  ~DetacherTest() override {
    detacher_.drop(kPartition);
    consumer_.drop(kPartition);
    scheduler.remove(kPartition, finished_);
    for (const Finished& each : finished_) settle(each);
  }

  void pass(milliseconds time) {
    moment_.now += time;
    moment_.wall += time;
  }
  // Reads what there is room for, as often as a shard does within a second.
  void read() {
    for (int i = 0; i < 20; ++i) read_once();
  }
  void read_once() {
    pass(milliseconds{50});
    consumer_.retry(kPartition);
    consumer_.on_readable(kPartition);
    static_cast<void>(consumer_.read(2 * kMany, Reach::Far));
  }
  // An event of a subscription with room was found behind what fits, and still waits.
  void others_wait() {
    for (int i = 0; i < 4; ++i) {
      consumer_.await(kPartition, Offset{kWindow + 5}, now());
      read_once();
    }
  }
  // What may be sent now, of whomever.
  std::vector<Job*> take() {
    std::vector<Job*> jobs;
    while (Job* const job = scheduler.next(now())) jobs.push_back(job);
    return jobs;
  }
  // Its attempt failed.
  Job& left(Job& job) {
    EXPECT_FALSE(scheduler.leave(job, Answer::Failed, now()).has_value());
    return job;
  }
  std::uint64_t detached() { return static_cast<std::uint64_t>(cursors_.counts().detached); }
  [[nodiscard]] TimePoint now() const { return moment_.now; }

  Scheduler scheduler{{.in_flight_max = 16}};
  Log log;

 private:
  Moment moment_{TimePoint{std::chrono::hours{1}}, WallTime{std::chrono::hours{1000}}};
  Clock clock_{moment_};
  test::NoEndpoints nobody_;
  Subscriptions subscriptions_{scheduler, nobody_, {std::chrono::seconds{1}}};
  metrics::Slab slab_;
  Consumer consumer_{scheduler, subscriptions_, slab_, LedgerBounds{kWindow, 1024}, nullptr};
  Cursors cursors_{CursorBounds{}, StateEpoch{1}};
  Detacher detacher_{DetachParts{scheduler, subscriptions_, consumer_, slab_, clock_,
                                 [](Partition) {}, [](Job&) {}, [](Partition) {}, [](Partition) {},
                                 nullptr}};
  std::vector<Finished> finished_;
};

// It is the shard that has no slot for them, and none of them is slow.
TEST_F(DetacherTest, LeavesWhoWasNeverCalledWhereItIsWhileItWaitsForASlot) {
  read();
  EXPECT_EQ(scheduler.jobs(), kWindow);
  EXPECT_EQ(detached(), 0U);
}

// Instance 1 has 63 events in the window, and instance 2 the last one.
TEST_F(DetacherTest, LeavesWhoDoesNotAnswerWhereItIsWhileNobodyElseCouldTakeAnything) {
  log.each = kWindow;
  read();
  ASSERT_FALSE(take().empty());
  read();
  EXPECT_EQ(detached(), 0U);
}

TEST_F(DetacherTest, TakesOutWhoDoesNotAnswerOnceSomebodyElseCould) {
  log.each = kWindow;
  read();
  ASSERT_FALSE(take().empty());
  read();
  pass(milliseconds{1000});
  others_wait();
  EXPECT_EQ(detached(), 1U);
}

TEST_F(DetacherTest, TakesOutWhoFailsWithoutThat) {
  log.each = kWindow;
  read();
  const std::vector<Job*> jobs = take();
  ASSERT_FALSE(jobs.empty());
  settle(scheduler.settle(left(*jobs.front()), End::NotDone));
  read();
  EXPECT_EQ(detached(), 1U);
}

// Each has some events in the window, and all slots are taken by endpoints that need a second: it
// is for a slot that they wait, and no other one would get it sooner.
TEST_F(DetacherTest, LeavesWhoWaitsForASlotAloneWhereItIsWhoeverElseWaits) {
  log.each = 8;
  read();
  std::vector<Job*> jobs = take();
  ASSERT_FALSE(jobs.empty());
  pass(milliseconds{1000});
  for (Job* const job : jobs) settle(scheduler.finish(*job, now()));
  ASSERT_FALSE(take().empty());
  pass(milliseconds{400});
  read();
  others_wait();
  EXPECT_EQ(detached(), 0U);
}

}  // namespace
}  // namespace eventrelay::relay
