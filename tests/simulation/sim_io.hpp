// The outside of one shard in the simulated world: virtual time, Kafka and endpoints, as World has
// them. Everything a shard asks for ends with the life of its process.
//
//   Shard --> SimIo --> SimMember, SimReader, SimSink, SimCaller --> World
//                            `--> SimGroup, of all shards of a process
//
// Why:     the shard under test is the one that ships; only what lies outside of it is made up.
// Owner:   Process.  Thread: one.  Bounds: as the world.
// Errors:  through World::broken.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "relay/io/shard_io.hpp"
#include "world.hpp"

namespace eventrelay::relay::simulation {

// Thread: one.  Bounds: see the head of this file.
class SimLoop final : public Loop {
 public:
  SimLoop(World& world, LifePtr life) : world_(world), life_(std::move(life)) {}

  void post(std::function<void()> task) override {
    world_.clock.after(Duration{}, life_, std::move(task));
  }
  std::unique_ptr<LoopTimer> make_timer() override;

 private:
  World& world_;
  LifePtr life_;
};

class SimMember;

// The member of the group that the shards of a process share. What the group does to it comes in
// order: nothing else happens to any shard while a revocation waits for its release.
// Thread: one.  Bounds: one step per change of the group.
class SimGroup {
 public:
  SimGroup(World& world, LifePtr life) : world_(world), life_(std::move(life)) {}

  void add(SimMember& share) { shares_.push_back(&share); }

  // The group's side. `released` runs once the partition is given up.
  void assign(int partition, std::uint64_t generation);
  void revoke(int partition, std::function<void()> released);
  void lose(int partition);
  [[nodiscard]] bool at_rest() const { return steps_.empty() && !releasing_; }

  // The shards' side.
  void released(int partition);
  // Leaves once each of them has called it.
  void close(std::function<void()> done);

 private:
  struct Step {
    enum class Kind : std::uint8_t { Assign, Revoke, Lose };
    Kind kind;
    int partition;
    std::uint64_t generation = 0;
    std::function<void()> released;
  };

  void work();
  void perform(Step step);
  // Who has it; null: nobody.
  [[nodiscard]] SimMember* share_of(int partition) const;

  World& world_;
  LifePtr life_;
  std::vector<SimMember*> shares_;
  std::deque<Step> steps_;
  std::vector<std::function<void()>> closed_;
  bool working_ = false;
  bool releasing_ = false;
  std::function<void()> released_;
};

// One shard's share of it.
// Thread: one.  Bounds: one position per partition that it has.
class SimMember final : public GroupMember {
 public:
  SimMember(World& world, LifePtr life, SimGroup& group, kafka::ConsumerHandler& handler)
      : world_(world), life_(std::move(life)), group_(group), handler_(handler) {
    group_.add(*this);
  }

  void start() override {}
  std::optional<kafka::Message> next(Partition partition) override;
  void commit_async(std::span<const kafka::Commit> commits) override;
  bool committing() const override { return on_their_way_ > 0; }
  bool commit_sync(std::span<const kafka::Commit> commits) override;
  bool confirm(const std::string& topic, const kafka::Commit& commit, std::uint64_t token) override;
  std::optional<kafka::Watermarks> watermarks(Partition partition) const override;
  std::int64_t lag() const override { return 0; }
  void read_anew(Partition partition) override;
  void release() override;
  void close(TimePoint deadline, std::function<void()> done) override;
  bool joined() const override { return true; }

  [[nodiscard]] bool has(int partition) const { return positions_.contains(partition); }
  void take(int partition, std::uint64_t generation);
  void give_up(int partition, kafka::Loss loss);
  void give_up_all();

 private:
  struct MemberPosition {
    std::int64_t next = 0;
    std::uint64_t generation = 0;
    bool waits = false;  // it will be told when the next event is there
  };

  [[nodiscard]] Committed told(const kafka::Commit& commit) const;

  World& world_;
  LifePtr life_;
  SimGroup& group_;
  kafka::ConsumerHandler& handler_;
  std::map<int, MemberPosition> positions_;
  int on_their_way_ = 0;
  int leaving_ = 0;
  std::uint64_t commits_ = 0;  // sent so far
  // By partition: the number of the last commit that was waited for.
  std::shared_ptr<std::map<int, std::uint64_t>> waited_ =
      std::make_shared<std::map<int, std::uint64_t>>();
};

// Thread: one.  Bounds: one position per partition that is read.
class SimReader final : public PartitionReader {
 public:
  SimReader(World& world, LifePtr life, const std::vector<std::string>& topics);
  ~SimReader() override;

