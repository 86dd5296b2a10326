// What is outside a relay process and outlives it: Kafka's logs, the group, the endpoints; and the
// truth that is checked whenever something is delivered, written or committed.
//
//   Shard --write, commit--> logs --read--> Shard      Shard --call--> endpoint --answer--> Shard
//
// Why:     a hole shows only under a kill at one moment, a late acknowledgement, an endpoint that
//          comes back; so all of it is one seeded program in virtual time.
// Owner:   the test.  Thread: one.  Bounds: Plan.
// Errors:  `broken` names the first breach; the seed repeats it.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "clock.hpp"
#include "common/kafka/consumer_client.hpp"
#include "common/registry/settings.hpp"
#include "relay/backlog/cursor/cursors.hpp"
#include "relay/dispatch/retry.hpp"
#include "relay/http/delivery.hpp"

namespace eventrelay::relay::simulation {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Planted outside of the shard, in its settings, or as a step that it leaves out (failpoint), to
// see that the checks find it.
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
  OneKey,               // one record per subscription or object, whatever it begins with
  SettleAtOnce,         // queued jobs are done with the detach, not with its record
  DoneAtHandout,        // an event is done when a catch-up read hands it out
  PositionAtReread,     // a record's position is what was read, not what is done
  ChainGoesOn,          // a failing event leaves its chain alone
  GiveBackAlone,        // and so does one that goes back to its cursor
};
inline constexpr int kFaults = 23;

inline constexpr int kPartitions = 2;
inline constexpr int kWorkers = 2;
inline constexpr std::array<milliseconds, 3> kSteps{milliseconds{1000}, milliseconds{5000},
                                                    milliseconds{20'000}};
inline constexpr int kStepCount = static_cast<int>(kSteps.size());

// From when an event can be read, or its partition was last disturbed, to its delivery: a healthy
// subscription that a burst has detached catches up by one queue full per catch-up read, at worst.
inline constexpr Duration kHealthyWait = seconds{6};
// The same where nothing befalls but that many hang, each attempt for kHang.
inline constexpr Duration kCalmWait = seconds{1};
inline constexpr Duration kHang = seconds{5};

// Bounds of one shard and of one subscription.
inline constexpr std::uint32_t kQueueJobs = 10;
inline constexpr std::uint32_t kConcurrency = 3;
inline constexpr std::uint32_t kInFlight = 24;

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
  std::string name;  // in its instance; empty: its callback
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
  TimePoint produced{};
  kafka::MadeRecord record;
};

// A parked event in a delay topic.
struct ParkRecord {
  std::int64_t at = 0;  // in `events`
  int subscriber = 0;
  WallTime due{};
  kafka::MadeRecord record;
};

// One partition of one topic.
struct Log {
  enum class Kind : std::uint8_t { Events, Retry, State, Dead, Attempts };
  Kind kind = Kind::Events;
  int partition = 0;
  int step = 0;  // of Retry
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
  bool took = false;  // the endpoint has taken it, even if the relay hears something else
  std::optional<seconds> retry_after;
};

// What may happen in a run.
struct Weather {
  bool kills = true;
  bool stops = true;
  bool moves = true;
  bool late = true;     // acknowledgements, and topics that can not be written for a while
  bool drains = true;   // a process ends in good order
  bool pauses = true;   // subscriptions are paused by hand
  bool expires = true;  // the log keeps its events for a short time only
  bool sick = true;     // endpoints, or called at a limited rate
  int hanging = 0;      // subscriptions of each partition besides, that hang
  unsigned shards = 1;  // of each process
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
  std::uint64_t drains = 0;
  std::uint64_t pauses = 0;
  std::uint64_t expired = 0;
  std::uint64_t compacted = 0;
  std::uint64_t detaches = 0;
  std::uint64_t blocks = 0;
  std::uint64_t catch_ups = 0;
  std::uint64_t refused_commits = 0;
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
  [[nodiscard]] bool wants(int sub, const SimEvent& event) const;
  [[nodiscard]] int sub_of(std::string_view id) const { return numbers_.find(id)->second; }
  // One past the last that can be read now.
  [[nodiscard]] std::int64_t log_end(int partition) const;

  // `land` runs when it is in the log, unless `life` ended before it was sent; then `ack`.
  void write(const LifePtr& life, Topic topic, int partition, std::function<void()> land,
             std::function<void()> ack);
  // `stay`: of the partition when the write began.
  void park(const LifePtr& life, std::uint64_t stay, int partition, int step,
            const ParkRecord& record);
  void dead_letter(const LifePtr& life, int sub, std::int64_t at);
  void put_state(const LifePtr& life, int partition, const kafka::MadeRecord& record);
  // Older rows of a key go, except for what is young.
  void compact(int partition);
  // The first offset written at `since` or later.
  [[nodiscard]] Offset written_since(int partition, WallTime since) const;
  // Refused unless `life` has the partition still, by the same hand-over.
  [[nodiscard]] bool commit_events(const LifePtr& life, int partition, std::uint64_t generation,
                                   const Committed& committed);
  // Nothing fences these: a former owner may set them back.
  void commit_delay(const LifePtr& life, std::uint64_t stay, int partition, int step,
                    const Committed& committed);

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
  VirtualTime clock;
  std::shared_ptr<const Settings> settings;  // what every process runs on
  bool healed = false;
  std::uint64_t lives = 0;
  std::vector<Subscriber> subs;
  std::array<std::vector<SimEvent>, kPartitions> logs;
  std::array<std::array<std::deque<ParkRecord>, kStepCount>, kPartitions> parked;
  std::array<std::array<Committed, kStepCount>, kPartitions> delays_committed;
  std::array<std::deque<kafka::MadeRecord>, kPartitions> state;
  // Rows that compaction has taken.
  std::array<std::vector<bool>, kPartitions> compacted;
  std::optional<Duration> retention;  // of `events`
  // Who is told when something was written, in the order in which they came.
  std::map<std::uint64_t, std::function<void(const Log&)>> watchers;
  std::uint64_t watchers_made = 0;
  std::array<Committed, kPartitions> committed;
  std::array<std::int64_t, kPartitions> known_to{};  // where the ranges told to its owner end
  std::array<LifePtr, kPartitions> owner;            // as the group knows it
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
  void make_settings();
  void note_state(const LifePtr& life, int partition, const StateRecord& record, bool fresh);
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

  std::map<std::string, int, std::less<>> numbers_;  // of subscribers, by id
  std::map<std::string, int> marks_;                 // by who made them
  std::vector<std::vector<Fate>> fates_;             // [subscriber][offset]
  std::array<std::vector<bool>, kPartitions> forgotten_;
  std::array<std::array<std::vector<bool>, kStepCount>, kPartitions> delays_forgotten_;
  std::array<StateTable, kPartitions> counted_;
  std::map<std::array<std::int64_t, 3>, TimePoint> landing_;  // last of a life, topic, partition
};

}  // namespace eventrelay::relay::simulation
