// The outbox on the embedded broker: what is written, what is tried again, and who hears of it.
#include "relay/park/outbox.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/kafka/tools/topic_reader.hpp"
#include "relay/real_io.hpp"
#include "tests/component/relay/flow.hpp"

namespace eventrelay::relay::test {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::int16_t kProduce = 0;
constexpr int kNotAuthorised = 29;  // no use to send it again: reported as failed at once

using Told = std::pair<std::uint64_t, Receipt>;

struct Heard final : OutboxClient {
  void on_receipt(std::uint64_t token, Receipt receipt) override {
    all.emplace_back(token, receipt);
  }
  std::vector<Told> all;
};

// An outbox with its loop, and what its topics hold. Thread: the test's.
class OutboxTest : public ::testing::Test {
 protected:
  OutboxTest()
      : settings_(flow_.load("http://127.0.0.1:1/")),
        io_(loop_.get_executor(), settings_, slab_, nullptr) {
    outbox_.emplace(io_, OutboxOptions{settings_->config, 1}, slab_,
                    [this](Partition partition) { changed_.push_back(partition.value); });
    settle_in();
  }

  void settle_in() {
    Heard ready;
    outbox_->put_state(Partition{3}, "ready", "{}", Sender{&ready, 1});
    ASSERT_TRUE(run([&] { return !ready.all.empty(); }));
    // Before the topics are known nothing is wrong yet.
    ASSERT_EQ(slab_.relay_write_failures_total.read(metrics::ProduceFailure::Broker), 0U);
    changed_.clear();
  }

  bool run(const std::function<bool()>& so, Duration limit = kPatience) {
    const TimePoint end = monotonic_now() + limit;
    while (!so() && monotonic_now() < end) {
      loop_.restart();
      loop_.run_for(milliseconds(5));
      outbox_->age(monotonic_now());
    }
    return so();
  }

  std::vector<std::string> values(const std::string& topic, const std::string& key) {
    kafka::TopicReader reader(flow_.client_config(), topic, kafka::From::Beginning);
    std::vector<std::string> all;
    TimePoint end = monotonic_now() + kPatience;  // then as long as more come
    while (monotonic_now() < end) {
      const auto message = reader.next(milliseconds(100));
      if (!message) continue;
      end = monotonic_now() + milliseconds(700);
      if (message->key() == key) all.emplace_back(message->value());
    }
    return all;
  }

  HeldEvent& held(std::size_t bytes) {
    body_ = std::string(bytes, 'x');
    held_.event.id = "event-1";
    held_.event.element = "box";
    held_.event.instance = InstanceId{kInstance};
    held_.event.received = wall_now();
    held_.event.body = body_;
    held_.partition = Partition{2};
    return held_;
  }
  static ParkedState state() {
    ParkedState state;
    state.subscription = "427236";
    state.attempts_made = 1;
    state.first_failure = wall_now();
    state.due = wall_now();
    state.reason = "http_5xx";
    return state;
  }

