// Two owners of one partition's state on the embedded broker: take-over, fencing, and what an older
// owner writes late.
#include "relay/backlog/state_log.hpp"

#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <optional>

#include "common/kafka/tools/topic_reader.hpp"
#include "relay/real_io.hpp"
#include "tests/component/relay/flow.hpp"

namespace eventrelay::relay::test {
namespace {

using std::chrono::milliseconds;

constexpr Partition kPlace{2};
constexpr std::string_view kSubscription = "427236";

// What a shard has of the state topic, with everything that it is told. Thread: the test's.
class Owner {
 public:
  Owner(asio::io_context& loop, const std::shared_ptr<const Settings>& settings)
      : loop_(loop),
        io_(loop.get_executor(), settings, slab_, nullptr),
        outbox_(io_, OutboxOptions{settings->config, 1}, slab_, [](Partition) {}),
        log_(io_, settings->config, parts()) {
    log_.assign(kPlace);
  }

  // How the group answers its commits from now on.
  void is_member(bool member) { member_ = member; }
  [[nodiscard]] int asked() const { return asked_; }
  void tick() { log_.tick(); }
  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] int durable() const { return durable_; }
  [[nodiscard]] const std::string& stopped() const { return stopped_; }
  [[nodiscard]] bool idle() const { return outbox_.idle(); }
  [[nodiscard]] Cursors& cursors() { return *log_.find(kPlace); }
  void write() { log_.write(kPlace); }
  void put(std::string key, std::string value) {
    outbox_.put_state(kPlace, std::move(key), std::move(value), Sender{&nobody_, 1});
  }
  CursorId detach(std::int64_t live) {
    Detach request;
    request.subscription = kSubscription;
    request.live = Offset{live};
    request.reason = "queue_full";
    const CursorId id = cursors().detach(request, Moment{monotonic_now(), wall_now()});
    write();
    return id;
  }

 private:
  struct Nobody final : OutboxClient {
    void on_receipt(std::uint64_t, Receipt) override {}
  };

  StateLogParts parts() {
    return StateLogParts{outbox_,
                         slab_,
                         {},
                         [this](const kafka::Commit& commit, std::uint64_t token) {
                           EXPECT_EQ(commit.partition, kPlace);
                           EXPECT_GT(commit.next, Offset{0});
                           ++asked_;
                           asio::post(loop_, [this, token] { log_.confirmed(token, member_); });
                           return true;
                         },
                         [this](Partition, Cursors&) { ready_ = true; },
                         [this](Partition) { ++durable_; },
                         [this](Partition, std::string why) { stopped_ = std::move(why); }};
  }

  asio::io_context& loop_;
  metrics::Slab slab_;
  Nobody nobody_;
  bool member_ = true;
  int asked_ = 0;
  bool ready_ = false;
  int durable_ = 0;
  std::string stopped_;
  RealIo io_;
  Outbox outbox_;
  StateLog log_;
};

class StateLogTest : public ::testing::Test {
 protected:
  bool run(const std::function<bool()>& so) {
    const TimePoint end = monotonic_now() + kPatience;
    while (!so() && monotonic_now() < end) {
      loop_.restart();
      loop_.run_for(milliseconds(5));
    }
    return so();
  }
  bool ownership(std::optional<Owner>& owner) {
    owner.emplace(loop_, settings_);
    return run([&] { return owner->ready(); });
  }
  // What counts of the topic, as the next owner would read it.
  StateTable table() {
    kafka::TopicReader reader(flow_.client_config(), "t.state", kafka::From::Beginning);
    StateTable found;
    // Up to a pause behind the first record; there is always a mark.
    TimePoint end = monotonic_now() + kPatience;
    while (monotonic_now() < end) {
      const auto message = reader.next(milliseconds(100));
      if (!message || message->partition() != kPlace) continue;
      EXPECT_TRUE(found.take(message->key(), message->value()));
      end = monotonic_now() + milliseconds(400);
    }
    return found;
  }