  void start(kafka::TopicPartition place, Offset from, kafka::LogSink& sink) override;
  void stop(kafka::TopicPartition place) override;
  kafka::Read next(kafka::TopicPartition place) override;
  std::optional<kafka::Watermarks> known_watermarks(kafka::TopicPartition place) const override;
  void positions(std::vector<kafka::TopicPartition> places, PositionsDone done) override;
  void watermarks(std::vector<kafka::TopicPartition> places, WatermarksDone done) override;
  void offsets_for_times(std::vector<kafka::TopicPartition> places, WallTime since,
                         WatermarksDone done) override;
  void commit_async(std::span<const kafka::ReadCommit> commits) override;
  bool committing() const override { return on_their_way_ > 0; }
  bool commit_sync(std::span<const kafka::ReadCommit> commits) override;

 private:
  using Key = std::pair<int, int>;  // topic of the reader, partition
  struct ReaderPosition {
    std::int64_t next = 0;
    kafka::LogSink* sink = nullptr;
    std::uint64_t serial = 0;
    bool end_told = false;
    bool waits = false;
    StateEpoch highest = 0;  // of the owners' marks that were read
    // It has waited for its last commit, so the commits before that are over.
    std::shared_ptr<bool> over = std::make_shared<bool>(false);
  };

  [[nodiscard]] std::int64_t end_of(kafka::TopicPartition place) const;
  [[nodiscard]] const kafka::MadeRecord& record_of(kafka::TopicPartition place, ReaderPosition& at);
  [[nodiscard]] bool skips(kafka::TopicPartition place, const ReaderPosition& at) const;
  [[nodiscard]] const kafka::MadeRecord& unfenced(ReaderPosition& at,
                                                  const kafka::MadeRecord& record);
  [[nodiscard]] Committed told(const kafka::ReadCommit& commit);
  void wake_later(kafka::TopicPartition place, Duration delay);
  void grew(const Log& log);

  World& world_;
  LifePtr life_;
  std::vector<Log> logs_;  // of its topics, partition left open
  std::uint64_t watcher_ = 0;
  std::map<Key, ReaderPosition> positions_;
  std::deque<kafka::MadeRecord> changed_;  // records that a planted fault has changed
  std::uint64_t serials_ = 0;
  int on_their_way_ = 0;
};

// Thread: one.  Bounds: as the world.
class SimSink final : public RecordSink {
 public:
  SimSink(World& world, LifePtr life, kafka::ReportSink& reports)
      : world_(world), life_(std::move(life)), reports_(reports) {}

  std::size_t add_topic(const std::string& name) override;
  bool ready() const override { return true; }
  kafka::Queued produce(std::size_t topic, const kafka::ProduceRecord& record,
                        std::uint64_t token) override;
  std::size_t pending_bytes() const override { return 0; }
  void drain(TimePoint deadline, std::function<void()> done) override;

 private:
  void write(World::Topic topic, int partition, std::uint64_t token, std::function<void()> land);

  World& world_;
  LifePtr life_;
  kafka::ReportSink& reports_;
  std::vector<Log> topics_;
};

// Thread: one.  Bounds: one attempt per job in flight; checks that of each subscription.
class SimCaller final : public EndpointCaller {
 public:
  SimCaller(World& world, LifePtr life, AttemptSink& sink)
      : world_(world), life_(std::move(life)), sink_(sink) {}

  std::shared_ptr<Endpoint> endpoint(const EndpointKey& key) override;
  void start(Job& job, const TargetPtr& target, TimePoint now) override;
  void cancel(Job& job) override;
  void shutdown() override {}
  CallerStats stats() const override { return {}; }

 private:
  // An attempt under way. Its end finds it by number: the job may be another's by then.
  struct Attempt {
    Job* job;
    int sub;
  };
  void end(std::uint64_t number, const Reply& reply);

  World& world_;
  LifePtr life_;
  AttemptSink& sink_;
  std::map<int, std::uint32_t> in_flight_;  // by subscriber
  std::map<std::uint64_t, Attempt> attempts_;
  std::uint64_t numbers_ = 0;
};

// Thread: one.  Bounds: see the head of this file.
class SimIo final : public ShardIo {
 public:
  SimIo(World& world, LifePtr life, SimGroup& group)
      : world_(world),
        life_(std::move(life)),
        group_(group),
        clock_(world.clock.moment()),
        loop_(world, life_) {}

  const Clock& clock() const override { return clock_; }
  Loop& loop() override { return loop_; }
  std::uint64_t make_seed() override { return world_.random.next(); }
  std::unique_ptr<GroupMember> make_member(const kafka::ConsumerOptions& options,
                                           kafka::ConsumerHandler& handler) override;
  std::unique_ptr<PartitionReader> make_reader(kafka::ReaderOptions options) override;
  std::unique_ptr<RecordSink> make_sink(const kafka::ProducerLimits& limits,
                                        kafka::ReportSink& reports) override;
  std::unique_ptr<EndpointCaller> make_caller(AttemptSink& sink) override;

 private:
  World& world_;
  LifePtr life_;
  SimGroup& group_;
  Clock clock_;
  SimLoop loop_;
};

}  // namespace eventrelay::relay::simulation