  Flow flow_;
  std::shared_ptr<const Settings> settings_;
  asio::io_context loop_{1};
  metrics::Slab slab_;
  std::vector<std::int32_t> changed_;
  Heard heard_;
  std::string body_;
  HeldEvent held_;
  RealIo io_;
  std::optional<Outbox> outbox_;
};

TEST_F(OutboxTest, WritesTheRecordsOfAKeyInOrderAndSkipsWhatWasOvertaken) {
  for (std::uint64_t n = 1; n <= 5; ++n) {
    outbox_->put_state(Partition{1}, "427236@7", std::to_string(n), Sender{&heard_, n});
  }
  ASSERT_TRUE(run([&] { return heard_.all.size() == 5; }));
  for (const auto& [token, receipt] : heard_.all) EXPECT_EQ(receipt, Receipt::Written) << token;
  EXPECT_TRUE(outbox_->idle());
  EXPECT_THAT(values("t.state", "427236@7"), ElementsAre("1", "5"));
}

TEST_F(OutboxTest, KeepsKeysOfTwoPartitionsApart) {
  outbox_->put_state(Partition{0}, "owner", "a", Sender{&heard_, 1});
  outbox_->put_state(Partition{1}, "owner", "b", Sender{&heard_, 2});
  ASSERT_TRUE(run([&] { return heard_.all.size() == 2; }));
  EXPECT_EQ(values("t.state", "owner").size(), 2U);
}

TEST_F(OutboxTest, TriesARefusedRecordAgainAndBlocksItsPartitionMeanwhile) {
  flow_.cluster().fail_requests(kProduce, kNotAuthorised, 2);
  outbox_->put_state(Partition{1}, "k", "old", Sender{&heard_, 1});
  ASSERT_TRUE(run([&] { return outbox_->blocked(Partition{1}); }));
  EXPECT_FALSE(outbox_->blocked(Partition{0}));
  EXPECT_EQ(outbox_->blocked_partitions(), 1U);
  EXPECT_FALSE(outbox_->reason().empty());
  EXPECT_THAT(heard_.all, IsEmpty());
  // A newer record of the key takes the place of the one that failed.
  outbox_->put_state(Partition{1}, "k", "new", Sender{&heard_, 2});
  ASSERT_TRUE(run([&] { return heard_.all.size() == 2; }));
  EXPECT_FALSE(outbox_->blocked(Partition{1}));
  EXPECT_THAT(changed_, ElementsAre(1, 1));
  EXPECT_EQ(values("t.state", "k").back(), "new");
  EXPECT_GE(slab_.relay_write_failures_total.read(metrics::ProduceFailure::Broker), 2U);
}

TEST_F(OutboxTest, ForgetsWhatAPartitionWaitsForAndSaysSo) {
  flow_.cluster().fail_requests(kProduce, kNotAuthorised, 1000);
  outbox_->put_state(Partition{1}, "k", "a", Sender{&heard_, 1});
  outbox_->put_state(Partition{1}, "k", "b", Sender{&heard_, 2});
  outbox_->put_state(Partition{0}, "k", "c", Sender{&heard_, 3});
  ASSERT_TRUE(run([&] { return outbox_->blocked_partitions() == 2; }));
  outbox_->forget(Partition{1});
  EXPECT_THAT(heard_.all, testing::UnorderedElementsAre(Told{1U, Receipt::Forgotten},
                                                        Told{2U, Receipt::Forgotten}));
  EXPECT_FALSE(outbox_->blocked(Partition{1}));
  EXPECT_TRUE(outbox_->blocked(Partition{0}));
  EXPECT_FALSE(outbox_->idle());  // partition 0 waits on
}

// Those on the way when a delay log begins anew are all acknowledged below where its reader stood.
TEST_F(OutboxTest, TellsOnceThatALogHasBegunAnewHoweverLateTheOthersAreAcknowledged) {
  Offset position{100};
  int told = 0;
  outbox_->follow({[&](std::size_t, Partition) { return position; },
                   [&](std::size_t delay, Partition partition) {
                     ++told;
                     position = Offset{0};
                     outbox_->reads_from_start(delay, partition);
                   }});
  for (std::uint64_t n = 1; n <= 3; ++n) outbox_->park(held(10), state(), 0, Sender{&heard_, n});
  ASSERT_TRUE(run([&] { return heard_.all.size() == 3; }));
  EXPECT_EQ(told, 1) << "read again each time, its events would go out again each time";
  position = Offset{50};
  outbox_->park(held(10), state(), 0, Sender{&heard_, 4});
  ASSERT_TRUE(run([&] { return heard_.all.size() == 4; }));
  EXPECT_EQ(told, 2) << "another time";
}

TEST_F(OutboxTest, TellsOfAParkedEventThatIsTooLarge) {
  const std::size_t size = settings_->config.ingest.body_max + (256U << 10);
  outbox_->park(held(size), state(), 0, Sender{&heard_, 9});
  ASSERT_TRUE(run([&] { return !heard_.all.empty(); }));
  EXPECT_THAT(heard_.all, ElementsAre(Told{9U, Receipt::TooLarge}));
  EXPECT_FALSE(outbox_->blocked(Partition{2}));
}

TEST_F(OutboxTest, HoldsThePartitionOfADeadLetterThatIsTooLarge) {
  const std::size_t size = settings_->config.ingest.body_max + (256U << 10);
  ParkedState dead = state();
  dead.dead_class = kPipelineFailure;
  outbox_->dead_letter(held(size), dead, Sender{&heard_, 9});
  ASSERT_TRUE(run([&] { return outbox_->blocked(Partition{2}); }));
  EXPECT_THAT(outbox_->reason(), testing::HasSubstr("larger than its topic"));
  EXPECT_THAT(heard_.all, IsEmpty());
  outbox_->forget(Partition{2});
}

TEST_F(OutboxTest, WritesWhatIsHandedOverBeforeADrainEnds) {
  for (std::uint64_t n = 1; n <= 50; ++n) {
    outbox_->park(held(100), state(), 1, Sender{&heard_, n});
  }
  outbox_->log_attempt(InstanceId{kInstance}, "{}");
  bool drained = false;
  outbox_->drain(monotonic_now() + kPatience, [&] { drained = true; });
  ASSERT_TRUE(run([&] { return drained; }));
  EXPECT_EQ(heard_.all.size(), 50U);
  EXPECT_EQ(values("t.retry.200ms", "427236").size(), 50U);
  EXPECT_THAT(values("t.attempts", "427236"), ElementsAre("{}"));
}

}  // namespace
}  // namespace eventrelay::relay::test
