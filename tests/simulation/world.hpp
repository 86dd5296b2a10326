// What is outside a relay process and outlives it: Kafka's logs, the group, the endpoints; and the
// truth that is checked whenever something is delivered, written or committed.
//
//   Relay --write, commit--> logs --read--> Relay      Relay --call--> endpoint --answer--> Relay
//
// Why:     a hole shows only under a kill at one moment, a late acknowledgement, an endpoint that
//          comes back; so all of it is one seeded program in virtual time.
// Owner:   the test.  Thread: one.  Bounds: Plan.
// Errors:  `broken` names the first breach; the seed repeats it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "clock.hpp"
#include "relay/backlog/cursor/cursors.hpp"
#include "relay/dispatch/retry.hpp"
#include "relay/http/delivery.hpp"

namespace eventrelay::relay::simulation {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Planted in the shell to see that the checks find it. Thread: value.
enum class Fault : std::uint8_t {
  None,
  SettleBeforeParked,   // an offset is let go before its delay record is acknowledged
  SkipBeforeDurable,    // what a cursor covers is skipped before its record is durable
  CommitLive,           // the live position is committed
  NoFencing,            // records of former owners count
  DelayCommitsHead,     // a delay topic's offset is done when its record is read
  ParkOrdered,          // an ordered failure goes to a delay topic like any other
  IgnoreRetryAfter,     // the endpoint's wish is not passed on
  CursorsIgnoreRanges,  // cursors do not know what the ranges name
  NoConcurrencyBudget,  // a sick subscription takes every slot
  NoQueueBound,         // and every place in memory
  ForgetReread,         // a read again job that fails is neither written nor given back
  DetachForgetsFlight,  // a detach does not name what is in flight
  NeverCatchUp,         // who is detached stays so
  CatchUpFeedsTheSlow,  // a catch-up read goes on at the pace of the one that it waits for
  KeepsNoSlots,         // a shard has too few slots to keep any from those who hang
  OwnUnconfirmed,       // an owner begins though the group does not take its commit
};
inline constexpr int kFaults = 17;

inline constexpr int kPartitions = 2;
inline constexpr int kWorkers = 2;
inline constexpr std::array<milliseconds, 3> kSteps{milliseconds{1000}, milliseconds{5000},
                                                    milliseconds{20'000}};
inline constexpr int kStepCount = static_cast<int>(kSteps.size());

// From when an event can be read, or its partition was last disturbed, to its delivery: a healthy
// subscription that a burst has detached catches up by one queue full per catch-up read, at worst.
inline constexpr Duration kHealthyWait = seconds{8};
// The same where nothing befalls but that many hang, each attempt for kHang.
inline constexpr Duration kCalmWait = seconds{1};
inline constexpr Duration kHang = seconds{5};

enum class Health : std::uint8_t {
  Healthy,
  Dead,
  Flapping,
  Slow,
  Hanging,
  Gone,
  AsksToWait,
  Picky
};

struct Subscriber {
  std::string id;
  int partition = 0;
  Ordering ordering = Ordering::None;
  std::uint32_t types = ~0U;
  Health health = Health::Healthy;
  std::uint32_t rate = 0;
  bool queues_exhausted = false;
  bool late = false;  // one of a crowd that comes when the others have been called before
};

struct SimEvent {
  std::int64_t at = 0;
  std::string object;
  std::uint32_t type = 0;
  std::size_t bytes = 0;
  TimePoint produced{};
};

// A parked event in a delay topic.
struct ParkRecord {
  std::int64_t at = 0;  // in `events`
  int subscriber = 0;
  std::uint32_t attempts = 0;
  WallTime due{};
  WallTime first_failure{};
};

struct StateRow {
  std::string key;
  std::string value;
};

// What a group holds about one partition of a topic.
struct Committed {
  std::optional<Offset> offset;
  std::string metadata;
};

// An endpoint's answer.
struct Reply {
  Duration after{};
  RetryClass retry = RetryClass::Delivered;
  bool took = false;  // the endpoint has it, whatever the relay hears
  std::optional<seconds> retry_after;
};

// What may happen in a run.
struct Weather {
  bool kills = true;
  bool stops = true;
  bool moves = true;
  bool late = true;  // acknowledgements, and topics that can not be written for a while
  bool sick = true;  // endpoints, or called at a limited rate
  int hanging = 0;   // subscriptions of each partition besides, that hang
};

struct Tally {
  std::uint64_t delivered = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t parked = 0;
  std::uint64_t dead = 0;
  std::uint64_t state_records = 0;
  std::uint64_t kills = 0;
  std::uint64_t stops = 0;
  std::uint64_t moves = 0;
  std::uint64_t detaches = 0;
  std::uint64_t blocks = 0;
  std::uint64_t catch_ups = 0;
  std::uint64_t refused_commits = 0;
  std::uint64_t beaten = 0;
  std::uint64_t owned_again = 0;
  std::uint64_t restored = 0;  // offsets known to be done after a restart
  Duration healthy_wait{};     // the longest of a healthy subscription
};

// Thread: one.  Bounds: see the head of this file.
class World {
 public:
  enum class Topic : std::uint8_t { Retry, Dead, State, Commit };

  World(std::uint64_t seed, Fault fault, const Weather& weather);

  [[nodiscard]] bool chance(double probability) { return random.unit() < probability; }
  [[nodiscard]] std::int64_t up_to(std::int64_t count) {
    return static_cast<std::int64_t>(random.next() % static_cast<std::uint64_t>(count));
  }
  [[nodiscard]] milliseconds ms(std::int64_t from, std::int64_t to) {
    return milliseconds{from + up_to(to - from + 1)};
  }
  [[nodiscard]] Moment moment() const { return Moment{clock.now(), clock.wall()}; }
  [[nodiscard]] bool wants(int sub, const SimEvent& event) const;
  [[nodiscard]] EventKey key(int sub, const SimEvent& event) const;
  [[nodiscard]] std::vector<SimEvent>& log(int partition) { return logs[at(partition)]; }
  // One past the last that can be read now.
  [[nodiscard]] std::int64_t log_end(int partition) const;

  // `land` runs when it is in the log, unless `life` ended before it was sent; then `ack`.
  void write(const LifePtr& life, Topic topic, int partition, std::function<void()> land,
             std::function<void()> ack);
  // `stay`: of the partition when the write began.
  void park(const LifePtr& life, std::uint64_t stay, int partition, int step,
            const ParkRecord& record);
  void dead_letter(const LifePtr& life, int partition, int sub, std::int64_t at);
  void put_state(const LifePtr& life, int partition, const StateRow& row);
  // Refused unless `life` has the partition still, by the same hand-over.
  [[nodiscard]] bool commit_events(const LifePtr& life, int partition, std::uint64_t generation,
                                   const Committed& committed);
  void commit_delay(int partition, int step, const Committed& committed);

  [[nodiscard]] Reply call(const LifePtr& life, int sub, std::int64_t at);
  // `current`: who sent it is still whom the partition was given to then.
  void took(const LifePtr& life, int sub, std::int64_t at, bool current);

  // The partition has, or is about to have, another owner: what may be done twice.
  void excuse(int partition);
  // One object waits at `from`, below what the ranges had named up to `to`: a cursor of an object
  // can not tell those apart, so it hands out again what is of that object.
  void excuse_object(int sub, std::int64_t from, std::int64_t to);
  void handed_over(int partition) {
    ++stays[at(partition)];
    excuse(partition);
  }
  // Healthy subscriptions of it may have waited for this.
  void disturbed(int partition) { calm_since[at(partition)] = clock.now(); }
  [[nodiscard]] bool is_healthy(int sub) const;
  [[nodiscard]] bool complete() const;
  [[nodiscard]] std::string missing() const;
  void breach(const std::string& what);
  void note(std::string_view what, std::int64_t a = 0, std::int64_t b = 0, std::int64_t c = 0);
  // One past the last offset that is known to be done.
  [[nodiscard]] static std::int64_t end_of(const Committed& known);
  [[nodiscard]] static std::size_t at(int index) { return static_cast<std::size_t>(index); }

  Random random;
  Fault fault;
  Weather weather;
  Clock clock;
  bool healed = false;
  std::uint64_t lives = 0;
  std::vector<Subscriber> subs;
  std::array<std::vector<SimEvent>, kPartitions> logs;
  std::array<std::array<std::vector<ParkRecord>, kStepCount>, kPartitions> parked;
  std::array<std::array<Committed, kStepCount>, kPartitions> delays_committed;
  std::array<std::vector<StateRow>, kPartitions> state;
  // By the life that reads it.
  std::array<std::map<std::uint64_t, std::function<void()>>, kPartitions> state_grew;
  std::array<Committed, kPartitions> committed;
  std::array<LifePtr, kPartitions> owner;  // as the group knows it
  std::array<TimePoint, kPartitions> calm_since{};
  std::array<std::uint64_t, kPartitions> stays{};        // take-overs so far
  std::array<std::uint64_t, kPartitions> generations{};  // hand-overs by the group
  TimePoint unwritable_from = TimePoint::max();          // state and delay topics
  TimePoint unwritable_until{};
  Tally tally;
  std::uint64_t hash = 1469598103934665603U;
  std::string broken;
  bool trace = false;

 private:
  struct Fate {
    int times = 0;
    bool dead = false;
    int excused = 0;
    WallTime asked{};       // the endpoint does not want it before
    WallTime not_before{};  // parked until
    std::vector<std::pair<int, std::int64_t>> parked;
  };

  void make_subscribers();
  void make_events();
  [[nodiscard]] Fate& fate(int sub, std::int64_t at) {
    return fates_[static_cast<std::size_t>(sub)][static_cast<std::size_t>(at)];
  }
  [[nodiscard]] const Fate& fate(int sub, std::int64_t at) const {
    return fates_[static_cast<std::size_t>(sub)][static_cast<std::size_t>(at)];
  }
  [[nodiscard]] int cursors_with(int sub, const SimEvent& event) const;
  [[nodiscard]] int delays_with(int sub, std::int64_t at) const;
  void judge(int partition);
  void judge_order(int sub, std::int64_t at);
  [[nodiscard]] Duration latency();

  std::vector<std::vector<Fate>> fates_;  // [subscriber][offset]
  std::array<std::vector<bool>, kPartitions> forgotten_;
  std::array<std::array<std::vector<bool>, kStepCount>, kPartitions> delays_forgotten_;
  std::array<StateTable, kPartitions> counted_;
  std::map<std::array<std::int64_t, 3>, TimePoint> landing_;  // last of a life, topic, partition
};

}  // namespace eventrelay::relay::simulation