  Flow flow_;
  std::shared_ptr<const Settings> settings_ = flow_.load("http://127.0.0.1:1/");
  asio::io_context loop_{1};
};

TEST_F(StateLogTest, MarksAnEmptyPartitionBeforeItIsReady) {
  std::optional<Owner> owner;
  ASSERT_TRUE(ownership(owner));
  EXPECT_EQ(owner->cursors().epoch(), 1U);
  EXPECT_TRUE(owner->cursors().empty());
  EXPECT_EQ(table().epoch(), 1U);
}

TEST_F(StateLogTest, HandsTheEntriesOfOneOwnerToTheNext) {
  std::optional<Owner> first;
  ASSERT_TRUE(ownership(first));
  first->detach(120);
  ASSERT_TRUE(run([&] { return first->durable() == 1; }));
  first.reset();
  std::optional<Owner> second;
  ASSERT_TRUE(ownership(second));
  EXPECT_EQ(second->cursors().epoch(), 2U);
  EXPECT_EQ(second->cursors().cover({kSubscription, {}, Ordering::None}, Offset{121}),
            Cover::Durable);
}

TEST_F(StateLogTest, IsNotReadyBeforeTheGroupHasTakenItsCommit) {
  std::optional<Owner> owner;
  owner.emplace(loop_, settings_);
  owner->is_member(false);
  ASSERT_TRUE(run([&] { return owner->asked() == 1; }));
  loop_.restart();
  loop_.run_for(milliseconds(50));
  EXPECT_FALSE(owner->ready());
  owner->is_member(true);
  owner->tick();
  ASSERT_TRUE(run([&] { return owner->ready(); }));
  EXPECT_EQ(owner->asked(), 2);
}

// It has lost the partition, and so the group refuses its commits from the next take-over on.
TEST_F(StateLogTest, AFormerOwnerWritesNothingMore) {
  std::optional<Owner> zombie;
  ASSERT_TRUE(ownership(zombie));
  zombie->is_member(false);
  std::optional<Owner> owner;
  ASSERT_TRUE(ownership(owner));
  ASSERT_TRUE(run([&] { return zombie->asked() == 2; }));
  zombie->detach(120);
  zombie->tick();
  ASSERT_TRUE(run([&] { return zombie->asked() == 3; }));
  EXPECT_TRUE(zombie->idle());
  EXPECT_EQ(zombie->durable(), 0);
  EXPECT_EQ(table().epoch(), 2U);
  EXPECT_TRUE(table().records().empty());
  EXPECT_EQ(owner->asked(), 1);
}

// A former owner writes its fencing mark late: the true one marks again and loses nothing.
TEST_F(StateLogTest, TakesOverAgainBehindALateMarkOfAFormerOwner) {
  std::optional<Owner> owner;
  ASSERT_TRUE(ownership(owner));
  owner->put(std::string(kOwnerKey), encode(OwnerRecord{2, "late"}));
  owner->detach(120);
  ASSERT_TRUE(run([&] { return owner->durable() == 1; }));
  EXPECT_EQ(owner->cursors().epoch(), 3U);
  // Before and behind its new mark.
  EXPECT_EQ(owner->asked(), 3);
  const StateTable now = table();
  EXPECT_EQ(now.epoch(), 3U);
  ASSERT_EQ(now.records().size(), 1U);
  EXPECT_EQ(now.records().begin()->second.epoch, 3U);
  EXPECT_EQ(owner->stopped(), "");
}

TEST_F(StateLogTest, WritesAgainWhatAnOlderOwnerWroteLate) {
  std::optional<Owner> owner;
  ASSERT_TRUE(ownership(owner));
  owner->detach(120);
  ASSERT_TRUE(run([&] { return owner->durable() == 1; }));
  // A zombie of an older epoch: a position ahead of ours, a cursor of its own, a tombstone.
  StateRecord late;
  late.subscription = kSubscription;
  late.from = Offset{120};
  late.position = Offset{500};
  late.epoch = 0;
  owner->put("427236@120", encode(late));
  late.from = Offset{300};
  owner->put("427236@300", encode(late));
  ASSERT_TRUE(run([&] { return owner->idle(); }));
  const auto repaired = [&] {
    const StateTable now = table();
    loop_.restart();
    loop_.run_for(milliseconds(50));
    const auto cursor = now.records().find("427236@120");
    return now.records().size() == 1 && cursor != now.records().end() &&
           cursor->second.position == Offset{120};
  };
  EXPECT_TRUE(run(repaired));
  EXPECT_EQ(owner->stopped(), "");
  // Whoever reads only the last record of each key, as compaction leaves it, finds ours.
  std::map<std::string, std::string> last;
  kafka::TopicReader reader(flow_.client_config(), "t.state", kafka::From::Beginning);
  ASSERT_TRUE(run([&] {
    while (const auto message = reader.next(milliseconds(100))) {
      last[std::string(message->key())] = std::string(message->value());
    }
    const auto mine = last.find("427236@120");
    return mine != last.end() && last.count("427236@300") == 1 && last["427236@300"].empty() &&
           mine->second.find("\"epoch\":1") != std::string::npos;
  }));
  owner->put("427236@120", "");
  ASSERT_TRUE(run([&] { return owner->idle(); }));
  EXPECT_TRUE(run([&] { return table().fenced().size() >= 3; }));
  EXPECT_EQ(table().records().size(), 1U);
}

TEST_F(StateLogTest, StopsAtARecordOfAVersionThatIsNotItsOwn) {
  std::optional<Owner> owner;
  ASSERT_TRUE(ownership(owner));
  owner->put("427236@1", "{\"v\":2}");
  EXPECT_TRUE(run([&] { return !owner->stopped().empty(); }));
  EXPECT_NE(owner->stopped().find("version"), std::string::npos) << owner->stopped();
}

}  // namespace
}  // namespace eventrelay::relay::test
