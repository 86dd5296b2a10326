#include "relay/log/consumer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <vector>

#include "tests/unit/relay/log_fixture.hpp"

namespace eventrelay::relay {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Partition kPartition{3};

TimePoint at(milliseconds since) {
  return TimePoint{since};
}

// A log, read as the client library does: where a partition has just been assigned it forgets that
// it was asked for the start, and goes on where it was. Thread: test.
class ForgetfulMember final : public GroupMember {
 public:
  void start() override {}
  std::optional<kafka::Message> next(Partition) override {
    if (position >= log.size()) return std::nullopt;
    return kafka::Message(log[position++]);
  }
  void commit_async(std::span<const kafka::Commit>) override {}
  bool committing() const override { return false; }
  bool commit_sync(std::span<const kafka::Commit>) override { return true; }
  bool confirm(const std::string&, const kafka::Commit&, std::uint64_t) override { return true; }
  std::optional<kafka::Watermarks> watermarks(Partition) const override { return known; }
  std::int64_t lag() const override { return 0; }
  void read_anew(Partition) override {
    ++asked;
    if (forgets > 0) return static_cast<void>(--forgets);
    position = 0;
  }
  void release() override {}
  void close(TimePoint, std::function<void()> done) override { done(); }
  bool joined() const override { return true; }

  std::deque<kafka::MadeRecord> log;
  std::optional<kafka::Watermarks> known;
  std::size_t position = 0;
  int forgets = 0;
  int asked = 0;
};

// Thread: test.
class ConsumerTest : public ::testing::Test, private UnknownSink {
 protected:
  ConsumerTest() {
    Update first;
    first.settings = std::make_shared<Settings>();
    std::vector<Finished> finished;
    subscriptions_.use(first, finished);
    consumer.attach(member);
    consumer.keep_unknown(*this);
    const kafka::Assigned assigned{kPartition, Offset{2}, ""};
    consumer.assign({&assigned, 1});
    for (std::int64_t offset = 0; offset < 4; ++offset) {
      member.log.push_back(test::made(kPartition, offset, 427236));
    }
    member.position = 2;
  }

  std::vector<std::int64_t> read() { return read(consumer); }
  std::vector<std::int64_t> read(Consumer& reader) {
    taken_.clear();
    reader.on_readable(kPartition);
    static_cast<void>(reader.read(100, Reach::Far));
    return taken_;
  }

  // One that has room for a single unfinished event, from the start of the log.
  std::unique_ptr<Consumer> narrow_one() {
    auto made =
        std::make_unique<Consumer>(scheduler_, subscriptions_, slab_, LedgerBounds{1, 64}, nullptr);
    made->attach(member);
    made->keep_unknown(*this);
    assign(*made, Offset{0});
    return made;
  }
  void assign(Consumer& reader, Offset committed) {
    member.position = static_cast<std::size_t>(committed.value);
    const kafka::Assigned assigned{kPartition, committed, ""};
    reader.assign({&assigned, 1});
  }

  ForgetfulMember member;
  std::vector<HeldRecord*> unfinished;
  bool finishes = true;

 private:
  void keep(HeldRecord& record) override {
    taken_.push_back(record.offset.value);
    if (!finishes) return unfinished.push_back(&record);
    record.owner->settled(record, End::Done);
  }

  test::NoEndpoints nobody_;
  Scheduler scheduler_{SchedulerBounds{}};
  Subscriptions subscriptions_{scheduler_, nobody_, {1s}};
  metrics::Slab slab_;
  std::vector<std::int64_t> taken_;

 protected:
  Consumer consumer{scheduler_, subscriptions_, slab_, LedgerBounds{}, nullptr};
};

// What comes is fetched before it is read.
TEST_F(ConsumerTest, ReadsInOrderWhatItHasFetchedBehindAFullWindow) {
  const std::unique_ptr<Consumer> narrow = narrow_one();
  finishes = false;
  EXPECT_THAT(read(*narrow), ElementsAre(0));
  for (std::int64_t offset = 1; offset < 4; ++offset) {
    narrow->settled(*unfinished.back(), End::Done);
    EXPECT_THAT(read(*narrow), ElementsAre(offset));
  }
  narrow->settled(*unfinished.back(), End::Done);
}

TEST_F(ConsumerTest, ForgetsWhatItHasFetchedWhenThePartitionLeaves) {
  const std::unique_ptr<Consumer> narrow = narrow_one();
  finishes = false;
  EXPECT_THAT(read(*narrow), ElementsAre(0));
  narrow->stop_reading(kPartition);
  narrow->settled(*unfinished.back(), End::Done);
  narrow->drop(kPartition);
  assign(*narrow, Offset{1});
  finishes = true;
  EXPECT_THAT(read(*narrow), ElementsAre(1, 2, 3));
}

TEST_F(ConsumerTest, ReadsALogThatBeganAnewFromItsStart) {
  consumer.begin_anew(kPartition, at(0ms));
  EXPECT_THAT(read(), ElementsAre(0, 1, 2, 3));
  consumer.await_starts(at(10s));
  EXPECT_EQ(member.asked, 1);
}

TEST_F(ConsumerTest, AsksAgainForAStartThatTheLibraryHasForgotten) {
  member.forgets = 2;
  consumer.begin_anew(kPartition, at(0ms));
  EXPECT_THAT(read(), IsEmpty()) << "what stands in the middle is not the start";
  consumer.await_starts(at(499ms));
  EXPECT_EQ(member.asked, 1);
  consumer.await_starts(at(500ms));
  EXPECT_EQ(member.asked, 2);
  EXPECT_THAT(read(), IsEmpty());
  consumer.await_starts(at(1s));
  EXPECT_THAT(read(), ElementsAre(0, 1, 2, 3));
  consumer.await_starts(at(10s));
  EXPECT_EQ(member.asked, 3) << "it is known by now";
}

TEST_F(ConsumerTest, AsksForNoStartWhileItsLogIsEmpty) {
  member.forgets = 1;
  member.known = kafka::Watermarks{Offset{0}, Offset{0}};
  const std::deque<kafka::MadeRecord> later = std::exchange(member.log, {});
  consumer.begin_anew(kPartition, at(0ms));
  for (milliseconds now = 1s; now < 60s; now += 1s) consumer.await_starts(at(now));
  EXPECT_EQ(member.asked, 1);
  member.log = later;
  member.known = kafka::Watermarks{Offset{0}, Offset{4}};
  consumer.await_starts(at(60s));
  EXPECT_THAT(read(), ElementsAre(0, 1, 2, 3));
}

// A log that has lost its start meanwhile has none to wait for.
TEST_F(ConsumerTest, TakesWhatComesOnceItHasAskedTenTimes) {
  member.forgets = 100;
  consumer.begin_anew(kPartition, at(0ms));
  for (milliseconds now = 500ms; now < 60s; now += 500ms) {
    member.position = 2;
    consumer.await_starts(at(now));
    if (member.asked < 10) {
      EXPECT_THAT(read(), IsEmpty());
    }
  }
  EXPECT_EQ(member.asked, 10);
  EXPECT_THAT(read(), ElementsAre(2, 3));
}

}  // namespace
}  // namespace eventrelay::relay
